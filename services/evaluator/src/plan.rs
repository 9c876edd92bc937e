//! What an evaluation is to do: the request on the wire, checked and turned into domain values.

use std::sync::Arc;

use api::{
    FieldError, Hash,
    evaluator::{FIRST_FINAL_SEED, NewEvaluation, PolicyName, Trainings},
    trainer::{AssumedPrice, EnvironmentSpec},
};
use evaluation::{
    bounds::Sample,
    pareto::grid,
    plan::{Kind, Plan},
};
use garde::Validate as _;
use policy::Rule;
use routing_env::{
    Catalog, Constraint, Document, Environment, InputError, Knowledge, Preference,
    UNLISTED_PRICE_USD_PER_HOUR, Wanted,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Checks a request, also one that came from the ledger: whoever can post there may have written it.
///
/// # Errors
/// Every wrong field.
pub(crate) fn plan(request: &NewEvaluation) -> Result<Plan, Vec<FieldError>> {
    fields(request)?;
    let mut errors = Vec::new();
    let rules = rules(request.rules.as_deref(), &mut errors);
    errors.extend(repeated(&request.policies));
    errors.extend(of_a_log(request));
    if request.is_final && request.first_seed != api::FIRST_HELD_OUT_SEED {
        errors.push(FieldError {
            pointer: "/first_seed".into(),
            detail: format!(
                "expected nothing where `final` is true: the final seeds begin at {FIRST_FINAL_SEED}"
            ),
        });
    }
    let environment = match environment(&request.environment) {
        Ok(environment) => match request.steps {
            Some(steps) => environment.with_steps(steps),
            None => environment,
        },
        Err(more) => {
            errors.extend(more);
            return Err(errors);
        }
    };
    let Asked { kind, constraints } = asked(request, &environment, &mut errors);
    let comparison_sample = match request.limit_steps {
        None if !constraints.is_empty() => Some(Sample::all(&environment)),
        asked => Sample::new(&environment, request.seeds, asked),
    };
    if !constraints.is_empty() && comparison_sample.is_some_and(|sample| !sample.is_all()) {
        errors.push(FieldError {
            pointer: "/limit_steps".into(),
            detail:
                "expected nothing, or 0 for no limit: a constraint is on all steps of an episode together"
                    .into(),
        });
    }
    let is_hidden = environment.workloads().knowledge == Knowledge::Hidden;
    if !errors.is_empty() {
        return Err(errors);
    }
    let first_seed = if request.is_final { FIRST_FINAL_SEED } else { request.first_seed };
    let (sample, rules) = match &kind {
        Kind::Comparison(_) => (comparison_sample, rules.unwrap_or_else(|| default_rules(is_hidden))),
        Kind::Fronts(_) => (
            Some(Sample::all(&environment)),
            rules.unwrap_or_else(|| {
                let heeds = |rule: &Rule| *rule == Rule::BASELINE || rule.heeds_preference();
                default_rules(is_hidden).into_iter().filter(heeds).collect()
            }),
        ),
    };
    Ok(Plan {
        kind,
        constraints,
        environment_digest: Sha256::digest(environment.definition()).into(),
        policies: request.policies.iter().map(|p| p.artifacts().iter().map(|a| a.0).collect()).collect(),
        rules,
        seeds: (first_seed..first_seed + u64::from(request.seeds)).collect(),
        sample,
        final_opening: None, // known once it is recorded
        environment: Arc::new(environment),
    })
}

/// Checks each field for itself.
///
/// # Errors
/// Every wrong one.
pub(crate) fn fields(request: &NewEvaluation) -> Result<(), Vec<FieldError>> {
    let Err(report) = request.validate() else { return Ok(()) };
    let field = |(path, error): &(garde::Path, garde::Error)| FieldError {
        pointer: format!("/{}", path.to_string().replace(['.', '['], "/").replace(']', "")),
        detail: error.to_string(),
    };
    Err(report.iter().map(field).collect())
}

/// As many preferences are listed at least and at most. One has an evaluation of its own.
const LISTED: std::ops::RangeInclusive<usize> = 2..=64;

/// What is asked of the policies, for whom, and what must hold.
struct Asked {
    kind: Kind,
    constraints: Vec<Constraint>,
}

impl Asked {
    fn of_kind(kind: Kind) -> Self {
        Self { kind, constraints: Vec::new() }
    }
}

/// What is asked; something else where that is wrong.
fn asked(request: &NewEvaluation, environment: &Environment, errors: &mut Vec<FieldError>) -> Asked {
    let mut wrong =
        |pointer: &str, detail: String| errors.push(FieldError { pointer: pointer.into(), detail });
    let Some(preferences) = &request.preferences else {
        let usual = Asked::of_kind(Kind::Comparison(Preference::EXCESS_COST));
        let Some(asked) = &request.preference else { return usual };
        return match Wanted::asked(asked, environment) {
            Ok(Wanted { preference, constraints }) => {
                Asked { kind: Kind::Comparison(preference), constraints }
            }
            Err(error) => {
                wrong(&format!("/preference{}", error.pointer), error.expected);
                usual
            }
        };
    };
    if request.preference.is_some() {
        wrong(
            "/preferences",
            "expected nothing beside `preference`: a comparison is under one preference, a front under many"
                .into(),
        );
    }
    if request.limit_steps.is_some() {
        wrong(
            "/limit_steps",
            "expected nothing beside `preferences`: a front's limit is solved on all steps".into(),
        );
    }
    Asked::of_kind(Kind::Fronts(listed(preferences, environment, &mut wrong)))
}

fn listed(
    preferences: &Value,
    environment: &Environment,
    wrong: &mut dyn FnMut(&str, String),
) -> Vec<Preference> {
    if preferences == "grid" {
        return grid(environment);
    }
    let expected =
        format!("expected `grid`, or a list of {} to {} preferences", LISTED.start(), LISTED.end());
    let Some(listed) = preferences.as_array() else {
        wrong("/preferences", expected);
        return Vec::new();
    };
    if !LISTED.contains(&listed.len()) {
        wrong("/preferences", format!("{expected}, found {}", listed.len()));
        return Vec::new();
    }
    let mut known: Vec<(String, Preference)> = Vec::with_capacity(listed.len());
    for (i, asked) in listed.iter().enumerate() {
        let pointer = format!("/preferences/{i}");
        match asked_at(&pointer, asked, environment) {
            Ok(preference) => {
                if let Some((other, _)) = known.iter().find(|(_, other)| *other == preference) {
                    wrong(
                        &pointer,
                        format!("expected each preference once, but its weights are also those of {other}"),
                    );
                }
                known.push((pointer, preference));
            }
            Err(error) => wrong(&error.pointer, error.detail),
        }
    }
    known.into_iter().map(|(_, preference)| preference).collect()
}

/// A preference that is asked for there.
fn asked_at(pointer: &str, asked: &Value, environment: &Environment) -> Result<Preference, FieldError> {
    Preference::asked(asked, environment).map_err(|error| FieldError {
        pointer: format!("{pointer}{}", error.pointer),
        detail: error.expected,
    })
}

/// An error for what only a deployment's log is asked about.
fn of_a_log(request: &NewEvaluation) -> Vec<FieldError> {
    let named = request.policies.iter().enumerate().filter_map(|(i, policy)| match policy {
        Trainings::Named(PolicyName(name)) => Some(FieldError {
            pointer: format!("/policies/{i}"),
            detail: format!(
                "expected the SHA-256 of a policy file, or a list of them, found `{name}`: hand rules are named in `rules`, and \
                 ids of policies with `logged`"
            ),
        }),
        _ => None,
    });
    let mut errors: Vec<_> = named.collect();
    if request.log_size.is_some() {
        let detail =
            "expected nothing without `logged`: what is simulated is not read from the log".to_owned();
        errors.push(FieldError { pointer: "/log_size".into(), detail });
    }
    errors
}

/// An error for every policy file that was named before.
fn repeated(policies: &[Trainings]) -> Vec<FieldError> {
    let all: Vec<(String, Hash)> = policies
        .iter()
        .enumerate()
        .flat_map(|(i, policy)| {
            policy.artifacts().iter().enumerate().map(move |(j, artifact)| match policy {
                Trainings::One(_) => (format!("/policies/{i}"), *artifact),
                Trainings::Several(_) | Trainings::Named(_) => (format!("/policies/{i}/{j}"), *artifact),
            })
        })
        .collect();
    let error = |(i, (pointer, artifact)): (usize, &(String, Hash))| {
        let (first, _) = all[..i].iter().find(|(_, other)| other == artifact)?;
        let detail = format!("expected each policy once, but this one is also {first}");
        Some(FieldError { pointer: pointer.clone(), detail })
    };
    all.iter().enumerate().filter_map(error).collect()
}

/// All rules, and where something is hidden those that are told it, for reference.
fn default_rules(is_hidden: bool) -> Vec<Rule> {
    let references = Rule::REFERENCES.into_iter().filter(|_| is_hidden);
    Rule::ALL.into_iter().chain(references).collect()
}

/// The rules asked for, each once and the baseline among them, in the order of [`Rule::ALL`] and
/// [`Rule::REFERENCES`]; `None` when nothing was asked for.
fn rules(names: Option<&[String]>, errors: &mut Vec<FieldError>) -> Option<Vec<Rule>> {
    let names = names?;
    let mut asked = vec![Rule::BASELINE];
    for (i, name) in names.iter().enumerate() {
        match name.parse::<Rule>() {
            Ok(rule) => asked.push(rule),
            Err(error) => {
                errors.push(FieldError { pointer: format!("/rules/{i}"), detail: error.to_string() });
            }
        }
    }
    Some(Rule::ALL.into_iter().chain(Rule::REFERENCES).filter(|rule| asked.contains(rule)).collect())
}

/// The environment, before the evaluation's own length of episodes is applied.
pub(crate) fn environment(spec: &EnvironmentSpec) -> Result<Environment, Vec<FieldError>> {
    let document = |part: &Option<serde_json::Value>| part.clone().map(Document::Value);
    let asked = routing_env::EnvironmentSpec {
        preset: spec.preset.clone(),
        providers: document(&spec.providers),
        workloads: document(&spec.workloads),
    };
    let field = |error: InputError| FieldError {
        pointer: format!("/environment/{}{}", error.file, error.pointer),
        detail: error.expected,
    };
    asked.build().map_err(|errors| errors.into_iter().map(field).collect())
}

/// What the catalog that an evaluation brings lists without a price; the built-in one has all prices.
pub(crate) fn assumed_prices(spec: &EnvironmentSpec) -> Vec<AssumedPrice> {
    let Some(Ok(catalog)) = spec.providers.as_ref().map(|value| Catalog::from_value("providers", value))
    else {
        return Vec::new();
    };
    let assumed = catalog.assumed_prices().map(|(provider, gpu_type)| AssumedPrice {
        provider: provider.to_owned(),
        gpu_type: gpu_type.to_owned(),
        price_usd_per_hour: UNLISTED_PRICE_USD_PER_HOUR,
    });
    assumed.collect()
}

#[cfg(test)]
mod tests {
    use api::Hash;
    use routing_env::{Preset, Workloads};
    use serde_json::json;

    use super::*;

    fn plan(request: serde_json::Value) -> Result<Plan, Vec<FieldError>> {
        super::plan(&serde_json::from_value(request).unwrap())
    }

    fn pointers(request: serde_json::Value) -> Vec<String> {
        plan(request).unwrap_err().into_iter().map(|e| e.pointer).collect()
    }

    #[test]
    fn an_empty_request_compares_all_hand_rules_on_fifty_held_out_seeds() {
        let plan = plan(json!({})).unwrap();
        assert_eq!(plan.rules, Rule::ALL);
        assert_eq!(plan.seeds, (1 << 32..(1 << 32) + 50).collect::<Vec<u64>>());
        assert_eq!(plan.environment.preset(), Preset::Default);
        assert_eq!(plan.environment.steps(), 120);
        assert_eq!(plan.episodes(), 50 * Rule::ALL.len() as u64);
    }

    #[test]
    fn the_baseline_is_always_there_and_no_rule_is_there_twice() {
        let plan = plan(json!({"rules": ["random", "cheapest", "random"]})).unwrap();
        assert_eq!(plan.rules, [Rule::WeightedScore, Rule::Cheapest, Rule::Random]);
    }

    #[test]
    fn what_is_hidden_is_told_to_a_reference_and_to_the_limit() {
        let plan = plan(json!({"environment": {"preset": "drifting"}})).unwrap();
        assert_eq!(plan.rules.last(), Some(&Rule::BidPriceInformed));
        assert_eq!(plan.limit_steps(), 2400);
    }

    #[test]
    fn the_limit_is_solved_on_as_many_steps_of_each_episode_as_are_asked_for() {
        let steps = |request| plan(request).unwrap().limit_steps();
        assert_eq!(steps(json!({})), 2400);
        assert_eq!(steps(json!({"limit_steps": 5, "seeds": 3})), 15);
        assert_eq!(steps(json!({"limit_steps": 0})), 0);
    }

    #[test]
    fn under_constraints_the_limit_is_that_of_all_steps_or_none() {
        let request = |limit_steps: serde_json::Value| {
            json!({
                "preference": {"cost": 8, "at_least": {"gpu_hours_fill": 0.9}},
                "limit_steps": limit_steps,
                "seeds": 100,
            })
        };
        let all = plan(request(json!(null))).unwrap();
        assert_eq!((all.constraints.len(), all.limit_steps()), (1, 120 * 100));
        assert_eq!(plan(request(json!(0))).unwrap().limit_steps(), 0);
        assert_eq!(pointers(request(json!(7))), ["/limit_steps"]);
        let unknown = json!({"preference": {"at_most": {"fill_rate": 0.5}}});
        assert_eq!(pointers(unknown), ["/preference/at_most/fill_rate"]);
    }

    #[test]
    fn the_final_seeds_are_met_only_where_they_are_asked_for() {
        let last = FIRST_FINAL_SEED - 1000;
        assert_eq!(plan(json!({"final": true, "seeds": 3})).unwrap().seeds[0], FIRST_FINAL_SEED);
        assert_eq!(
            plan(json!({"first_seed": last, "seeds": 1000})).unwrap().seeds[999],
            FIRST_FINAL_SEED - 1
        );
        assert_eq!(pointers(json!({"first_seed": last + 1})), ["/first_seed"]);
        assert_eq!(pointers(json!({"first_seed": last, "final": true})), ["/first_seed"]);
    }

    #[test]
    fn a_policy_is_one_file_or_a_list_of_its_trainings() {
        let [a, b, c] = [1, 2, 3].map(|byte| Hash([byte; 32]).to_string());
        let named = plan(json!({"policies": [a, [b, c]]})).unwrap().policies;
        assert_eq!(named, [vec![[1; 32]], vec![[2; 32], [3; 32]]]);
        assert_eq!(pointers(json!({"policies": [a, [b, a]]})), ["/policies/1/1"]);
        assert_eq!(pointers(json!({"policies": [a, []]})), ["/policies/1"]);
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let same = Hash([1; 32]).to_string();
        let wrong = json!({
            "rules": ["cheapest", "fanciest"],
            "policies": [same, same],
            "environment": {"preset": "calm"},
        });
        assert_eq!(pointers(wrong.clone()), ["/rules/1", "/policies/1", "/environment/preset"]);
        let errors = plan(wrong).unwrap_err();
        assert!(errors[0].detail.contains("`fanciest`") && errors[0].detail.contains("greedy-reward"));
        assert!(errors[2].detail.contains("`calm`") && errors[2].detail.contains("contended"));
    }

    #[test]
    fn a_mistake_in_the_catalog_or_the_workloads_is_pointed_at() {
        let mut catalog = serde_json::to_value(Catalog::built_in()).unwrap();
        catalog["providers"][2]["reputation"] = json!(101);
        assert_eq!(
            pointers(json!({"environment": {"providers": catalog}})),
            ["/environment/providers/providers/2/reputation"]
        );
        let mut workloads = serde_json::to_value(Workloads::built_in()).unwrap();
        workloads["tenants"][1]["max_latency_ms"] = json!(-1);
        assert_eq!(
            pointers(json!({"environment": {"preset": "calm", "workloads": workloads}})),
            ["/environment/preset", "/environment/workloads/tenants/1/max_latency_ms"]
        );
    }

    #[test]
    fn the_digest_is_that_of_the_environment_with_preset_and_steps() {
        let digest = |request| plan(request).unwrap().environment_digest;
        let plain = digest(json!({}));
        assert_eq!(plain, digest(json!({"seeds": 3, "rules": []})));
        assert_ne!(plain, digest(json!({"steps": 7})));
        assert_ne!(plain, digest(json!({"environment": {"preset": "contended"}})));
        let spelled_out = json!({"environment": {
            "providers": Catalog::built_in(),
            "workloads": Workloads::built_in(),
        }});
        assert_eq!(plain, digest(spelled_out));
    }
}
