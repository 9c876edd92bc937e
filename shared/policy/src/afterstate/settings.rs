//! What `afterstate` can be told.

use serde::{Deserialize, Serialize};

use crate::settings::{Range, Setting, Settings as List};

/// The learner's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) learning_rate: f64,
    pub(crate) discount: f64,
    pub(crate) epsilon: f64,
    pub(crate) merge_every: u32,
}

impl Default for Settings {
    /// A swarm that merges every 20 steps is better than one that never does; with one agent that is nothing.
    fn default() -> Self {
        Self { learning_rate: 0.1, discount: 0.99, epsilon: 0.1, merge_every: 20 }
    }
}

impl List for Settings {
    const LIST: &'static [Setting] = &[
        Setting {
            name: "learning_rate",
            doc: "α: how far a value moves to what followed, at first; after 10,000 updates it is half of that, and never less \
                  than a hundredth.",
            range: Range::Positive { most: 1.0 },
        },
        Setting {
            name: "discount",
            doc: "γ: what a reward counts one step earlier.",
            range: Range::Number { least: 0.0, most: 1.0 },
        },
        Setting {
            name: "epsilon",
            doc: "ε: the share of decisions that are drawn at random.",
            range: Range::Number { least: 0.0, most: 1.0 },
        },
        Setting {
            name: "merge_every",
            doc: "Steps from one merging of the agents' tables to the next; 0: they are never merged.",
            range: Range::Whole { least: 0, most: 1_000_000 },
        },
    ];
}
