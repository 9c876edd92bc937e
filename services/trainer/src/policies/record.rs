//! An imported policy in the ledger.

use api::{
    Hash,
    remembrancer::{NewRecord, Record, RecordKind},
    trainer::EnvironmentSpec,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Policy, Source};

/// Body of the `deployment` record `policy:{id}`: a policy was put into service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The policy.
    pub policy_id: Uuid,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The learner's name, or the rule's.
    pub algorithm: String,
    /// How many agents decide in turn.
    pub agents: u32,
    /// The policy file, an artifact; a hand rule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// SHA-256 of the environment's definition.
    pub environment_sha256: Hash,
    /// The environment as JSON text: canonical JSON would not keep the order of a workload mix.
    pub environment_json: String,
}

/// The subject of all records about a policy.
#[must_use]
pub fn policy_subject(policy: Uuid) -> String {
    format!("policy:{policy}")
}

impl Imported {
    /// What is written down of an imported policy.
    ///
    /// # Errors
    /// Never for an environment that came as JSON.
    pub fn of(policy: &Policy) -> Result<Self, serde_json::Error> {
        Ok(Self {
            policy_id: policy.id,
            name: policy.name.clone(),
            algorithm: policy.algorithm.clone(),
            agents: policy.agents,
            policy_sha256: policy.file(),
            environment_sha256: policy.environment_sha256,
            environment_json: serde_json::to_string(&policy.environment)?,
        })
    }

    /// The record's id.
    #[must_use]
    pub fn record_id(policy: Uuid) -> String {
        policy_subject(policy)
    }

    /// The record to append.
    ///
    /// # Errors
    /// Never: it is a struct of texts and numbers.
    pub fn to_new_record(&self) -> Result<NewRecord, serde_json::Error> {
        Ok(NewRecord {
            id: Some(Self::record_id(self.policy_id)),
            kind: RecordKind::Deployment,
            subject: policy_subject(self.policy_id),
            body: object(self)?,
        })
    }

    /// Reads a record; `None` when it is none of an imported policy.
    #[must_use]
    pub fn parse(record: &Record) -> Option<Self> {
        let body = serde_json::Value::Object(record.body.clone());
        let imported: Self = serde_json::from_value(body).ok()?;
        (record.kind == RecordKind::Deployment && record.id == Self::record_id(imported.policy_id))
            .then_some(imported)
    }

    /// What it decides by; `None` when no rule has the name.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        match self.policy_sha256 {
            Some(sha256) => Some(Source::Learned(sha256)),
            None => self.algorithm.parse().ok().map(Source::Rule),
        }
    }

    /// The environment exactly as it was given.
    ///
    /// # Errors
    /// When the text is not what this trainer writes.
    pub fn environment(&self) -> Result<EnvironmentSpec, serde_json::Error> {
        serde_json::from_str(&self.environment_json)
    }
}

/// A record's body.
///
/// # Errors
/// When it cannot be written as a JSON object.
pub fn object(
    body: &impl Serialize,
) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
    match serde_json::to_value(body)? {
        serde_json::Value::Object(fields) => Ok(fields),
        _ => Err(serde::ser::Error::custom("a record's body is an object")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn recorded(imported: &Imported) -> Record {
        let new = imported.to_new_record().unwrap();
        // as the ledger gives it back: canonical JSON, whose objects are sorted by key
        let bytes = merkle_log::canonical_json(&new.body).unwrap();
        Record {
            log_index: 1,
            id: new.id.unwrap(),
            kind: new.kind,
            subject: new.subject,
            recorded_at: Utc::now(),
            body: serde_json::from_slice(&bytes).unwrap(),
        }
    }

    fn imported() -> Imported {
        Imported {
            policy_id: Uuid::from_u128(7),
            name: Some("live".into()),
            algorithm: "cheapest".into(),
            agents: 1,
            policy_sha256: None,
            environment_sha256: Hash([1; 32]),
            environment_json: r#"{"preset":null,"workloads":{"mix":{"zeta":0.5,"alpha":0.5}}}"#.into(),
        }
    }

    #[test]
    fn an_imported_policy_is_read_back_with_the_order_of_its_mix() {
        let back = Imported::parse(&recorded(&imported())).unwrap();
        assert_eq!(back, imported());
        assert_eq!(serde_json::to_string(&back.environment().unwrap()).unwrap(), back.environment_json);
        assert_eq!(back.source(), Some(Source::Rule(policy::Rule::Cheapest)));
    }

    #[test]
    fn deployments_of_other_things_are_passed_over() {
        let record = recorded(&imported());
        assert_eq!(Imported::parse(&Record { id: "policy:1".into(), ..record.clone() }), None);
        assert_eq!(Imported::parse(&Record { kind: RecordKind::Note, ..record.clone() }), None);
        assert_eq!(Imported::parse(&Record { body: serde_json::Map::new(), ..record }), None);
    }
}
