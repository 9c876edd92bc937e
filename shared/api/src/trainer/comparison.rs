//! Two runs side by side.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::RunStatus;
use crate::Hash;

/// Which runs to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct ComparisonQuery {
    /// The first run's id.
    pub a: Uuid,
    /// The second run's id.
    pub b: Uuid,
    /// `json`, or `csv` for the metrics alone; by default what `Accept` asks for, else JSON. CSV has a route of its own in
    /// the documents, where each operation answers one media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(ignore)]
    pub format: Option<ComparisonFormat>,
}

/// Which runs to compare as CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct ComparisonExportQuery {
    /// The first run's id.
    pub a: Uuid,
    /// The second run's id.
    pub b: Uuid,
}

/// The format of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonFormat {
    /// Everything as JSON.
    Json,
    /// The metrics as CSV with a header.
    Csv,
}

/// Two runs side by side. Every difference is b - a.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunComparison {
    /// The first run.
    pub a: ComparedRun,
    /// The second run.
    pub b: ComparedRun,
    /// Whether both have the same configuration; such runs decide the same unless an operator intervened.
    pub same_digest: bool,
    /// Whether they have decided the same so far; null while one of them has no run root.
    #[schema(required)]
    pub same_run_root: Option<bool>,
    /// Episodes after which both made a checkpoint and their run roots were still the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_until_episode: Option<u32>,
    /// The first checkpoint of both at which their run roots differ. Decisions carry their run's digest, so that
    /// runs with different digests differ from their first decision of their own on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parted: Option<PartedRoots>,
    /// Where their configurations differ.
    pub configuration: Vec<ConfigurationDifference>,
    /// Episodes that both have done; the metrics are of these.
    pub common_episodes: u32,
    /// Episodes that the means cover: the last tenth of them.
    pub episodes_in_mean: u32,
    /// The metrics. They describe these two runs only: the episodes of one run depend on each other, so no interval
    /// can be computed from them. An evaluation on held-out seeds says which policy is better.
    pub metrics: Vec<MetricDifference>,
}

/// One of two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedRun {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its state.
    pub status: RunStatus,
    /// Its digest.
    pub digest: Hash,
    /// Its run root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_root: Option<Hash>,
    /// Episodes done.
    pub episodes_done: u32,
}

/// The run roots of two runs after the same number of episodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartedRoots {
    /// Episodes done.
    pub episodes_done: u32,
    /// The first run's root.
    pub a: Hash,
    /// The second run's root.
    pub b: Hash,
}

/// A part of the configuration that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationDifference {
    /// JSON pointer (RFC 6901) into `config`.
    #[schema(example = "/learning_rate")]
    pub pointer: String,
    /// Its value in the first run; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub a: Option<serde_json::Value>,
    /// Its value in the second run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub b: Option<serde_json::Value>,
}

/// A metric of both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricDifference {
    /// A column of `training_metrics.csv`.
    #[schema(example = "avg_reward")]
    pub metric: String,
    /// In the last common episode.
    pub last: SideBySide,
    /// Mean over the last tenth of the common episodes, without those in which one of the runs has no data.
    pub mean: SideBySide,
}

/// The values of two runs; null where there is no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SideBySide {
    /// The first run's.
    #[schema(required)]
    pub a: Option<f64>,
    /// The second run's.
    #[schema(required)]
    pub b: Option<f64>,
    /// b - a.
    #[schema(required)]
    pub difference: Option<f64>,
}
