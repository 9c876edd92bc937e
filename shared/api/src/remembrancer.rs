//! The remembrancer's wire types: decisions, records, artifacts, the log and its proofs.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, schema::Schema},
};
use uuid::Uuid;

use crate::{Format, Hash};

mod kind;
mod leases;
mod verification;
mod witness;

pub use kind::{InvalidRecordKind, RecordKind};
pub use leases::{Fence, FenceQuery, Lease, LeaseClaim, LeaseQuery, LeaseRelease, LeaseRenewal};
pub use verification::{BareProof, Evidence, Finding, KeyKnown, Size, ToVerify, TrustQuery, Verdict};
pub use witness::{Cosignatures, CosignedBy, CosignedCheckpoint, TreeHead, Witness, WitnessedLog};

/// What an agent did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sent to `provider`.
    Route,
    /// Refused even though a provider was feasible.
    Hold,
    /// No provider was feasible, or the chosen one was not.
    Drop,
}

/// One request and what the policy did with it. Its identity is (`run`, `sequence`).
///
/// Its RFC 8785 canonical JSON is the log's leaf, so it carries no clock time and no UUID: the same
/// run gives the same bytes. Absent values are left out, never null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Decision {
    /// The run's digest: SHA-256 of its canonical configuration, seed included.
    pub run: Hash,
    /// Position in the run, from 0 without gaps.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub sequence: u64,
    /// The episode, from 0.
    pub episode: u32,
    /// The step within the episode, from 0.
    pub step: u32,
    /// The agent that decided, from 0.
    pub agent: u32,
    /// The tenant that asked.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub tenant: String,
    /// The workload profile.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub workload: String,
    /// The GPU type that the workload needs.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub gpu_type: String,
    /// GPU-hours requested.
    #[garde(range(min = 0.0, max = 1e12))]
    #[schema(minimum = 0, maximum = 1e12)]
    pub gpu_hours: f64,
    /// What the agent did.
    pub action: Action,
    /// Why: `ok`, `held`, `no_viable_provider`, `infeasible_choice`, `failed`.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
    /// The provider, when routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub provider: Option<String>,
    /// Price paid per GPU-hour in USD, when routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e300)))]
    #[schema(minimum = 0, maximum = 1e300)]
    pub price_usd_per_hour: Option<f64>,
    /// True when the catalog lists the provider's GPU type without a price: price and cost count with an assumed one.
    /// Absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub price_assumed: bool,
    /// Latency including waiting, in ms, when routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e300)))]
    #[schema(minimum = 0, maximum = 1e300)]
    pub latency_ms: Option<f64>,
    /// Price times hours in USD, when routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e300)))]
    #[schema(minimum = 0, maximum = 1e300)]
    pub cost_usd: Option<f64>,
    /// The request's own reward.
    pub reward: f64,
    /// True when exploration chose the action.
    pub explored: bool,
    /// The probability with which the policy took this action here; above 0, since it was taken.
    #[garde(custom(probability_of_what_happened))]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub propensity: f64,
    /// The policy's estimate of the chosen action's value, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Steps of the run that the policy had learned from when it decided.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub policy_version: u64,
    /// True when the request was first deferred to the end of the step.
    pub deferred: bool,
    /// The latency that its waiting added, in ms; 0 when it was not deferred.
    #[garde(range(min = 0.0, max = 1e300))]
    #[schema(minimum = 0, maximum = 1e300)]
    pub wait_ms: f64,
    /// Where several policies decide in one stream (`challengers` of a deployment), which one did: absent, 0, for the one that
    /// the deployment was created with, else the challenger's position, from 1.
    #[serde(default, skip_serializing_if = "crate::common::is_zero")]
    #[garde(range(max = 1_000_000))]
    #[schema(maximum = 1_000_000)]
    pub arm: u32,
}

/// Consecutive decisions of one run. Either all are recorded or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct DecisionBatch {
    /// 1 to 20,000 decisions of one run with consecutive sequence numbers.
    #[garde(length(min = 1, max = 20_000), dive)]
    #[schema(min_items = 1, max_items = 20_000)]
    pub decisions: Vec<Decision>,
    /// Only when a run that began on another log resumes on this one: the Merkle frontier (RFC 6962 roots of the
    /// complete subtrees, largest first) over the decisions before the first of this batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(max = 64)))]
    pub frontier: Option<Vec<Hash>>,
}

