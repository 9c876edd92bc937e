//! The trainer's wire types for deployments: policies that decide a stream of real requests, remember what they sent where,
//! and learn from what became of it.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    Hash,
    policies::{ProviderNow, RoutingRequest, ServedDecision, TenantNow},
    trainer::{FederationContribution, LeftOut},
};

mod challengers;
mod promises;

pub use promises::{Durability, PromiseStatus, PromisedDecisions};

pub use challengers::{
    ArmFigures, Challenger, ChallengerMode, ChallengerState, ChallengerStatus, ChangeChampion, Comparison,
    Guardrails, Promotion, RewardDifference, ShadowStatus,
};

/// A policy to deploy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "gateway", "policy_id": "1fcb0350-dd98-567b-8e27-2cbd7cecde9d",
    "step_seconds": 3600, "explore": {"epsilon": 0.02, "cost_guard": 0.2},
    "challengers": [{"policy_id": "1fcb0350-dd98-567b-8e27-2cbd7cecde9d", "mode": "shadow"}]}))]
pub struct NewDeployment {
    /// Its name: lowercase letters, digits and hyphens. No two deployments of a ledger have the same.
    #[garde(length(bytes, min = 1, max = 63), custom(is_name))]
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*$")]
    pub name: String,
    /// The policy that decides. It decides in the environment that it was imported with.
    #[garde(skip)]
    pub policy_id: Uuid,
    /// How long a window is, in seconds: a step of the environment, for which its capacities and budgets are given.
    #[serde(default = "default_step_seconds")]
    #[garde(range(min = 1, max = 604_800))]
    #[schema(minimum = 1, maximum = 604_800, default = 3600)]
    pub step_seconds: u32,
    /// How long before the end of a window those requests are decided that wait for it, in seconds: less than
    /// `step_seconds`. Jobs of theirs that fail can then be tried again within the window.
    #[serde(default)]
    #[garde(range(max = 604_799))]
    #[schema(minimum = 0, maximum = 604_799, default = 0)]
    pub settle_seconds: u32,
    /// Whose clock counts.
    #[serde(default)]
    #[garde(skip)]
    pub clock: Clock,
    /// When the first window begins; when the deployment is created, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub starts_at: Option<DateTime<Utc>>,
    /// Tries providers at random; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub explore: Option<Explore>,
    /// How long an outcome is waited for, in seconds. It is missing after that: nobody takes the job for done.
    #[serde(default = "default_outcome_deadline")]
    #[garde(range(min = 1, max = 31_536_000))]
    #[schema(minimum = 1, maximum = 31_536_000, default = 86_400)]
    pub outcome_deadline_seconds: u32,
    /// How long a job holds the GPU-hours that it was sent for, in seconds, unless its outcome is told before: for its
    /// window, when absent, because capacities are GPU-hours a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 31_536_000)))]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub hold_seconds: Option<u32>,
    /// Policies that may take its place. The canaries among them decide at most 0.9 of the requests together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 8), dive)]
    #[schema(max_items = 8)]
    pub challengers: Vec<Challenger>,
    /// What the jobs of canaries may come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub guardrails: Option<Guardrails>,
    /// Who promotes a canary that has earned more than the champion.
    #[serde(default, skip_serializing_if = "Promotion::is_automatic")]
    #[garde(skip)]
    pub promotion: Promotion,
    /// What is wanted of its decisions: the name of a preference, or weights, as they are shown, with preferences of single
    /// tenants among them. What the champion was trained for when absent; hand rules and policies of adaptive and cem can be
    /// asked for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<crate::PreferenceSpec>)]
    pub preference: Option<Value>,
    /// When a call for decisions is answered: once they are in the ledger, or at once, with a signed promise that they will be.
    #[serde(default, skip_serializing_if = "Durability::is_ledger")]
    #[garde(skip)]
    pub durability: Durability,
    /// Whether deployments of other nodes are told what its providers do, window by window, and it acts on what they tell. For
    /// policies of adaptive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub federate: bool,
}

/// Whose clock a deployment goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The trainer's.
    #[default]
    System,
    /// The callers', who say in each call what time it is: for tests, and for replaying what was.
    Caller,
}

/// How providers are tried at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Explore {
    /// The probability with which a request is sent to one of the guarded providers at random.
    #[garde(range(min = 0.0, max = 1.0))]
    #[schema(minimum = 0, maximum = 1)]
    pub epsilon: f64,
    /// A provider is guarded when its price is at most so much above the cheapest feasible one's: 0.2 is a fifth.
    #[serde(default = "default_cost_guard")]
    #[garde(range(min = 0.0, max = 1000.0))]
    #[schema(minimum = 0, maximum = 1000, default = 0.2)]
    pub cost_guard: f64,
}

/// Where a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStatus {
    /// It takes requests.
    Serving,
    /// It takes none any more. Outcomes are still recorded.
    Stopped,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// Its id: a UUIDv5 over its name.
    pub id: Uuid,
    /// Whether it takes requests.
    pub status: DeploymentStatus,
    /// The `run` of its decisions in the ledger: SHA-256 over what determines them.
    pub run: Hash,
    /// What it was created with.
    pub settings: NewDeployment,
    /// The learner's name, or the rule's.
    pub algorithm: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Where its stream stands. Absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<DeploymentStream>,
}

