//! What `q-learning` can be told.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::settings::{Range, Setting, SettingError, Settings as List};

/// The learner's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) state: State,
    pub(crate) learning_rate: f64,
    pub(crate) discount: f64,
    pub(crate) epsilon: f64,
    pub(crate) replay: ReplaySettings,
    pub(crate) feasibility_mask: bool,
    pub(crate) merge_every: u32,
}

/// What it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum State {
    /// What a request asks for, and how scarce that is.
    Request,
    /// Latency, price and capacity of every provider.
    Specified,
}

/// How much experience is kept and replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaySettings {
    pub(crate) enabled: bool,
    pub(crate) capacity: usize,
    pub(crate) batch_size: usize,
    pub(crate) kind: ReplayKind,
}

/// How transitions are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplayKind {
    /// All are equally likely.
    #[default]
    Uniform,
    /// In proportion to a power of the error that each had when it was last learned from.
    Prioritized,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: State::Request,
            learning_rate: 0.3,
            discount: 0.99,
            epsilon: 0.1,
            replay: ReplaySettings { enabled: false, ..ReplaySettings::default() },
            feasibility_mask: true,
            merge_every: 10,
        }
    }
}

impl Settings {
    /// As it was specified.
    fn specified() -> Self {
        Self {
            state: State::Specified,
            learning_rate: 0.1,
            replay: ReplaySettings::default(),
            merge_every: 0,
            ..Self::default()
        }
    }
}

impl Default for ReplaySettings {
    fn default() -> Self {
        Self { enabled: true, capacity: 2000, batch_size: 32, kind: ReplayKind::Uniform }
    }
}

impl List for Settings {
    const LIST: &'static [Setting] = &[
        Setting {
            name: "state",
            doc: "What it sees: `request`, what a request asks for and how scarce that is, with hold and defer among its \
                  actions; or `specified`, latency, price and capacity of every provider in bins. With `specified` the \
                  defaults are learning_rate 0.1, replay, and no merging.",
            range: Range::Word(&["request", "specified"]),
        },
        Setting {
            name: "learning_rate",
            doc: "α: how far a value moves to what followed; with the state `request` at first, and less the more often it has moved.",
            range: Range::Positive { most: 1.0 },
        },
        Setting {
            name: "discount",
            doc: "γ: what the value of an agent's next turn counts.",
            range: Range::Number { least: 0.0, most: 1.0 },
        },
        Setting {
            name: "epsilon",
            doc: "ε: the share of decisions that are drawn at random.",
            range: Range::Number { least: 0.0, most: 1.0 },
        },
        Setting {
            name: "replay",
            doc: "Experience replay: past turns are learned from again after each step.",
            range: Range::Group(&[
                Setting { name: "enabled", doc: "Whether there is any.", range: Range::Flag },
                Setting {
                    name: "capacity",
                    doc: "Turns that each agent keeps; the oldest goes first.",
                    range: Range::Whole { least: 1, most: 1_000_000 },
                },
                Setting {
                    name: "batch_size",
                    doc: "Turns that each agent replays after each step.",
                    range: Range::Whole { least: 1, most: 10_000 },
                },
                Setting {
                    name: "kind",
                    doc: "How they are drawn: all alike, or those more often of which the values were most wrong.",
                    range: Range::Word(&["uniform", "prioritized"]),
                },
            ]),
        },
        Setting {
            name: "feasibility_mask",
            doc: "Whether only feasible providers may be chosen; without it, which only the state `specified` can be, an infeasible \
                  choice drops the request.",
            range: Range::Flag,
        },
        Setting {
            name: "merge_every",
            doc: "Steps from one merging of the agents' tables to the next; 0: they are never merged.",
            range: Range::Whole { least: 0, most: 1_000_000 },
        },
    ];

    /// The specified state has its own.
    fn defaults(told: &Map<String, Value>) -> Self {
        if told.get("state").is_some_and(|state| state == "specified") {
            Self::specified()
        } else {
            Self::default()
        }
    }

    fn check(&self) -> Result<(), SettingError> {
        if self.state == State::Request && !self.feasibility_mask {
            return Err(SettingError {
                setting: "feasibility_mask".into(),
                expected: "true: only the state specified can choose what is not feasible".into(),
            });
        }
        Ok(())
    }

    /// There was no other state.
    fn upgrade(told: &mut Map<String, Value>) {
        told.entry("state").or_insert_with(|| "specified".into());
    }
}
