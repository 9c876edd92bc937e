//! Physical limits: what no policy can do better.

use api::{Hash, remembrancer::Record};
use serde::{Deserialize, Serialize};

use crate::{Body, Kind, own_id};

const SOLVED: Kind = Kind {
    name: "limit.solved",
    description: "physical limit of an episode: what no policy can do better, solved by linear programs",
    formerly: Some("note"),
};

pub(crate) const KINDS: &[Kind] = &[SOLVED];

/// The limit of an episode was solved: sums over its steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solved {
    /// SHA-256 over all that the limit depends on, which only the record's id names.
    #[serde(skip, default = "nothing")]
    pub key: Hash,
    /// Steps solved.
    pub steps: u64,
    /// Requests that came.
    pub requests: u64,
    /// Requests routed, at most.
    pub routed: f64,
    /// What they cost, in USD.
    pub cost_usd: f64,
    /// The latency that they meet, in ms.
    pub latency_ms: f64,
    /// Reward, at most.
    pub reward: f64,
}

impl Solved {
    /// The id of the record about the limit with this key.
    #[must_use]
    pub fn id_of(key: &Hash) -> String {
        format!("limit:{key}")
    }
}

impl Body for Solved {
    const KIND: Kind = SOLVED;

    fn id(&self) -> String {
        Self::id_of(&self.key)
    }

    fn subject(&self) -> String {
        self.id()
    }

    fn complete(&mut self, record: &Record) {
        let key = own_id(&record.id).strip_prefix("limit:").and_then(|key| key.parse().ok());
        self.key = key.unwrap_or_else(nothing);
    }
}

/// The key of nobody's limit.
fn nothing() -> Hash {
    Hash([0; 32])
}
