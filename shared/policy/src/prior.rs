//! Priors: what a learner that has met many worlds begins with in a new one, and how it learns from there.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::SwarmError;

/// The file's format and version.
pub const PRIOR_FORMAT: &str = "ai-mesh-prior/1";

/// What a learner carries from the worlds that it has met into a new one (`prior.json`). Same meta-training, same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// [`PRIOR_FORMAT`].
    pub format: String,
    /// The learner's name.
    pub algorithm: String,
    /// What it begins with, in terms that transfer.
    pub start: Value,
    /// How it learns from there.
    pub learning: Value,
    /// What it was learned from.
    pub meta_training: MetaTraining,
}

/// What a prior was learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaTraining {
    /// The worlds that the start was learned from.
    pub worlds: WorldRange,
    /// The worlds that decided how it learns.
    pub validation: WorldRange,
    /// The seed of the meta-training.
    pub seed: u64,
    /// Rounds: how often the start was learned from and pooled anew.
    pub rounds: u32,
    /// Episodes of a round in each world, and their steps.
    pub episodes: u32,
    /// Steps of an episode.
    pub steps_per_episode: u32,
}

/// Worlds with consecutive seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldRange {
    /// The first one's.
    pub first_seed: u64,
    /// How many.
    pub count: u32,
}

impl Prior {
    /// Reads a file, whoever's prior it is.
    ///
    /// # Errors
    /// When it is not a prior of this version.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SwarmError> {
        let refused = |what: String| Self::refused(&what);
        let file: Value = json_input::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        match file.get("format").and_then(Value::as_str) {
            Some(PRIOR_FORMAT) => {}
            Some(other) => {
                return Err(refused(format!("expected the format {PRIOR_FORMAT}, found `{other}`")));
            }
            None => return Err(refused("it has no `format`".into())),
        }
        json_input::from_value(&file).map_err(|error| refused(error.to_string()))
    }

    /// Why something is no prior.
    pub(crate) fn refused(what: &str) -> SwarmError {
        SwarmError::Mismatch(format!("expected a prior (prior.json of mesh meta-train): {what}"))
    }
}
