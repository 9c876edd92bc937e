//! Policies judged from a deployment's log: what is asked, what the ledger has, what was found.

mod policies;
mod reading;
mod wire;

use api::{
    FieldError, Hash,
    evaluator::{NewEvaluation, PolicyName, Trainings},
};
use evaluation::off_policy::situation::{Situation, Taken};
use policy::Rule;
use uuid::Uuid;

use crate::plan;

pub(crate) use policies::Prepared;
pub(crate) use reading::{Reader, ReadingError};
pub(crate) use wire::result;
pub(crate) use wire::to_csv;
pub use wire::{estimates_table, support_table};

/// What is asked of a deployment's log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The deployment's name.
    pub(crate) deployment: String,
    /// The policies in question.
    pub(crate) policies: Vec<Named>,
}

/// A policy as somebody names it, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) pointer: String,
    pub(crate) policy: Name,
}

/// What a policy is named by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Name {
    /// A hand rule.
    Rule(Rule),
    /// A policy file.
    File(Hash),
    /// A policy that is asked for decisions.
    Id(Uuid),
}

/// A log as it was read.
pub(crate) struct Read {
    /// Its decisions with a choice to make.
    pub(crate) situations: Vec<Situation>,
    /// The index of the last leaf that was read.
    pub(crate) last_leaf: u64,
}

/// What is asked of a deployment's log, if one is named.
pub(crate) fn asked(request: &NewEvaluation) -> Option<Result<Asked, Vec<FieldError>>> {
    let deployment = request.logged.clone()?;
    Some(checked(request, deployment))
}

fn checked(request: &NewEvaluation, deployment: String) -> Result<Asked, Vec<FieldError>> {
    plan::fields(request)?;
    let mut errors = superfluous(request);
    let mut policies = Vec::new();
    for (i, rule) in request.rules.iter().flatten().enumerate() {
        name(format!("/rules/{i}"), rule, &mut policies, &mut errors);
    }
    for (i, policy) in request.policies.iter().enumerate() {
        let pointer = format!("/policies/{i}");
        match policy {
            Trainings::One(file) => policies.push(Named { pointer, policy: Name::File(*file) }),
            Trainings::Named(PolicyName(text)) => name(pointer, text, &mut policies, &mut errors),
            Trainings::Several(_) => {
                let detail = "expected one policy, found a list: each is judged by itself".to_owned();
                errors.push(FieldError { pointer, detail });
            }
        }
    }
    for (i, Named { pointer, policy }) in policies.iter().enumerate() {
        if let Some(first) = policies[..i].iter().find(|first| first.policy == *policy) {
            let detail = format!("expected each policy once, but this one is also {}", first.pointer);
            errors.push(FieldError { pointer: pointer.clone(), detail });
        }
    }
    if policies.is_empty() && errors.is_empty() {
        let detail = "expected a policy, or a hand rule in `rules`: nobody is asked about".to_owned();
        errors.push(FieldError { pointer: "/policies".to_owned(), detail });
    }
    if errors.is_empty() { Ok(Asked { deployment, policies }) } else { Err(errors) }
}

/// A hand rule by its name, or a policy by its id.
fn name(pointer: String, text: &str, policies: &mut Vec<Named>, errors: &mut Vec<FieldError>) {
    let policy = match (text.parse::<Rule>(), Uuid::parse_str(text)) {
        (Ok(rule), _) if Rule::REFERENCES.contains(&rule) => Err(format!(
            "expected a rule that anybody can follow: `{rule}` is told what is hidden, which of a log nobody knows"
        )),
        (Ok(rule), _) => Ok(Name::Rule(rule)),
        (_, Ok(id)) => Ok(Name::Id(id)),
        (Err(unknown), Err(_)) => Err(format!("{unknown}, the id of a policy, or the SHA-256 of its file")),
    };
    match policy {
        Ok(policy) => policies.push(Named { pointer, policy }),
        Err(detail) => errors.push(FieldError { pointer, detail }),
    }
}

/// An error for everything that says how episodes are simulated.
fn superfluous(request: &NewEvaluation) -> Vec<FieldError> {
    let usual = NewEvaluation::default();
    let given = [
        ("/environment", request.environment != usual.environment),
        ("/preference", request.preference.is_some()),
        ("/preferences", request.preferences.is_some()),
        ("/seeds", request.seeds != usual.seeds),
        ("/first_seed", request.first_seed != usual.first_seed),
        ("/final", request.is_final),
        ("/steps", request.steps.is_some()),
        ("/limit_steps", request.limit_steps.is_some()),
    ];
    let error = |pointer: &str| FieldError {
        pointer: pointer.to_owned(),
        detail: "expected nothing beside `logged`: nothing is simulated, and all else is the deployment's"
            .to_owned(),
    };
    given.into_iter().filter(|(_, is_given)| *is_given).map(|(pointer, _)| error(pointer)).collect()
}

/// The log's own policy, then each of the others, by what a situation has of them.
fn chosen(policies: usize) -> impl Iterator<Item = Box<dyn Fn(&Situation) -> Taken>> {
    let own: Box<dyn Fn(&Situation) -> Taken> = Box::new(|situation| situation.own);
    let others = (0..policies)
        .map(|i| -> Box<dyn Fn(&Situation) -> Taken> { Box::new(move |situation| situation.others[i]) });
    std::iter::once(own).chain(others)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pointers(request: Value) -> Vec<String> {
        let request = serde_json::from_value(request).unwrap();
        asked(&request).unwrap().unwrap_err().into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn policies_are_named_by_rule_by_id_and_by_file() {
        let (id, file) = (Uuid::from_u128(7), Hash([7; 32]));
        let request = json!({"logged": "gateway", "rules": ["cheapest"], "policies": ["fastest", id, file]});
        let found = asked(&serde_json::from_value(request).unwrap()).unwrap().unwrap();
        let names: Vec<_> = found.policies.iter().map(|named| named.policy).collect();
        assert_eq!(
            names,
            [Name::Rule(Rule::Cheapest), Name::Rule(Rule::Fastest), Name::Id(id), Name::File(file)]
        );
        assert!(asked(&NewEvaluation::default()).is_none());
    }

    #[test]
    fn what_cannot_be_asked_of_a_log_is_pointed_at() {
        let logged = |more: Value| {
            let mut request = json!({"logged": "gateway", "rules": ["cheapest"]});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request
        };
        assert_eq!(pointers(json!({"logged": "gateway"})), ["/policies"]);
        assert_eq!(pointers(logged(json!({"seeds": 3, "steps": 5}))), ["/seeds", "/steps"]);
        assert_eq!(pointers(logged(json!({"policies": ["cheapest"]}))), ["/policies/0"]);
        assert_eq!(pointers(logged(json!({"policies": ["bestest"]}))), ["/policies/0"]);
        assert_eq!(pointers(logged(json!({"policies": [[Hash([1; 32])]]}))), ["/policies/0"]);
        assert_eq!(pointers(logged(json!({"rules": ["bid-price-informed"]}))), ["/rules/0"]);
        assert_eq!(pointers(logged(json!({"log_size": 0}))), ["/log_size"]);
    }
}
