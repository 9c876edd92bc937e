//! Nodes that learn from each other: what a run is told of it, and what a trainer shows of it.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Hash, remembrancer::Evidence};

/// How a run learns with others: it publishes what it has seen, and acts on what all have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"every": 2}))]
pub struct Federate {
    /// Between how many episodes it exchanges with the others, 1 to 1,000,000.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub every: u32,
    /// Tells the run from others of the same configuration, which meet other evidence; drawn when absent. A run that is told
    /// the one of an earlier run takes the exchanges that are recorded of it, and comes to the same root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub id: Option<Uuid>,
}

impl Default for Federate {
    fn default() -> Self {
        Self { every: 1, id: None }
    }
}

/// What this node has of the federation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Federation {
    /// This node: the verifier key of its remembrancer's log. It is what others configure as their peer.
    #[schema(example = "ai-mesh.local/log+5c2b6a8e+AZCz…")]
    pub author: String,
    /// Merkle tree hash (RFC 6962) of the map of who has contributed what: nodes with equal roots have the same.
    pub root: Hash,
    /// Whom it exchanges with.
    pub peers: Vec<FederationPeer>,
    /// What there is, by stream.
    pub streams: Vec<FederationStream>,
    /// Whom this node leaves out, by decision of its operator.
    pub exclusions: Vec<Exclusion>,
    /// Whom other nodes leave out: advice, which is never followed by itself.
    pub advice: Vec<ExclusionAdvice>,
}

/// Another node, as this one is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FederationPeer {
    /// Its log's verifier key.
    pub author: String,
    /// Its trainer's address.
    pub url: String,
    /// When it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<DateTime<Utc>>,
    /// Why it did not the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A stream: evidence that can be folded together, because it was learned by the same learner about the same world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FederationStream {
    /// SHA-256 of what the stream is about.
    pub id: Hash,
    /// What it is about: learner, settings, catalog, preference and version; absent where this node has no run of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub about: Option<Value>,
    /// Who has contributed.
    pub contributions: Vec<FederationContribution>,
    /// SHA-256 of what all contributions that are heeded come to: the same at every node with the same map and the same
    /// exclusions. Absent where there is nothing to fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold_sha256: Option<Hash>,
    /// Whose contributions are left out, and why.
    pub left_out: Vec<LeftOut>,
}

/// The latest contribution of an author to a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FederationContribution {
    /// Whose.
    pub author: String,
    /// The author's number for it.
    pub sequence: u64,
    /// SHA-256 of its bytes: `GET /v1/federation/contributions/{sha256}`.
    pub sha256: Hash,
    /// How many observations it is made of.
    pub evidence: u64,
    /// The evidence that its author's log names it, an artifact of this node's ledger: of what was taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_sha256: Option<Hash>,
}

/// A contribution, and that its author's log names it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProvedContribution {
    /// What the author has seen itself: sums, counts, visited values, and what made them. Its SHA-256 is over exactly these
    /// characters.
    #[schema(value_type = Object)]
    pub contribution: Box<RawValue>,
    /// Evidence of the record that names it, signed by the author's log.
    pub evidence: Evidence,
}

/// Somebody whose contribution is not acted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Who.
    pub author: String,
    /// Why, with the figures.
    #[schema(value_type = Object)]
    pub why: Value,
}

/// Whom to leave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"author": "ai-mesh.example/log+c3482a7f+AZCzqNDHB0LcM/BGSGyiF3YUwFBUSQm65eMZ1w0O4Iyh", "reason": "its figures are made up"}))]
pub struct Exclusion {
    /// The log's verifier key.
    pub author: String,
    /// From which of its contributions on; all of them when absent.
    #[serde(default)]
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    pub from_sequence: u64,
    /// Why, for people; 1 to 1000 characters.
    #[garde(length(chars, min = 1, max = 1000))]
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
    /// False takes an earlier exclusion back.
    #[serde(default = "stands")]
    pub stands: bool,
}

fn stands() -> bool {
    true
}

/// What another node decided for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExclusionAdvice {
    /// Who.
    pub by: String,
    /// What.
    pub exclusion: Exclusion,
}

/// What one node tells another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"from": "ai-mesh.example/log+c3482a7f+AZCzqNDHB0LcM/BGSGyiF3YUwFBUSQm65eMZ1w0O4Iyh", "messages": [
    {"message": "roots", "answer": false, "roots": {
        "heads": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "advice": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}]}))]
pub struct GossipMessages {
    /// The verifier key of the sender's log.
    pub from: String,
    /// Roots, heads, wants and contributions. Nothing of it is believed for who sends it: a contribution counts when its
    /// author's log proves it.
    #[garde(length(max = 1000))]
    #[schema(value_type = Vec<Object>, max_items = 1000)]
    pub messages: Vec<Value>,
}