/// Proof that consecutive decisions were committed together. The same decisions always get the same receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The run's digest.
    pub run: Hash,
    /// The first decision that this receipt covers.
    pub first_sequence: u64,
    /// How many it covers.
    pub count: u64,
    /// The log index of the first.
    pub first_log_index: u64,
    /// The log's size right after the commit.
    pub tree_size: u64,
    /// The log's root right after the commit.
    pub root_hash: Hash,
}

/// The answer to a batch: one receipt for each commit that contained some of its decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchReceipts {
    /// Decisions that were new; the others had been recorded before, byte for byte the same.
    pub recorded: u64,
    /// In the order of the sequence numbers.
    pub receipts: Vec<Receipt>,
}

/// How far a run's decisions are in this log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunHead {
    /// The run's digest.
    pub run: Hash,
    /// The first sequence number that this log holds (above 0 when the run began on another log).
    pub first_sequence: u64,
    /// The next sequence number that this log expects.
    pub next_sequence: u64,
    /// RFC 6962 root over all of the run's decisions so far, in order.
    pub run_root: Hash,
    /// The record that says that decisions of it were deleted; absent where all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<String>,
}

/// A run's decisions were deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedDecisions {
    /// The run's digest.
    pub run: Hash,
    /// How many were deleted now; 0 when all had been deleted before.
    pub decisions: u64,
    /// The record about it: who wanted it, when, and why.
    pub record_id: String,
    /// RFC 6962 root over the run's decisions, which it keeps.
    pub run_root: Hash,
}

/// Why decisions are to be deleted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeletionQuery {
    /// Why. It is recorded.
    #[garde(length(bytes, min = 1, max = 1000))]
    #[param(example = "its disk is full")]
    pub reason: String,
    /// Who wants it, in the caller's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200)))]
    pub by: Option<String>,
}

/// A decision with its index in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedDecision {
    /// The decision's index in the log.
    pub log_index: u64,
    /// The decision itself.
    #[serde(flatten)]
    pub decision: Decision,
}

impl utoipa::PartialSchema for RecordedDecision {
    /// The decision's own schema and one more property: it admits no unknown ones, so `allOf` would refuse
    /// `log_index`.
    fn schema() -> RefOr<Schema> {
        match Decision::schema() {
            RefOr::T(Schema::Object(mut decision)) => {
                decision.description = Some("A decision with its index in the log.".to_owned());
                let mut index = u64::schema();
                if let RefOr::T(Schema::Object(index)) = &mut index {
                    index.description = Some("The decision's index in the log.".to_owned());
                }
                decision.properties.insert("log_index".to_owned(), index);
                decision.required.push("log_index".to_owned());
                RefOr::T(Schema::Object(decision))
            }
            other => other,
        }
    }
}

impl ToSchema for RecordedDecision {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Decision::schemas(schemas);
    }
}

/// Which decisions to list. All filters must match.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct DecisionQuery {
    /// Only this run's decisions (its digest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Hash>,
    /// Only this episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<u32>,
    /// Only this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Only this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<u32>,
    /// Only this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Only decisions from this sequence number on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub from_sequence: Option<u64>,
    /// `json` for a page, `ndjson` or `csv` for all matching decisions as a stream; when absent, the `Accept` header
    /// decides. Streams have routes of their own in the documents, where each operation answers one media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(ignore)]
    pub format: Option<Format>,
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

// `DecisionQuery` without the page: serde cannot flatten one into the other and refuse unknown fields too.
/// Which decisions to stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct DecisionExportQuery {
    /// Only this run's decisions (its digest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Hash>,
    /// Only this episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<u32>,
    /// Only this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Only this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<u32>,
    /// Only this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Only decisions from this sequence number on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub from_sequence: Option<u64>,
}

