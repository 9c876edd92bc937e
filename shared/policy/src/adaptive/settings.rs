//! What `adaptive` can be told.

use serde::{Deserialize, Serialize};

use crate::settings::{Range, Setting, SettingError, Settings as List};

/// The learner's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) epsilon: f64,
    pub(crate) estimators: EstimatorSettings,
    pub(crate) regions: RegionSettings,
}

/// Which of its estimators are believed, to measure what each adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstimatorSettings {
    pub(crate) level: bool,
    pub(crate) mix: bool,
    pub(crate) failures: bool,
    pub(crate) latencies: bool,
}

/// Whether agents are of regions, and how they then learn of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionSettings {
    pub(crate) enabled: bool,
    pub(crate) board_delay: u32,
    pub(crate) reject_outliers: bool,
}

impl EstimatorSettings {
    pub(crate) const ALL: Self = Self { level: true, mix: true, failures: true, latencies: true };
}

impl Default for EstimatorSettings {
    fn default() -> Self {
        Self::ALL
    }
}

impl Default for RegionSettings {
    fn default() -> Self {
        Self { enabled: false, board_delay: 1, reject_outliers: true }
    }
}

impl Default for Settings {
    /// It learns from every request and from rehearsing, so that what it tries at random costs more than it tells.
    fn default() -> Self {
        Self { epsilon: 0.01, estimators: EstimatorSettings::default(), regions: RegionSettings::default() }
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
            name: "estimators",
            doc: "What it believes its own estimates of, to measure what each adds; of the others it believes the catalog.",
            range: Range::Group(&[
                Setting {
                    name: "level",
                    doc: "Whether it believes its own estimate of how many requests a step brings.",
                    range: Range::Flag,
                },
                Setting {
                    name: "mix",
                    doc: "Whether it believes its own estimate of which tenants and workloads requests are of.",
                    range: Range::Flag,
                },
                Setting {
                    name: "failures",
                    doc: "Whether it believes its own estimate of how often each provider fails.",
                    range: Range::Flag,
                },
                Setting {
                    name: "latencies",
                    doc: "Whether it believes its own estimate of how long each provider really takes.",
                    range: Range::Flag,
                },
            ]),
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

    const LATER: &'static [&'static str] = &["estimators", "regions"];

    fn check(&self) -> Result<(), SettingError> {
        let is_read = self.regions.enabled || self.regions == RegionSettings::default();
        is_read.then_some(()).ok_or_else(|| SettingError {
            setting: "regions.enabled".into(),
            expected: "true, since board_delay and reject_outliers decide nothing without regions".into(),
        })
    }
}
