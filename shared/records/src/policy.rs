//! Policies that are asked for decisions, beside those that runs learned.

use api::{Hash, trainer::EnvironmentSpec};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, Kind};

const IMPORTED: Kind = Kind {
    name: "policy.imported",
    description: "ai-mesh policy imported: deployment of a learned policy or a hand rule into service",
    formerly: Some("deployment"),
};

pub(crate) const KINDS: &[Kind] = &[IMPORTED];

/// The subject of all records about a policy.
#[must_use]
pub fn subject(policy: Uuid) -> String {
    format!("policy:{policy}")
}

/// A policy was imported, to be asked for decisions.
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

impl Body for Imported {
    const KIND: Kind = IMPORTED;

    fn id(&self) -> String {
        subject(self.policy_id) // it is imported once
    }

    fn subject(&self) -> String {
        subject(self.policy_id)
    }
}

impl Imported {
    /// The environment exactly as it was given.
    ///
    /// # Errors
    /// When the text is not what a trainer writes.
    pub fn environment(&self) -> Result<EnvironmentSpec, serde_json::Error> {
        serde_json::from_str(&self.environment_json)
    }
}
