//! The trainer's wire types for policies: importing them, asking them for decisions, and reporting the outcomes
//! of those.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    Hash,
    remembrancer::{Action, RecordReceipt},
    trainer::{AssumedPrice, EnvironmentSpec},
};

/// A policy to import, and the environment that it decides in. Exactly one of `file`, `artifact` and `rule`
/// says which policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"rule": "weighted-score", "environment": {"preset": "contended"}}))]
pub struct NewPolicy {
    /// A name for people. The same policy under another name is a different policy, with decisions of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200), custom(crate::common::without_nul)))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// A policy file (`ai-mesh-policy/2`), as `mesh train` writes it to `swarm_final.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    #[garde(skip)]
    pub file: Option<serde_json::Value>,
    /// A policy file that the remembrancer stores, by its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub artifact: Option<Hash>,
    /// A hand rule by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 100)))]
    #[schema(min_length = 1, max_length = 100)]
    pub rule: Option<String>,
    /// Providers, tenants, and what the policy may do. Its demand and its events do not matter here.
    #[garde(dive)]
    pub environment: EnvironmentSpec,
}

/// Where a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// It was trained.
    Learned,
    /// A hand rule.
    Rule,
}

/// A policy that can be asked for decisions. It neither learns nor explores while it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// Its id: the run's id for the policy of a run, a UUIDv5 over what was imported for an imported one.
    pub id: Uuid,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Learned, or a hand rule.
    pub kind: PolicyKind,
    /// The learner's name, or the rule's.
    #[schema(example = "q-learning")]
    pub algorithm: String,
    /// How many agents decide, in turn.
    pub agents: u32,
    /// The policy file, an artifact of the remembrancer; a hand rule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// The run that trained it, when that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Uuid>,
    /// The environment that it decides in.
    pub environment: EnvironmentSpec,
    /// SHA-256 of the environment's definition.
    pub environment_sha256: Hash,
    /// What its catalog lists without a price. Absent when everything has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed_prices: Vec<AssumedPrice>,
    /// Whether it may refuse a request even though a provider is feasible.
    pub may_hold: bool,
    /// Whether it may defer a request until the others of its call are decided.
    pub may_defer: bool,
    /// The `run` of its decisions in the ledger: SHA-256 over what determines them.
    pub digest: Hash,
    /// When it was imported, or its run ended.
    pub created_at: DateTime<Utc>,
    /// The ledger record that says where it comes from.
    pub record_id: String,
}

/// Which policies to list, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct PolicyQuery {
    /// Only learned ones, or only hand rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PolicyKind>,
    /// Only the one that this run learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Requests to decide, in order, and the current state of the market. Each decision uses up capacity and budget before
/// the next one is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"requests": [
    {"tenant": "tenant-research", "workload": "llm_inference", "gpu_hours": 0.8},
    {"tenant": "tenant-gaming", "workload": "cloud_gaming", "gpu_hours": 1.2, "max_latency_ms": 350}],
    "providers": [{"id": "akash", "remaining_gpu_hours": 12.5}, {"id": "flux", "available": false}]}))]
pub struct DecisionRequest {
    /// 1 to 1000 requests.
    #[garde(length(min = 1, max = 1000), dive)]
    #[schema(min_items = 1, max_items = 1000)]
    pub requests: Vec<RoutingRequest>,
    /// The providers that currently differ from the catalog.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub providers: Vec<ProviderNow>,
    /// The tenants that have already spent part of their budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub tenants: Vec<TenantNow>,
    /// What is wanted of these requests: the name of a preference, or weights. What the policy was trained for when absent;
    /// hand rules and policies of adaptive and cem can be asked for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<crate::PreferenceSpec>)]
    pub preference: Option<Value>,
}

/// One request for GPU time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct RoutingRequest {
    /// The tenant that asks: one of the environment's.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub tenant: String,
    /// The workload profile: one of the environment's.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub workload: String,
    /// The GPU type; the workload's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    pub gpu_type: Option<String>,
    /// GPU-hours, above 0.
    #[garde(range(min = 1e-9, max = 1e6))]
    #[schema(minimum = 1e-9, maximum = 1e6)]
    pub gpu_hours: f64,
    /// The highest latency that it accepts, in ms; the tenant's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1e-9, max = 1e9)))]
    #[schema(minimum = 1e-9, maximum = 1e9)]
    pub max_latency_ms: Option<f64>,
    /// The lowest reputation that it accepts, 0 to 100; the tenant's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 100.0)))]
    #[schema(minimum = 0, maximum = 100)]
    pub min_reputation: Option<f64>,
}

/// The current state of a provider. A field that is absent is as in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ProviderNow {
    /// The provider: one of the catalog's.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub id: String,
    /// False while it takes no jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub available: Option<bool>,
    /// Its current total capacity, in GPU-hours per step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e9)))]
    #[schema(minimum = 0, maximum = 1e9)]
    pub capacity_gpu_hours: Option<f64>,
    /// The capacity that is left, in GPU-hours; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e9)))]
    #[schema(minimum = 0, maximum = 1e9)]
    pub remaining_gpu_hours: Option<f64>,
    /// Its latency without load, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1.0, max = 1e6)))]
    #[schema(minimum = 1, maximum = 1e6)]
    pub latency_ms: Option<f64>,
    /// What its catalog prices are multiplied by: 1.1 when an A100 at 2 $/h costs 2.2 $/h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1e-3, max = 1e3)))]
    #[schema(minimum = 1e-3, maximum = 1e3)]
    pub price_multiplier: Option<f64>,
    /// Its reputation, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 100.0)))]
    #[schema(minimum = 0, maximum = 100)]
    pub reputation: Option<f64>,
}

