//! What policies achieve under many preferences.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Share, TrainingResult};
use crate::PreferenceSpec;

/// Under which preferences fronts are looked at: those of the grid, or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(example = "grid")]
pub enum PreferencesSpec {
    /// The grid.
    Grid(PreferenceGrid),
    /// A list.
    Listed(ListedPreferences),
}

/// These preferences, each once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(min_items = 2, max_items = 64)]
pub struct ListedPreferences(pub Vec<PreferenceSpec>);

/// All preferences that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceGrid {
    /// 27 preferences: excess cost, latency and the share of a mean request's worth that is by the GPU-hour, three of each. A
    /// mean request is worth 50 points to all of them.
    Grid,
}

/// What each policy achieves under each preference, beside what is possible. A point is the mean outcome of a request, and a
/// front are the points of one policy that was asked under each preference in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fronts {
    /// The hand rules first, the baseline before all, then the learned policies, then the same never trained.
    pub policies: Vec<Front>,
    /// What the points of all hand rules cover together.
    pub rules: Coverage,
    /// The physical limit under each preference: no policy earns more there.
    pub limit: LimitFront,
    /// What the hypervolume is measured from: a little worse in everything than any point.
    pub reference: PointOutcome,
}

/// What a policy achieves under each preference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Front {
    /// The rule's or the algorithm's name, with what tells it from others of that name.
    pub name: String,
    /// True when it comes from a learner, also from one that was never trained (`trained_episodes` is 0).
    pub learned: bool,
    /// True for a rule that is told what is hidden from the others. It is not among `rules`.
    pub reference: bool,
    /// Episodes of each of its trainings; 0 for what was never trained. Absent for hand rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_episodes: Option<u32>,
    /// Its trainings; absent for hand rules, and for what was never trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trainings: Vec<TrainingResult>,
    /// One for each preference, in their order.
    pub points: Vec<FrontPoint>,
    /// What its points cover.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// The least share of the way from the baseline to the limit that it goes under any preference. Absent where there is no
    /// such way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_gap_closed: Option<f64>,
    /// The mean of these shares over the preferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_gap_closed: Option<f64>,
}

/// The physical limit under each preference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitFront {
    /// One for each preference, in their order: what comes of the requests in an allocation that attains the limit there.
    pub points: Vec<FrontPoint>,
    /// What they cover.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// What points cover of what is possible.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// Hypervolume / that of the limit's points, over requests and GPU-hours served, excess cost and latency (Zitzler and
    /// Thiele 1999). More points than the limit has may cover more.
    pub hypervolume: f64,
    /// The mean over the preferences of what the best of the points is worth, in points a request (Zintgraf et al. 2015).
    pub expected_utility: f64,
}

/// What came of the requests under one preference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FrontPoint {
    /// What was wanted.
    pub weights: Weights,
    /// Mean reward per request, by these weights.
    pub reward: f64,
    /// The mean outcome of a request.
    pub outcome: PointOutcome,
    /// (reward − baseline's) / (limit's − baseline's), by these weights. Absent of the limit, and where it is no better than
    /// the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_closed: Option<Share>,
    /// Requests routed / requested.
    #[schema(required)]
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested.
    #[schema(required)]
    pub gpu_hours_fill: Option<f64>,
    /// The same by the job's GPU-hours. Absent of the limit, which may split jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_hours_fill_by_size: Option<GpuHoursFillBySize>,
    /// Paid per GPU-hour served.
    #[schema(required)]
    pub cost_per_gpu_hour_usd: Option<f64>,
    /// Mean latency of a routed request, including its waiting.
    #[schema(required)]
    pub avg_latency_ms: Option<f64>,
}

/// How many points each part of what comes of a request is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Weights {
    /// Points for a request that is served.
    pub request: f64,
    /// Points for each GPU-hour that is served.
    pub gpu_hour: f64,
    /// Points lost with each USD paid beyond the lowest list price.
    pub cost: f64,
    /// Points lost with each ms of latency.
    pub latency: f64,
}

/// What comes of a mean request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointOutcome {
    /// Requests served.
    pub served: f64,
    /// GPU-hours served.
    pub gpu_hours: f64,
    /// Paid beyond the lowest list price of the hours served.
    pub excess_cost_usd: f64,
    /// Latency met, waiting included.
    pub latency_ms: f64,
}

/// GPU-hours served / requested, by the job's GPU-hours. `null` where there was no such job.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GpuHoursFillBySize {
    /// Below 3 GPU-hours.
    #[schema(required)]
    pub under_3h: Option<f64>,
    /// From 3 to below 6.
    #[schema(required)]
    pub from_3h_to_6h: Option<f64>,
    /// From 6 on.
    #[schema(required)]
    pub from_6h: Option<f64>,
}
