//! The evaluator's wire types.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{Hash, trainer::EnvironmentSpec};

/// An evaluation to run: learned policies and hand rules on the same held-out seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"environment": {"preset": "contended"}, "seeds": 3}))]
pub struct NewEvaluation {
    /// Learned policies: artifacts of the remembrancer, by SHA-256.
    #[garde(length(max = 20))]
    #[schema(max_items = 20)]
    pub policies: Vec<Hash>,
    /// Hand rules to compare with; all of them when absent. The baseline `weighted-score` is always there.
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
        }
    }
}

/// Where an evaluation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationStatus {
    /// At work.
    Running,
    /// Done; `result` is there.
    Completed,
    /// Could not be done; `error` says why.
    Failed,
}

/// An evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evaluation {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub status: EvaluationStatus,
    /// What was asked for.
    pub config: NewEvaluation,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Episodes done, over all policies.
    pub episodes_done: u64,
    /// Episodes in all.
    pub episodes_total: u64,
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

/// A mean over seeds with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// The mean.
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
    pub under_3h: Option<Estimate>,
    /// From 3 to below 6.
    pub from_3h_to_6h: Option<Estimate>,
    /// From 6 on.
    pub from_6h: Option<Estimate>,
}

/// The figures of a policy, or their paired differences. `null` where no seed has data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricEstimates {
    /// Requests routed / requested.
    pub fill_rate: Option<Estimate>,
    /// GPU-hours served / requested.
    pub gpu_hours_fill: Option<Estimate>,
    /// Mean cost of a routed request.
    pub avg_cost_usd: Option<Estimate>,
    /// Paid per GPU-hour served.
    pub cost_per_gpu_hour_usd: Option<Estimate>,
    /// Paid / cheapest list price for the same hours.
    pub cost_index: Option<Estimate>,
    /// Fill rate by job size.
    pub fill_by_size: FillBySize,
    /// The worst tenant's GPU-hours fill.
    pub worst_tenant_gpu_hours_fill: Option<Estimate>,
    /// Requests set aside / requested.
    pub deferred_share: Option<Estimate>,
    /// Mean latency of a routed request, waiting included.
    pub avg_latency_ms: Option<Estimate>,
    /// Mean `excess-cost` reward per request.
    pub reward: Option<Estimate>,
}

/// One policy's part of the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyResult {
    /// The rule's or the algorithm's name.
    pub name: String,
    /// True when it was trained.
    pub learned: bool,
    /// The policy's artifact, when it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// Its figures.
    pub metrics: MetricEstimates,
    /// Paired differences to the baseline `weighted-score`, seed by seed.
    pub versus_baseline: MetricEstimates,
    /// Paired differences to the best hand rule (by mean reward), seed by seed.
    pub versus_best_rule: MetricEstimates,
}

/// What an evaluation found.
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
    /// What the figures say, in plain sentences; "better" only where an interval excludes zero.
    pub verdicts: Vec<String>,
}

/// Which evaluations to list, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EvaluationQuery {
    /// Items a page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cursor: Option<String>,
}
