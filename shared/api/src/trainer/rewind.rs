//! Going back in a run, and on from there another way.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NewRun, labels};
use crate::Hash;

/// Where a run leaves another one's path. It enters the run's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The other run's checkpoint (an artifact's SHA-256).
    pub checkpoint: Hash,
    /// Which of the ways from there, so that the same settings can be tried again, with other interventions.
    #[serde(default)]
    pub branch: u32,
}

/// Back to a checkpoint of a run, and on from there as a new run. What is absent is as in the old one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"episodes_done": 10, "learning_rate": 0.05, "name": "slower from episode 10"}))]
pub struct NewRewind {
    /// Back to the checkpoint that was made after so many episodes. Either this or `checkpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub episodes_done: Option<u32>,
    /// Back to the checkpoint with this SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub checkpoint: Option<Hash>,
    /// Which of the ways from there: another number is another run, also with the same settings.
    #[garde(skip)]
    pub branch: u32,
    /// Episodes of the whole run, those before the checkpoint included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 10_000_000)))]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub episodes: Option<u32>,
    /// α in (0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1e-9, max = 1.0)))]
    #[schema(minimum = 1e-9, maximum = 1)]
    pub learning_rate: Option<f64>,
    /// γ in [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    #[schema(minimum = 0, maximum = 1)]
    pub discount: Option<f64>,
    /// ε in [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    #[schema(minimum = 0, maximum = 1)]
    pub epsilon: Option<f64>,
    /// Stop after this many of the episodes; absent: at the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    #[schema(minimum = 1)]
    pub stop_after: Option<u32>,
    /// What people call the new run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(custom(labels::is_name))]
    pub name: Option<String>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(custom(labels::are_tags))]
    pub tags: Vec<String>,
    /// Its notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(custom(labels::are_notes))]
    pub notes: Option<String>,
}

impl NewRewind {
    /// The new run, from the old one's settings and the checkpoint that it goes back to.
    #[must_use]
    pub fn run(self, old: &NewRun, checkpoint: Hash) -> NewRun {
        NewRun {
            episodes: self.episodes.unwrap_or(old.episodes),
            learning_rate: self.learning_rate.unwrap_or(old.learning_rate),
            discount: self.discount.unwrap_or(old.discount),
            epsilon: self.epsilon.unwrap_or(old.epsilon),
            stop_after: self.stop_after,
            resume_from: None,
            fork: Some(Fork { checkpoint, branch: self.branch }),
            name: self.name,
            tags: self.tags,
            notes: self.notes,
            ..old.clone()
        }
    }
}
