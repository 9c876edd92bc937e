//! What an evaluation found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Fronts, LoggedResult};
use crate::Hash;

/// A metric over trainings and seeds: its mean with a 95 % interval, which covers the luck of both, and their spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The interval's low end.
    pub ci_low: f64,
    /// The interval's high end.
    pub ci_high: f64,
    /// The interquartile mean: the mean of the middle half of the runs (trainings × seeds), which no single one can move
    /// far (Agarwal et al. 2021).
    pub iqm: f64,
    /// The sample standard deviation of the seeds (n − 1), each the mean of its trainings; `null` for a single seed.
    #[schema(required)]
    pub std_dev: Option<f64>,
    /// The sample standard deviation of the trainings (n − 1), each the mean of its seeds. Absent for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_std_dev: Option<f64>,
}

/// A ratio with its 95 % interval over trainings and seeds. It is a ratio of sums, not the mean of the seeds' ratios.
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
    /// True when it comes from a learner, also from one that was never trained (`trained_episodes` is 0).
    pub learned: bool,
    /// True for a rule that is told what is hidden from the others: it shows what that knowledge is worth, and is
    /// not ranked.
    pub reference: bool,
    /// The first training's artifact; absent for hand rules, and for what was never trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// Episodes of each of its trainings. 0 for what the evaluator adds to each learned policy: the same algorithm with
    /// the same settings, never trained. Absent for hand rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_episodes: Option<u32>,
    /// Its trainings; absent for hand rules, and for what was never trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trainings: Vec<TrainingResult>,
    /// Of how many programs of its caller it is (`mesh evaluate --policy-command`): what they played is the caller's word.
    /// Absent of everything that the evaluator has played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<u32>,
    /// Its metrics.
    pub metrics: MetricEstimates,
    /// Paired differences to the baseline `weighted-score`, seed by seed.
    pub versus_baseline: MetricEstimates,
    /// Paired differences to the best hand rule (by mean reward), seed by seed.
    pub versus_best_rule: MetricEstimates,
    /// Paired differences to the same algorithm with the same settings, never trained, seed by seed: what training adds.
    /// Absent for what was not trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versus_untrained: Option<MetricEstimates>,
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
    /// Its mean reward per request on each of `seeds`, of its trainings together. All metrics of each training are in the
    /// evaluation's values.
    pub reward_by_seed: Vec<Option<f64>>,
    /// The paired difference of its mean reward per request to the baseline's, in each of up to 24 equal parts of the
    /// episodes: a policy that adapts gains more towards the end. `null` for a part in which no seed has a request.
    #[serde(default)]
    pub gain_over_time: Vec<Option<Share>>,
    /// Its mean reward per request on the steps whose limit was solved; `null` where there is no limit.
    #[schema(required)]
    pub reward_on_limit_steps: Option<Estimate>,
}

/// A training of a learned policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrainingResult {
    /// The policy's artifact.
    pub policy_sha256: Hash,
    /// The seed of its first episode, as the policy says.
    pub first_seed: u64,
    /// Who says that it was trained as the policy says.
    pub provenance: Provenance,
    /// The digest of the run that wrote the policy, where it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Hash>,
}

/// Who says that a policy was trained as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// The ledger: a recorded run wrote exactly this artifact.
    Recorded,
    /// Only the policy itself: the ledger knows no run that wrote this artifact. It may have been edited.
    Unverified,
}

/// A comparison of the rewards of two policies on the same seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// The policy, by its place among `policies`.
    pub policy: u32,
    /// Which it is compared with, by its place.
    pub other: u32,
    /// What the other one is to it.
    pub versus: Versus,
    /// How easily the rewards would differ as much if there were no difference: the least error of an interval that
    /// excludes zero.
    pub p_value: f64,
    /// True when the difference still shows when all comparisons of the evaluation are taken together (Holm 1979).
    pub holds: bool,
}

/// What a policy is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Versus {
    /// The same algorithm with the same settings, never trained.
    Untrained,
    /// The baseline.
    Baseline,
    /// The best hand rule by mean reward.
    BestRule,
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

/// How a constraint was kept over episodes. What is missed is a share of the bound; room that is left in one episode makes up
/// for nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Episodes: of each training on each seed.
    pub episodes: u64,
    /// Those in which it was missed by at most 0.01.
    pub met_on: u64,
    /// What was missed, on average.
    pub missed_by: f64,
    /// What was missed in the worst episode.
    pub worst_missed_by: f64,
    /// The mean price while deciding, in points a ms of latency, a request or a GPU-hour; of the physical limit, what a
    /// little more of it would be worth where all can be met. Absent of what was not played under prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
}

/// A constraint, and how it was kept. What it costs a policy is in its `gap_closed`, which is then the way to the limit of
/// those who keep all constraints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConstraintResult {
    /// The figure that is constrained, by its name among the metrics.
    pub figure: String,
    /// The highest value that meets the constraint; absent where there is a lowest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The lowest value that meets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// By policy, in the order of the result's `policies`.
    pub policies: Vec<Kept>,
    /// By the physical limit: an episode in which it is missed there is one in which nobody can meet it, and by how much it
    /// is missed at best. `null` where the limit was not solved.
    #[schema(required)]
    pub limit: Option<Kept>,
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
    /// How often the final seeds had been opened, this time included; absent when these are not the final seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_opening: Option<u64>,
    /// The learned policies first, then the same never trained, then the hand rules. None under many preferences: see
    /// `fronts`.
    pub policies: Vec<PolicyResult>,
    /// The comparisons of rewards that the verdicts are about. Their number says how much chance alone may show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
    /// The best hand rule by mean reward. Absent under many preferences, of which each may have another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_rule: Option<String>,
    /// The physical limit; `null` where it was not asked for or could not be solved, and under many preferences. Where demand and failures are
    /// hidden it is that of one who knows them, and an expectation.
    #[schema(required)]
    pub limit: Option<LimitResult>,
    /// What each policy achieves under each preference; absent where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fronts: Option<Fronts>,
    /// What a deployment's log says of the policies; absent where they were simulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<LoggedResult>,
    /// How each constraint was kept; absent where nothing was constrained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintResult>,
    /// The artifact with what every policy achieved on every seed, from which each figure here can be computed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_sha256: Option<Hash>,
    /// The findings as sentences; "better" and "worse" only where an interval excludes zero.
    pub verdicts: Vec<String>,
}
