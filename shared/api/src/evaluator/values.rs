//! What every policy achieved on every seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Hash;

/// What every policy achieved on every seed, and what was possible there: whoever has it can compute each figure of the
/// result again. The ledger keeps it as an artifact that the result names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationValues {
    /// SHA-256 of the environment's canonical JSON.
    pub environment_digest: Hash,
    /// The seeds, in the order of the values.
    pub seeds: Vec<u64>,
    /// Policy by policy in the result's order, and training by training.
    pub policies: Vec<PolicyValues>,
    /// The physical limit's metrics, on the steps that were solved; `null` where there is none.
    #[schema(required)]
    pub limit: Option<BTreeMap<String, Vec<Option<f64>>>>,
}

/// One training of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyValues {
    /// The policy, by its place among the result's policies.
    pub policy: u32,
    /// Its name.
    pub name: String,
    /// Which of its trainings, from 0; 0 of what was not trained.
    pub training: u32,
    /// The training's artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// Episodes of the training; 0 of a learner that was never trained, absent for hand rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_episodes: Option<u32>,
    /// Its metrics by their names in the result's CSV, each by seed; `null` where a seed has no data. Beside those,
    /// `reward_over_time.N` is the reward in the Nth part of the episodes, whose differences to the baseline's are
    /// `gain_over_time`.
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
}
