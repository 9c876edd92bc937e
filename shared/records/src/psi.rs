//! The states of psi-field's swarms.

use api::Hash;
use serde::{Deserialize, Serialize};

use crate::{Body, Kind};

const SNAPSHOT: Kind = Kind {
    name: "psi.snapshot",
    description: "psi-field snapshot of a swarm of agents: the state that it is restored from",
    formerly: Some("note"),
};

pub(crate) const KINDS: &[Kind] = &[SNAPSHOT];

/// The subject of all records about a swarm.
#[must_use]
pub fn subject(swarm: &str) -> String {
    format!("swarm:{swarm}")
}

/// The swarm that a subject names.
pub(crate) fn swarm_of(subject: &str) -> &str {
    subject.strip_prefix("swarm:").unwrap_or_default()
}

/// A swarm's state was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    content: Content,
    /// The swarm.
    pub swarm: String,
    /// The window that the state expects next.
    pub next_window: u64,
    /// The artifact with the state.
    pub sha256: Hash,
    /// Its length.
    pub size_bytes: u64,
}

/// Told snapshots from other notes when both had one kind. It stays, since the same snapshot must make the same
/// record after an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    #[serde(rename = "psi_field_snapshot")]
    Snapshot,
}

impl Snapshot {
    /// Of the state in the artifact `sha256`.
    #[must_use]
    pub fn new(swarm: String, next_window: u64, sha256: Hash, size_bytes: u64) -> Self {
        Self { content: Content::Snapshot, swarm, next_window, sha256, size_bytes }
    }
}

impl Body for Snapshot {
    const KIND: Kind = SNAPSHOT;

    fn id(&self) -> String {
        format!("{}:snapshot:{}:{}", self.subject(), self.next_window, self.sha256)
    }

    fn subject(&self) -> String {
        subject(&self.swarm)
    }
}