/// Where the stream of a deployment's decisions stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentStream {
    /// The window under way.
    pub window: DeploymentWindow,
    /// Decisions made.
    pub decisions: u64,
    /// Requests that wait for the end of the window.
    pub waiting: u64,
    /// What was told of the jobs that were sent somewhere.
    pub outcomes: OutcomeCounts,
    /// The providers now, in catalog order.
    pub providers: Vec<ProviderLeft>,
    /// The tenants now, in file order.
    pub tenants: Vec<TenantNow>,
    /// The arm that is the champion: absent, 0, for the policy that the deployment was created with.
    #[serde(default, skip_serializing_if = "crate::common::is_zero")]
    pub champion: u32,
    /// The challengers, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challengers: Vec<ChallengerStatus>,
    /// Where its promises stand, where it makes some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promises: Option<PromiseStatus>,
    /// What it acts on of what other nodes have seen, where it has heard of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<HeardOthers>,
    /// SHA-256 over all that the next decisions are a function of, beside what the policy has seen of earlier windows: two
    /// trainers that continue the same records have the same.
    pub state_sha256: Hash,
}

/// What a deployment has heard of other nodes' deployments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeardOthers {
    /// The window in which it last heard something new.
    pub window: u32,
    /// Whose contributions it acts on.
    pub authors: Vec<FederationContribution>,
    /// Whose not, and why.
    pub left_out: Vec<LeftOut>,
}

/// A window of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentWindow {
    /// Its number, from 0: the `step` of its decisions.
    pub number: u32,
    /// When it began.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// Whether those that waited have been decided.
    pub has_settled: bool,
}

/// What was told of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutcomeCounts {
    /// Jobs that were done.
    pub succeeded: u64,
    /// Jobs that were not.
    pub failed: u64,
    /// Jobs of which nothing was told yet.
    pub open: u64,
    /// Jobs of which nothing was told in time.
    pub missing: u64,
}

/// What is left of a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProviderLeft {
    /// The provider.
    pub id: String,
    /// Whether it takes jobs.
    pub available: bool,
    /// Its capacity, in GPU-hours a window.
    pub capacity_gpu_hours: f64,
    /// What is left of it.
    pub remaining_gpu_hours: f64,
    /// Jobs sent there of which nothing was told yet.
    pub open_jobs: u64,
}

/// Requests to decide, in order. What is said of providers and tenants wins over what the deployment remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"requests": [
    {"request": {"tenant": "tenant-research", "workload": "llm_inference", "gpu_hours": 0.8}}]}))]
pub struct DeploymentRequest {
    /// 1 to 1000 requests.
    #[garde(length(min = 1, max = 1000), dive)]
    #[schema(min_items = 1, max_items = 1000)]
    pub requests: Vec<DeployedRequest>,
    /// The providers as they are now, as in `PUT …/market`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub providers: Vec<ProviderNow>,
    /// The tenants as they are now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub tenants: Vec<TenantNow>,
    /// What time it is, where callers say so (`clock`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub now: Option<DateTime<Utc>>,
}

/// A request of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct DeployedRequest {
    /// What is asked for.
    #[garde(dive)]
    pub request: RoutingRequest,
    /// The decision that sent it somewhere where its job has failed: it goes elsewhere, and counts as the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub retry_of: Option<Uuid>,
    /// The request's own id, where its caller has one. Which arm decides it depends on this alone then, and requests of one id
    /// are decided by one arm; else each is drawn for anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    pub id: Option<String>,
}

/// The decisions of one call, each of them in the ledger, or promised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentDecisions {
    /// The deployment.
    pub deployment: String,
    /// The `run` of the decisions in the ledger.
    pub run: Hash,
    /// The window in which they were made.
    pub window: u32,
    /// One for each request, in the same order. One with the reason `deferred` waits for the end of the window: `GET
    /// /v1/deployments/{name}/decisions/{id}` tells then where it goes.
    pub decisions: Vec<ServedDecision>,
    /// That they will be in the ledger, where the deployment answers before they are (`durability`). Absent too where the ledger
    /// was asked what was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<PromisedDecisions>,
}

/// What became of a request that was deferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeferredDecision {
    /// The decision that deferred it.
    pub deferral_id: Uuid,
    /// Whether it still waits.
    pub is_waiting: bool,
    /// Where it goes, once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ServedDecision>,
}

/// Providers and tenants as they are now, for as long as nothing else is said; what is left of a capacity or a budget is
/// said for the window under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"providers": [{"id": "akash", "price_multiplier": 1.2}, {"id": "flux", "available": false}]}))]
pub struct MarketUpdate {
    /// The providers that have changed, and what of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub providers: Vec<ProviderNow>,
    /// What is left of tenants' budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub tenants: Vec<TenantNow>,
    /// What time it is, where callers say so (`clock`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub now: Option<DateTime<Utc>>,
}

/// Why a deployment is stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "another policy is better"}))]
pub struct StopDeployment {
    /// For whoever reads the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 2000), custom(crate::common::without_nul)))]
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: Option<String>,
}

/// What time it is, where callers say so.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct MomentQuery {
    /// What time it is, where callers say so (`clock`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub now: Option<DateTime<Utc>>,
}

/// A decision that sent a request somewhere, and of which nothing was told yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenDecision {
    /// The decision.
    pub id: Uuid,
    /// Its sequence number.
    pub sequence: u64,
    /// The window in which it was made.
    pub window: u32,
    /// Where its request was sent.
    pub provider: String,
    /// The tenant that asked.
    pub tenant: String,
    /// GPU-hours.
    pub gpu_hours: f64,
    /// When its outcome is missing.
    pub missing_at: DateTime<Utc>,
}

/// Which open decisions to list, the oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct OpenDecisionQuery {
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

fn default_step_seconds() -> u32 {
    3600
}

fn default_outcome_deadline() -> u32 {
    86_400
}

fn default_cost_guard() -> f64 {
    0.2
}

fn is_name(name: &str, _: &()) -> garde::Result {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.bytes().next().is_some_and(is_plain);
    if first && name.bytes().all(|byte| is_plain(byte) || byte == b'-') {
        return Ok(());
    }
    Err(garde::Error::new("expected lowercase letters, digits and hyphens, the first no hyphen"))
}