impl From<DecisionExportQuery> for DecisionQuery {
    fn from(query: DecisionExportQuery) -> Self {
        let DecisionExportQuery { run, episode, step, agent, tenant, provider, action, from_sequence } =
            query;
        let paging = Self::default();
        Self { run, episode, step, agent, tenant, provider, action, from_sequence, ..paging }
    }
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewRecord {
    /// The caller's id for it. When absent, the `Idempotency-Key` header is the id, or else a new UUIDv7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub id: Option<String>,
    /// What it is about.
    pub kind: RecordKind,
    /// The thing that it is about, such as `run:0198…` or `swarm:default`; records can be listed by it.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    #[schema(example = "component:ai-mesh-training")]
    pub subject: String,
    /// The content: a JSON object without duplicate keys, at most 64 levels deep.
    #[schema(value_type = Object)]
    #[serde(deserialize_with = "crate::json_object::strict")]
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// A record of the log. Its canonical JSON without `log_index` is the leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// Its index in the log.
    pub log_index: u64,
    /// Its id.
    pub id: String,
    /// What it is about.
    pub kind: RecordKind,
    /// The thing it is about.
    pub subject: String,
    /// When it was first recorded.
    pub recorded_at: DateTime<Utc>,
    /// The content.
    #[schema(value_type = Object)]
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// Which records to list. All filters must match. The order is the log's, unless `q` is given alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct RecordQuery {
    /// Only records with these words, as in a web search: all of them in any order and in any inflection,
    /// `"a phrase"`, `either or other`, `-without`. Words are looked for in the kind and what it stands for, in the
    /// subject, and in the names and values of the body. The best match comes first, of equal ones the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 1000)))]
    #[param(min_length = 1, max_length = 1000)]
    #[param(example = "ai-mesh routing decisions")]
    pub q: Option<String>,
    /// Only records from this time on (`recorded_at`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only records before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub until: Option<DateTime<Utc>>,
    /// Only this kind and its special cases: `run` stands for `run` and for every `run.…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "run")]
    pub kind: Option<RecordKind>,
    /// Only records whose subject has no record of these kinds, or of their special cases: kinds, separated by commas.
    /// This finds what was begun and has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 1000)))]
    #[param(min_length = 1, max_length = 1000, example = "evaluation.completed,evaluation.failed")]
    pub without: Option<String>,
    /// Only records with this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Only records after this index in the log. Whoever has read the log up to there asks for what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub after_log_index: Option<u64>,
    /// True for the newest first, false for the oldest first. When absent, the best match comes first with `q`, else
    /// the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_first: Option<bool>,
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A stored artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    /// SHA-256 of the content: its name.
    pub sha256: Hash,
    /// Its length.
    pub size_bytes: u64,
    /// Its media type, as it was given when it was stored.
    #[schema(example = "application/json")]
    pub media_type: String,
}

/// The log's head, as a C2SP signed note and in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// Leaves of the log.
    pub tree_size: u64,
    /// The root over them.
    pub root_hash: Hash,
    /// The signed note (C2SP tlog-checkpoint), with the cosignatures that this log has of it; keep its characters as they are.
    pub note: String,
}

/// The key that the log signs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogKey {
    /// The note verifier key (C2SP signed-note): `name+hash+base64`.
    pub verifier_key: String,
}

/// Which leaf to prove: by `log_index`, by `record`, or by `run` and `sequence`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct LeafQuery {
    /// The leaf's index in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub log_index: Option<u64>,
    /// A record's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// A run's digest, with `sequence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Hash>,
    /// A decision's sequence number in `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub sequence: Option<u64>,
    /// The size of the tree to prove against; the whole log by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub tree_size: Option<u64>,
    /// Prove against the last checkpoint that enough witnesses cosigned, instead of the whole log; not beside `tree_size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<bool>,
}

/// Proof that a leaf is in the tree (RFC 6962, 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InclusionProof {
    /// The leaf's index.
    pub log_index: u64,
    /// The tree's size.
    pub tree_size: u64,
    /// The leaf's hash.
    pub leaf_hash: Hash,
    /// The tree's root.
    pub root_hash: Hash,
    /// The audit path, from the leaf up.
    pub path: Vec<Hash>,
}

/// Two sizes of the log.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct ConsistencyQuery {
    /// The older, smaller size, at least 1.
    #[garde(range(min = 1, max = crate::MAX_SAFE_INTEGER))]
    #[param(minimum = 1)]
    pub from: u64,
    /// The newer size; the whole log by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub to: Option<u64>,
}

/// Proof that the newer tree only appended to the older (RFC 6962, 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyProof {
    /// The older size.
    pub from: u64,
    /// The newer size.
    pub to: u64,
    /// The older root.
    pub from_root: Hash,
    /// The newer root.
    pub to_root: Hash,
    /// The proof's nodes.
    pub path: Vec<Hash>,
}

/// Where a record was appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordReceipt {
    /// The record's id.
    pub id: String,
    /// Its index in the log.
    pub log_index: u64,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// The log's size right after the commit.
    pub tree_size: u64,
    /// The log's root right after the commit.
    pub root_hash: Hash,
}

/// The subject of all records about a run, and the name of its lease.
#[must_use]
pub fn run_subject(run: Uuid) -> String {
    format!("run:{run}")
}

/// An action that was taken had a probability above 0.
fn probability_of_what_happened(propensity: &f64, _: &()) -> garde::Result {
    if *propensity > 0.0 && *propensity <= 1.0 {
        return Ok(());
    }
    Err(garde::Error::new("expected a probability above 0 and at most 1"))
}
