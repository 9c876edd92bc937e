//! The evaluator's wire types.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    Hash,
    trainer::{AssumedPrice, EnvironmentSpec},
};

/// An evaluation to run: learned policies and hand rules on the same held-out seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"environment": {"preset": "contended"}, "seeds": 3}))]
pub struct NewEvaluation {
    /// Learned policies: artifacts of the remembrancer, by SHA-256.
    #[garde(length(max = 20))]
    #[schema(max_items = 20)]
    pub policies: Vec<Hash>,
    /// Hand rules to compare with; all when absent. The baseline `weighted-score` always takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(max = 50)))]
    pub rules: Option<Vec<String>>,
    /// Providers, tenants and demand.
    #[garde(dive)]
    pub environment: EnvironmentSpec,
    /// How many held-out seeds, 2 to 1000.
    #[garde(range(min = 2, max = 1000))]
    #[schema(minimum = 2, maximum = 1000)]
    pub seeds: u32,
    /// The first of them; at least 2^32.
    #[garde(range(min = crate::FIRST_HELD_OUT_SEED, max = crate::MAX_SAFE_INTEGER - 1000))]
    #[schema(minimum = 4_294_967_296_i64, maximum = 9_007_199_254_739_991_i64)]
    pub first_seed: u64,
    /// Steps of each episode; as the workloads say when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1_000_000)))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub steps: Option<u32>,
    /// Steps of each episode for which the physical limit is solved: 0 for none; when absent, as many as can be
    /// solved in reasonable time. They are a stratified sample, drawn from the episode's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = 1_000_000)))]
    #[schema(maximum = 1_000_000)]
    pub limit_steps: Option<u32>,
}

impl Default for NewEvaluation {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            rules: None,
            environment: EnvironmentSpec::default(),
            seeds: 20,
            first_seed: crate::FIRST_HELD_OUT_SEED,
            steps: None,
            limit_steps: None,
        }
    }
}

/// The state of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationStatus {
    /// Queued or being computed.
    Running,
    /// Done; see `result`.
    Completed,
    /// Could not be computed; `error` says why.
    Failed,
}

/// An evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evaluation {
    /// Its id.
    pub id: Uuid,
    /// Its state.
    pub status: EvaluationStatus,
    /// The request that created it.
    pub config: NewEvaluation,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Episodes done, over all policies.
    pub episodes_done: u64,
    /// Episodes to play in all.
    pub episodes_total: u64,
    /// Steps whose physical limit is known, over all seeds.
    #[serde(default)]
    pub limit_steps_done: u64,
    /// Steps whose physical limit is wanted; 0 where there is none.
    #[serde(default)]
    pub limit_steps_total: u64,
    /// What its catalog lists without a price. Absent when everything has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed_prices: Vec<AssumedPrice>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EvaluationResult>,
    /// The id of its ledger record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A metric over seeds: its mean with a 95 % bootstrap interval, and the spread of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The interval's low end.
    pub ci_low: f64,
    /// The interval's high end.
    pub ci_high: f64,
    /// The interquartile mean: the mean of the middle half of the seeds, which no single seed can move far
    /// (Agarwal et al. 2021).
    pub iqm: f64,
    /// The sample standard deviation of the seeds (n − 1); `null` for a single seed.
    #[schema(required)]
    pub std_dev: Option<f64>,
}

/// A ratio with its 95 % bootstrap interval over seeds. It is a ratio of sums, not the mean of the seeds' ratios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// The ratio.
    pub mean: f64,
    /// The interval's low end.
    pub ci_low: f64,
    /// The interval's high end.
    pub ci_high: f64,
}

/// Requests routed / requested, by the job's GPU-hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FillBySize {
    /// Below 3 GPU-hours.
    #[schema(required)]
    pub under_3h: Option<Estimate>,
    /// From 3 to below 6.
    #[schema(required)]
    pub from_3h_to_6h: Option<Estimate>,
    /// From 6 on.
    #[schema(required)]
    pub from_6h: Option<Estimate>,
}

/// The metrics of a policy, or their paired differences. `null` where no seed has data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricEstimates {
    /// Requests routed / requested.
    #[schema(required)]
    pub fill_rate: Option<Estimate>,
    /// GPU-hours served / requested.
    #[schema(required)]
    pub gpu_hours_fill: Option<Estimate>,
    /// Mean cost of a routed request.
    #[schema(required)]
    pub avg_cost_usd: Option<Estimate>,
    /// Paid per GPU-hour served.
    #[schema(required)]
    pub cost_per_gpu_hour_usd: Option<Estimate>,
    /// Paid / cheapest list price for the same hours.
    #[schema(required)]
    pub cost_index: Option<Estimate>,
    /// Fill rate by job size.
    pub fill_by_size: FillBySize,
    /// The worst tenant's GPU-hours fill.
    #[schema(required)]
    pub worst_tenant_gpu_hours_fill: Option<Estimate>,
    /// Requests deferred / requested.
    #[schema(required)]
    pub deferred_share: Option<Estimate>,
    /// Mean latency of a routed request, including its waiting.
    #[schema(required)]
    pub avg_latency_ms: Option<Estimate>,
    /// Mean `excess-cost` reward per request.
    #[schema(required)]
    pub reward: Option<Estimate>,
}

