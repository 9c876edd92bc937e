//! Learning with other nodes: what was published, what was taken in, and who is left out.

use api::{
    Hash,
    trainer::{FederationContribution, LeftOut},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Body, Kind};

const FEDERATION: Kind = Kind {
    name: "federation",
    description: "ai-mesh federation of nodes that learn from each other by gossip",
    formerly: None,
};
const CONTRIBUTION: Kind =
    kind("federation.contribution", "what this node has seen itself, published for other nodes");
const MERGE: Kind = kind("federation.merge", "what a run took in of what other nodes have seen");
const EXCLUSION: Kind = kind("federation.exclusion", "whose contributions this node leaves out, and why");

pub(crate) const KINDS: &[Kind] = &[FEDERATION, CONTRIBUTION, MERGE, EXCLUSION];

const fn kind(name: &'static str, description: &'static str) -> Kind {
    Kind { name, description, formerly: None }
}

/// The subject of all records about a stream.
#[must_use]
pub fn subject(stream: Hash) -> String {
    format!("federation:{stream}")
}

/// A node published what it has seen. That it stands in the node's log is the contribution's proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contributed {
    /// SHA-256 of what it is about.
    pub stream: Hash,
    /// What it is about.
    pub about: Value,
    /// The node's number for it.
    pub sequence: u64,
    /// The contribution, an artifact.
    pub contribution_sha256: Hash,
    /// How many observations it is made of.
    pub evidence: u64,
    /// The digest of the run whose evidence is new in it, or of the deployment's stream.
    pub run: Hash,
    /// How many episodes that run had done, or windows that deployment.
    pub episodes_done: u32,
    /// How many observations are of that one.
    pub run_evidence: u64,
    /// What that one has seen itself, an artifact.
    pub run_evidence_sha256: Hash,
    /// What an agent knows that has seen nothing: what contributions are folded onto, an artifact.
    pub unlearned_sha256: Hash,
}

impl Body for Contributed {
    const KIND: Kind = CONTRIBUTION;

    /// One number is given once: of several trainers with one ledger the first counts.
    fn id(&self) -> String {
        format!("{}:contribution:{}", subject(self.stream), self.sequence)
    }

    fn subject(&self) -> String {
        subject(self.stream)
    }
}

/// A run took in what others have seen. It is an input of the run: a run that goes on, or is repeated, takes in the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merged {
    /// The run's digest.
    pub run: Hash,
    /// After how many of its episodes.
    pub episodes_done: u32,
    /// What it was about.
    pub stream: Hash,
    /// Merkle tree hash of the map of all contributions that the node had.
    pub map_root: Hash,
    /// What was taken in, by author; the node's own contributions are not among them. Each is an artifact.
    pub heads: Vec<FederationContribution>,
    /// Whom the node left out by hand.
    pub excluded: Vec<String>,
    /// Whose contributions were left out, and why.
    pub left_out: Vec<LeftOut>,
    /// SHA-256 of what all contributions come to, the node's own too: the same at every node that has the same map.
    pub fold_sha256: Hash,
    /// What was taken in of others, an artifact; absent when there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heeded_sha256: Option<Hash>,
}

/// The id of what a run took in after so many episodes.
#[must_use]
pub fn merge_id(run: Hash, episodes_done: u32) -> String {
    format!("federation-merge:{run}:{episodes_done}")
}

impl Body for Merged {
    const KIND: Kind = MERGE;

    fn id(&self) -> String {
        merge_id(self.run, self.episodes_done)
    }

    fn subject(&self) -> String {
        subject(self.stream)
    }
}

/// A node decided whom it leaves out, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// Makes two decisions of the same content two.
    pub exclusion_id: Uuid,
    /// Whom.
    pub author: String,
    /// Grows with each decision of the node about the author.
    pub version: u64,
    /// From which of its contributions on.
    pub from_sequence: u64,
    /// Why.
    pub reason: String,
    /// False when an earlier exclusion is taken back.
    pub stands: bool,
}

/// The subject of all exclusions.
pub const EXCLUSIONS: &str = "federation:exclusions";

impl Body for Excluded {
    const KIND: Kind = EXCLUSION;

    fn id(&self) -> String {
        format!("federation-exclusion:{}", self.exclusion_id)
    }

    fn subject(&self) -> String {
        EXCLUSIONS.into()
    }
}
