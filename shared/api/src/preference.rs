//! What is wanted, on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is wanted: the name of a preference, or weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(example = "cheap")]
pub enum PreferenceSpec {
    /// By name.
    Named(PreferenceName),
    /// Weights; those that are left out are as in `balanced`.
    Weights(PreferenceWeights),
}

/// One of those listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct PreferenceName(pub String);

/// How many points each part of what comes of a request is worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cost": 8}))]
pub struct PreferenceWeights {
    /// Points for a request that is served; 50 when absent.
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub request: Option<f64>,
    /// Points for each GPU-hour that is served; 0 when absent.
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub gpu_hour: Option<f64>,
    /// Points lost with each USD paid beyond the lowest list price; 3 when absent.
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub cost: Option<f64>,
    /// Points lost with each ms of latency; 0.02 when absent.
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub latency: Option<f64>,
    /// True where `cost` is meant at the price level of the built-in catalog: it counts the more, the cheaper requests are
    /// in this environment. A run is recorded with the weight that it comes to.
    #[serde(default)]
    pub relative_to_prices: bool,
    /// What figures of a whole episode must not exceed, by name. Evaluations only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<HighestFigures>,
    /// What they must reach. Evaluations only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<LowestFigures>,
    /// What is wanted of the requests of single tenants, by their ids: where a weight is left out there, it is as here.
    /// Deployments only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion, example = json!({"tenant-gaming": "fast"}))]
    pub tenants: Option<BTreeMap<String, PreferenceSpec>>,
}

/// The highest figures that meet a constraint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HighestFigures {
    /// Mean latency of a served request, waiting included, in ms; above 0.
    #[schema(exclusive_minimum = 0, maximum = 1_000_000)]
    pub avg_latency_ms: Option<f64>,
}

/// The lowest figures that meet a constraint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LowestFigures {
    /// Requests served / requested; above 0.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested; above 0.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub gpu_hours_fill: Option<f64>,
    /// The same of the tenant of whom the least share is served; above 0.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub worst_tenant_gpu_hours_fill: Option<f64>,
}