/// The current state of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct TenantNow {
    /// The tenant: one of the environment's.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub id: String,
    /// The budget that is left for this step, in USD.
    #[garde(range(min = 0.0, max = 1e12))]
    #[schema(minimum = 0, maximum = 1e12)]
    pub remaining_budget_usd: f64,
}

/// The decisions of one call, each of them in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServedDecisions {
    /// The policy that decided.
    pub policy_id: Uuid,
    /// The `run` of the decisions in the ledger.
    pub run: Hash,
    /// One for each request, in the same order.
    pub decisions: Vec<ServedDecision>,
}

/// What a policy decided for one request, what it expects, and where the proof is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServedDecision {
    /// Its id, under which its outcome is reported: a UUIDv8 of its stream and its sequence number.
    pub id: Uuid,
    /// What to do with the request.
    pub action: Action,
    /// Why: `ok`, `held`, `no_viable_provider`, `infeasible_choice`.
    #[schema(example = "ok")]
    pub reason: String,
    /// Where to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "akash")]
    pub provider: Option<String>,
    /// The expected price per GPU-hour, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_price_usd_per_hour: Option<f64>,
    /// True when the catalog lists the provider's GPU type without a price: price and cost count with an assumed one.
    /// Absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub price_assumed: bool,
    /// The expected cost, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_cost_usd: Option<f64>,
    /// The expected latency, in ms, including its waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_latency_ms: Option<f64>,
    /// The probability with which the policy decides this way here.
    pub propensity: f64,
    /// The policy's estimate of the choice's value, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// True when it was deferred until the others of its call were decided.
    pub deferred: bool,
    /// The latency that its waiting adds, in ms; 0 when it was not deferred.
    pub wait_ms: f64,
    /// The agent that decided.
    pub agent: u32,
    /// Which of a deployment's policies decided: absent, 0, for the one that it was created with, else the challenger's
    /// position, from 1.
    #[serde(default, skip_serializing_if = "crate::common::is_zero")]
    pub arm: u32,
    /// Every provider that it was not sent to, in catalog order.
    pub alternatives: Vec<Alternative>,
    /// Its sequence number in `run`.
    pub sequence: u64,
    /// Its index in the log; absent where a deployment has promised that it will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// Where to get the evidence that `POST /v1/verify` and `mesh verify` check.
    #[schema(example = "http://127.0.0.1:8002/v1/log/evidence?run=…&sequence=0")]
    pub evidence_url: String,
}

/// A provider that a request was not sent to, in the state that it had at that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alternative {
    /// The provider.
    pub provider: String,
    /// Why not.
    pub reason: AlternativeReason,
    /// The reason with its figures.
    #[schema(example = "0.5 GPU-hours are left, 0.8 are needed")]
    pub detail: String,
    /// What it would have cost, in USD, when it was feasible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_cost_usd: Option<f64>,
    /// True when that, or the price for which the budget was too small, is an assumed one: the catalog has none. Absent
    /// otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub price_assumed: bool,
    /// The latency that it would have met, in ms, when it was feasible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_latency_ms: Option<f64>,
    /// The policy's score of it, on the policy's own scale (higher is better), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Why a request was not sent to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlternativeReason {
    /// It was feasible; the policy chose otherwise.
    NotChosen,
    /// It does not serve the tenant's region.
    Region,
    /// It does not have the GPU type.
    GpuType,
    /// It takes no jobs at the moment.
    Outage,
    /// Too little is left of its capacity.
    Capacity,
    /// Its reputation is too low.
    Reputation,
    /// It is too slow.
    Latency,
    /// It costs more than what is left of the tenant's budget.
    Budget,
    /// The request's job has failed there just now.
    Failed,
}

/// What actually happened to a request that a decision routed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"succeeded": true, "latency_ms": 318.5, "cost_usd": 1.44, "note": "one retry"}))]
pub struct Outcome {
    /// Whether the job was done.
    #[garde(skip)]
    pub succeeded: bool,
    /// Its actual latency, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e12)))]
    #[schema(minimum = 0, maximum = 1e12)]
    pub latency_ms: Option<f64>,
    /// Its actual cost, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e12)))]
    #[schema(minimum = 0, maximum = 1e12)]
    pub cost_usd: Option<f64>,
    /// The GPU-hours that it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1e9)))]
    #[schema(minimum = 0, maximum = 1e9)]
    pub gpu_hours_used: Option<f64>,
    /// Whether the provider took the GPUs away before it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub preempted: Option<bool>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub finished_at: Option<DateTime<Utc>>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 2000), custom(crate::common::without_nul)))]
    #[schema(min_length = 1, max_length = 2000)]
    pub note: Option<String>,
}

/// An outcome in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedOutcome {
    /// The decision.
    pub decision_id: Uuid,
    /// What happened.
    pub outcome: Outcome,
    /// The ledger's receipt; the same outcome again gets the same one.
    pub receipt: RecordReceipt,
}

/// A served decision as the ledger has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionDetails {
    /// Its id.
    pub id: Uuid,
    /// The policy that decided.
    pub policy_id: Uuid,
    /// Its index in the log.
    pub log_index: u64,
    /// The decision. Its cost, latency and reward are what was expected.
    pub decision: crate::remembrancer::Decision,
    /// Where to get the evidence for it.
    pub evidence_url: String,
    /// What actually happened, once it has been reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The outcome's record in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_record_id: Option<String>,
}
