//! What is told of single decisions after they were made.

use api::{Hash, policies::Outcome as Happened};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, Kind};

const OUTCOME: Kind = Kind {
    name: "decision.outcome",
    description: "outcome of a served decision: what really happened to its request",
    formerly: Some("note"),
};

pub(crate) const KINDS: &[Kind] = &[OUTCOME];

/// What became of a served decision was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The decision.
    pub decision_id: Uuid,
    /// The policy that made it.
    pub policy_id: Uuid,
    /// Its stream's digest.
    pub run: Hash,
    /// Its sequence number there.
    pub sequence: u64,
    /// What happened.
    pub outcome: Happened,
}

impl Outcome {
    /// The subject of the record about a decision's outcome.
    #[must_use]
    pub fn subject_of(decision: Uuid) -> String {
        format!("decision:{decision}")
    }

    /// The id of the record about a decision's outcome.
    #[must_use]
    pub fn id_of(decision: Uuid) -> String {
        format!("outcome:{decision}")
    }
}

impl Body for Outcome {
    const KIND: Kind = OUTCOME;

    fn id(&self) -> String {
        Self::id_of(self.decision_id)
    }

    fn subject(&self) -> String {
        Self::subject_of(self.decision_id)
    }
}
