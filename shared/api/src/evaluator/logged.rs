//! What a deployment's log says of policies that did not decide in it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Hash;

/// Policies judged from a deployment's log: what a decision would have earned on average if the policy had made it, and
/// everything before and after were as it was logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoggedResult {
    /// The deployment.
    pub deployment: String,
    /// The `run` of its decisions.
    pub run: Hash,
    /// The part of the log that all figures follow from: whoever has it gets the same.
    pub log: LogRange,
    /// Decisions in which there was something to choose.
    pub decisions: u64,
    /// Those of them whose outcome nobody told: they are left out, as if it did not matter for that what it was.
    pub without_outcome: u64,
    /// The deployment's own policy without exploration first, then those that were asked about.
    pub policies: Vec<LoggedPolicy>,
}

/// A part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogRange {
    /// The index of the first leaf that was read.
    pub first_leaf: u64,
    /// That of the last one.
    pub last_leaf: u64,
    /// As many leaves the log had: what came later was not read.
    pub tree_size: u64,
    /// The root over these.
    pub root_hash: Hash,
}

/// A policy, judged from a log or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoggedPolicy {
    /// Its name: that of the rule, or of the learner with the beginning of the file's SHA-256.
    pub name: String,
    /// True of the deployment's own policy.
    pub own: bool,
    /// Its file; a hand rule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// The share of decisions in which the log could have made its choice, whatever it made. The estimates are of these.
    pub overlap: f64,
    /// Decisions that are its choice.
    pub matching: u64,
    /// How many equally weighted decisions these are worth (Kish).
    pub effective_size: f64,
    /// The largest weight of one: 1 / propensity.
    pub largest_weight: f64,
    /// What it would have earned. Absent where the log says too little; `refusal` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<LoggedEstimates>,
    /// Why there are no estimates: the overlap is below 0.8, or the effective size below 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// Mean rewards of a decision, in points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoggedEstimates {
    /// What the log earned in the decisions in which it could have made the policy's choice.
    pub logged: MeanEstimate,
    /// By inverse propensity (Horvitz and Thompson 1952).
    pub inverse_propensity: MeanEstimate,
    /// The same, self-normalised (Swaminathan and Joachims 2015).
    pub self_normalised: MeanEstimate,
    /// The direct method: what a model of the providers expects. Its interval says nothing of what the model gets wrong.
    pub direct: MeanEstimate,
    /// Doubly robust (Dudík et al. 2014): the one to read.
    pub doubly_robust: MeanEstimate,
    /// Doubly robust, less what the log earned.
    pub gain: MeanEstimate,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MeanEstimate {
    /// The mean.
    pub mean: f64,
    /// The interval's low end.
    pub ci_low: f64,
    /// The interval's high end.
    pub ci_high: f64,
}
