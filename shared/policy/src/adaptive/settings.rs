//! What `adaptive` can be told.

use serde::{Deserialize, Serialize};

use crate::settings::{Range, Setting, SettingError, Settings as List};

/// The learner's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) epsilon: f64,
    pub(crate) regions: RegionSettings,
}

/// Whether agents are of regions, and how they then learn of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionSettings {
    pub(crate) enabled: bool,
    pub(crate) board_delay: u32,
    pub(crate) reject_outliers: bool,
}

impl Default for RegionSettings {
    fn default() -> Self {
        Self { enabled: false, board_delay: 1, reject_outliers: true }
    }
}

impl Default for Settings {
    /// It learns from every request and from rehearsing, so that what it tries at random costs more than it tells.
    fn default() -> Self {
        Self { epsilon: 0.01, regions: RegionSettings::default() }
    }
}

impl List for Settings {
    const LIST: &'static [Setting] = &[
        Setting {
            name: "epsilon",
            doc: "ε: the share of routed requests that go to a provider drawn at random.",
            range: Range::Number { least: 0.0, most: 1.0 },
        },
        Setting {
            name: "regions",
            doc: "Agents of regions: each decides for tenants of one, sees no more than that, and reads on a board what the \
                  others report.",
            range: Range::Group(&[
                Setting { name: "enabled", doc: "Whether agents are of regions.", range: Range::Flag },
                Setting {
                    name: "board_delay",
                    doc: "Steps until a report can be read; 0: at the end of its own. What cannot be read when an episode \
                          ends is lost, so that as many steps as an episode has are never.",
                    range: Range::Whole { least: 0, most: 1_000_000 },
                },
                Setting {
                    name: "reject_outliers",
                    doc: "Whether reports that are far from the median of all are left out.",
                    range: Range::Flag,
                },
            ]),
        },
    ];

    const LATER: &'static [&'static str] = &["regions"];

    fn check(&self) -> Result<(), SettingError> {
        let is_read = self.regions.enabled || self.regions == RegionSettings::default();
        is_read.then_some(()).ok_or_else(|| SettingError {
            setting: "regions.enabled".into(),
            expected: "true, since board_delay and reject_outliers decide nothing without regions".into(),
        })
    }
}
