//! Rewinding a run: a new run that branches off at a checkpoint of an old one.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NewRun, labels};
use crate::Hash;

/// Where a run branches off from another one. It is a part of the run's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The other run's checkpoint (an artifact's SHA-256).
    pub checkpoint: Hash,
    /// The number of the branch, so that the same settings can be tried again with other interventions.
    #[serde(default)]
    pub branch: u32,
}

/// A new run from a checkpoint of an old one. A field that is absent is as in the old run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"episodes_done": 10, "epsilon": 0.05, "name": "explores less from episode 10"}))]
pub struct NewRewind {
    /// The checkpoint made after this many episodes. Give either this or `checkpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub episodes_done: Option<u32>,
    /// The checkpoint with this SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub checkpoint: Option<Hash>,
    /// The number of the branch: another number makes another run, even with the same settings.
    #[garde(skip)]
    pub branch: u32,
    /// Episodes of the whole run, including those before the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 10_000_000)))]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub episodes: Option<u32>,
    /// α in (0, 1]; of a run whose algorithm has this setting, as the two below.
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
    /// Stop after this many episodes; when absent, at the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    #[schema(minimum = 1)]
    pub stop_after: Option<u32>,
    /// The name of the new run.
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
    /// The new run, from the old run's settings and the checkpoint that it starts from.
    #[must_use]
    pub fn run(self, old: &NewRun, checkpoint: Hash) -> NewRun {
        let mut run = NewRun {
            episodes: self.episodes.unwrap_or(old.episodes),
            stop_after: self.stop_after,
            resume_from: None,
            fork: Some(Fork { checkpoint, branch: self.branch }),
            name: self.name,
            tags: self.tags,
            notes: self.notes,
            ..old.clone()
        };
        let told =
            [("learning_rate", self.learning_rate), ("discount", self.discount), ("epsilon", self.epsilon)];
        for (setting, value) in told {
            if let Some(value) = value {
                run.set(setting, value.into());
            }
        }
        run
    }
}
