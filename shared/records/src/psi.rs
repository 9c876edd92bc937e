//! The states of psi-field's swarms, and what it found in them.

use api::{Hash, psi_field};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Body, Kind};

/// A record's id may have so many bytes.
const MAX_ID_BYTES: usize = 200;

const SNAPSHOT: Kind = Kind {
    name: "psi.snapshot",
    description: "psi-field snapshot of a swarm of agents: the state that it is restored from",
    formerly: Some("note"),
};

const ANOMALY: Kind = Kind {
    name: "psi.anomaly",
    description: "psi-field anomaly in a swarm of agents: the channels and agents that deviate",
    formerly: None,
};

const VERDICT: Kind = Kind {
    name: "psi.verdict",
    description: "verdict of a person on an anomaly that psi-field found in a swarm: useful or a false alarm",
    formerly: None,
};

const TRACE: Kind = Kind {
    name: "psi.trace",
    description: "trace that a client of psi-field had recorded by its hash",
    formerly: None,
};

const DELETION: Kind = Kind {
    name: "psi.deletion",
    description: "psi-field deletion of a swarm of agents: what was recorded of it before is of a past life",
    formerly: None,
};

pub(crate) const KINDS: &[Kind] = &[SNAPSHOT, ANOMALY, VERDICT, TRACE, DELETION];

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

/// A window completed an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The swarm.
    pub swarm: String,
    /// Which life of a swarm that reuses its name; empty where windows are numbered by their sender.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lineage: String,
    /// The window.
    pub window: u64,
    /// What deviates.
    pub anomaly: psi_field::Anomaly,
}

/// Somebody said whether an anomaly was worth knowing of. Who changes their mind says so in a record of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The swarm.
    pub swarm: String,
    /// The life of the swarm that the anomaly is of, as there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lineage: String,
    /// The window that completed the anomaly.
    pub window: u64,
    /// Which verdict on it this is, from 0.
    pub number: u64,
    /// True when it was worth knowing of, false when it was a false alarm.
    pub useful: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Body for Verdict {
    const KIND: Kind = VERDICT;

    fn id(&self) -> String {
        let life = if self.lineage.is_empty() { String::new() } else { format!("{}:", self.lineage) };
        format!("{}:verdict:{life}{}:{}", self.subject(), self.window, self.number)
    }

    fn subject(&self) -> String {
        subject(&self.swarm)
    }
}

/// A swarm was deleted. What was recorded of it stays, and is not its own any more: whoever posts under its name begins
/// another life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The swarm.
    pub swarm: String,
    /// Which of its lives ended, from 0.
    pub life: u64,
    /// The window that it expected next; absent when it was known by its records alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_window: Option<u64>,
}

impl Body for Deletion {
    const KIND: Kind = DELETION;

    fn id(&self) -> String {
        format!("{}:deletion:{}", self.subject(), self.life)
    }

    fn subject(&self) -> String {
        subject(&self.swarm)
    }
}

/// Something outside, by its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// What sort of thing it is of.
    pub trace_type: String,
    /// Its hash, as its owner writes it.
    pub trace_hash: String,
    /// What its owner says of it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Body for Trace {
    const KIND: Kind = TRACE;

    fn id(&self) -> String {
        let id = format!("psi-trace:{}:{}", self.trace_type, self.trace_hash);
        if id.len() <= MAX_ID_BYTES {
            return id;
        }
        format!("psi-trace:{}:sha256:{}", self.trace_type, Hash(Sha256::digest(&self.trace_hash).into()))
    }

    fn subject(&self) -> String {
        format!("psi-trace:{}", self.trace_type)
    }
}

impl Body for Anomaly {
    const KIND: Kind = ANOMALY;

    fn id(&self) -> String {
        let life = if self.lineage.is_empty() { String::new() } else { format!("{}:", self.lineage) };
        format!("{}:anomaly:{life}{}", self.subject(), self.window)
    }

    fn subject(&self) -> String {
        subject(&self.swarm)
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
