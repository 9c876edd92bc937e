//! What `adaptive` can be told.

use serde::{Deserialize, Serialize};

use crate::settings::{Range, Setting, Settings as List};

/// The learner's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) epsilon: f64,
}

impl Default for Settings {
    /// It learns from every request and from rehearsing, so that what it tries at random costs more than it tells.
    fn default() -> Self {
        Self { epsilon: 0.01 }
    }
}

impl List for Settings {
    const LIST: &'static [Setting] = &[Setting {
        name: "epsilon",
        doc: "ε: the share of routed requests that go to a provider drawn at random.",
        range: Range::Number { least: 0.0, most: 1.0 },
    }];
}