/// The metrics of a tenant. `null` where no seed has data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantEstimates {
    /// The tenant's id.
    pub tenant: String,
    /// Requests routed / requested.
    #[schema(required)]
    pub fill_rate: Option<Estimate>,
    /// GPU-hours served / requested.
    #[schema(required)]
    pub gpu_hours_fill: Option<Estimate>,
    /// Paid per GPU-hour served.
    #[schema(required)]
    pub cost_per_gpu_hour_usd: Option<Estimate>,
    /// Mean latency of a routed request, including its waiting.
    #[schema(required)]
    pub avg_latency_ms: Option<Estimate>,
}

/// A job's size by its GPU-hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum JobSize {
    /// Below 3 GPU-hours.
    #[serde(rename = "under_3h")]
    Under3h,
    /// From 3 to below 6.
    #[serde(rename = "from_3h_to_6h")]
    From3hTo6h,
    /// From 6 on.
    #[serde(rename = "from_6h")]
    From6h,
}

/// The metrics of the jobs of one size. `null` where no seed has data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SizeEstimates {
    /// The size.
    pub size: JobSize,
    /// Requests routed / requested.
    #[schema(required)]
    pub fill_rate: Option<Estimate>,
    /// GPU-hours served / requested.
    #[schema(required)]
    pub gpu_hours_fill: Option<Estimate>,
}

/// The metrics by tenant and by job size: who is served, and how well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fairness {
    /// By tenant, in the workloads' order.
    pub by_tenant: Vec<TenantEstimates>,
    /// By job size, the smallest first.
    pub by_size: Vec<SizeEstimates>,
}

/// One policy's part of the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyResult {
    /// The rule's or the algorithm's name.
    pub name: String,
    /// True when it was trained.
    pub learned: bool,
    /// True for a rule that is told what is hidden from the others: it shows what that knowledge is worth, and is
    /// not ranked.
    pub reference: bool,
    /// The policy's artifact, when it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// Episodes of its training, when it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_episodes: Option<u32>,
    /// Its metrics.
    pub metrics: MetricEstimates,
    /// Paired differences to the baseline `weighted-score`, seed by seed.
    pub versus_baseline: MetricEstimates,
    /// Paired differences to the best hand rule (by mean reward), seed by seed.
    pub versus_best_rule: MetricEstimates,
    /// (reward − baseline's) / (limit's − baseline's): of mean rewards over the seeds, on the steps whose limit was
    /// solved. `null` where there is no limit, or none above the baseline.
    #[schema(required)]
    pub gap_closed: Option<Share>,
    /// (reward − `bid-price`'s) / (`bid-price-informed`'s − `bid-price`'s), of mean rewards over the seeds. `null`
    /// where nothing is hidden, where one of the two does not take part, or where the second is no better.
    #[schema(required)]
    pub informed_gap_closed: Option<Share>,
    /// The probability that its reward on a seed is above the baseline's on the same seed, a tie counting half
    /// (Agarwal et al. 2021, paired as the seeds are). `null` where no seed has data.
    #[schema(required)]
    pub probability_of_improvement: Option<Share>,
    /// Its metrics by tenant and job size.
    pub fairness: Fairness,
    /// Its mean reward per request on each of `seeds`.
    pub reward_by_seed: Vec<Option<f64>>,
    /// The paired difference of its mean reward per request to the baseline's, in each of up to 24 equal parts of the
    /// episodes: a policy that adapts gains more towards the end. `null` for a part in which no seed has a request.
    #[serde(default)]
    pub gain_over_time: Vec<Option<Share>>,
    /// Its mean reward per request on the steps whose limit was solved; `null` where there is no limit.
    #[schema(required)]
    pub reward_on_limit_steps: Option<Estimate>,
}

/// The physical limit: an upper bound that no policy can exceed, not even one that knows all requests of a step in
/// advance. It is the optimum of a linear program of which every policy's step is a feasible solution. The metrics are
/// those of the solved steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitResult {
    /// The highest share of requests routed.
    #[schema(required)]
    pub fill_rate: Option<Estimate>,
    /// The lowest mean cost of a routed request at the highest fill.
    #[schema(required)]
    pub avg_cost_usd: Option<Estimate>,
    /// The lowest mean latency of a routed request at the highest fill.
    #[schema(required)]
    pub avg_latency_ms: Option<Estimate>,
    /// The highest mean `excess-cost` reward per request, at whatever fill.
    #[schema(required)]
    pub reward: Option<Estimate>,
    /// (limit's reward − baseline's) / |baseline's|: how much can be gained over the baseline. `null` where the
    /// baseline's reward is 0.
    #[schema(required)]
    pub headroom: Option<Share>,
    /// Steps that were solved, over all seeds.
    pub steps_solved: u64,
    /// Steps of all episodes.
    pub steps_total: u64,
    /// How to read it: which steps were solved, and that cost and latency compare at equal fill only.
    pub note: String,
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationResult {
    /// SHA-256 of the environment's canonical JSON.
    pub environment_digest: Hash,
    /// The preset's name.
    pub environment: String,
    /// Steps of each episode.
    pub steps: u32,
    /// The seeds that every policy met.
    pub seeds: Vec<u64>,
    /// The learned policies first, then the hand rules.
    pub policies: Vec<PolicyResult>,
    /// The best hand rule by mean reward.
    pub best_rule: String,
    /// The physical limit; `null` where it was not asked for or could not be solved, or where demand and failures are
    /// hidden, so that the linear program does not know them.
    #[schema(required)]
    pub limit: Option<LimitResult>,
    /// The findings as sentences; "better" and "worse" only where an interval excludes zero.
    pub verdicts: Vec<String>,
}

/// Which evaluations to list, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EvaluationQuery {
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cursor: Option<String>,
}
