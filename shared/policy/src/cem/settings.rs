//! What `cem` can be told.

use serde::{Deserialize, Serialize};

use crate::settings::{Range, Setting, Settings as List};

/// The learner's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) epsilon: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { epsilon: 0.1 }
    }
}

impl List for Settings {
    const LIST: &'static [Setting] = &[Setting {
        name: "epsilon",
        doc: "ε: the noise that the first generation's refit adds to each weight, as a share of its first spread; it falls to \
              0 over 20 generations.",
        range: Range::Number { least: 0.0, most: 1.0 },
    }];
}
