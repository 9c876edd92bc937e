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
    /// The one.
    pub a: Uuid,
    /// The other.
    pub b: Uuid,
    /// `json`, or `csv` for the metrics alone; by default what `Accept` asks for, else JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub format: Option<ComparisonFormat>,
}

/// How a comparison is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonFormat {
    /// All of it as JSON.
    Json,
    /// The metrics as CSV with a header.
    Csv,
}

/// Two runs side by side. Every difference is b - a.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunComparison {
    /// The one.
    pub a: ComparedRun,
    /// The other.
    pub b: ComparedRun,
    /// Whether both are runs of the same configuration, which decide the same unless an operator intervened.
    pub same_digest: bool,
    /// Whether they decided the same so far; null while one of them has no run root.
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
    /// How many of them, from the end, the means are over: the last tenth.
    pub episodes_in_mean: u32,
    /// The metrics. They describe these two runs and no more: episodes of one run depend on each other, so that
    /// no interval follows from them. Whether a policy is better is for an evaluation on held-out seeds.
    pub metrics: Vec<MetricDifference>,
}

/// One of two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedRun {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it stands.
    pub status: RunStatus,
    /// Its digest.
    pub digest: Hash,
    /// Its run root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_root: Option<Hash>,
    /// Episodes done.
    pub episodes_done: u32,
}

/// Two run roots after as many episodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartedRoots {
    /// Episodes done.
    pub episodes_done: u32,
    /// The run root of the one.
    pub a: Hash,
    /// The run root of the other.
    pub b: Hash,
}

/// A part of the configuration that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationDifference {
    /// JSON pointer (RFC 6901) into `config`.
    #[schema(example = "/learning_rate")]
    pub pointer: String,
    /// What stands there in the one; absent when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub a: Option<serde_json::Value>,
    /// What stands there in the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub b: Option<serde_json::Value>,
}

/// A metric of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricDifference {
    /// A column of `training_metrics.csv`.
    #[schema(example = "avg_reward")]
    pub metric: String,
    /// In the last common episode.
    pub last: SideBySide,
    /// Mean over the last tenth of the common episodes, without those in which one of the runs has no figure.
    pub mean: SideBySide,
}

/// Two figures; null where there is no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SideBySide {
    /// Of the one.
    pub a: Option<f64>,
    /// Of the other.
    pub b: Option<f64>,
    /// b - a.
    pub difference: Option<f64>,
}
