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

const DELETED: Kind = Kind {
    name: "decisions.deleted",
    description: "ai-mesh decisions of a training run that were deleted: who, when and why; their hashes stay in the log",
    formerly: None,
};

pub(crate) const KINDS: &[Kind] = &[OUTCOME, DELETED];

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

/// The decisions of a run were deleted: their leaves stay in the log, their contents are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The run's digest.
    pub run: Hash,
    /// The first sequence number that is deleted.
    pub first_sequence: u64,
    /// The one after the last.
    pub next_sequence: u64,
    /// RFC 6962 root over all of the run's decisions.
    pub run_root: Hash,
    /// The leaves of the log before this record.
    pub log_size: u64,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Body for Deleted {
    const KIND: Kind = DELETED;

    fn id(&self) -> String {
        format!("decisions:{}:deleted:{}", self.run, self.log_size)
    }

    fn subject(&self) -> String {
        format!("decisions:{}", self.run)
    }
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
