//! Named settings on top of any catalog and workloads: the one list of them.
//!
//! A new preset is a variant, its place in [`Preset::ALL`] and its [`Definition`]. Errors, help texts, the OpenAPI
//! documents and the settings' documentation are made from these.

use std::{fmt, str::FromStr};

use crate::workloads::{Actions, ArrivalOrder, Knowledge, Workloads};

/// A named setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// `default`
    #[default]
    Default,
    /// `contended`
    Contended,
    /// `overloaded`
    Overloaded,
    /// `congested`
    Congested,
    /// `steady`
    Steady,
    /// `drifting`
    Drifting,
    /// `unreliable`
    Unreliable,
}

/// What a preset is.
struct Definition {
    /// Its name on the wire.
    name: &'static str,
    /// What it is, in one sentence.
    description: &'static str,
    /// What it changes.
    change: fn(&mut Workloads),
}

impl Preset {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::Contended,
        Self::Overloaded,
        Self::Congested,
        Self::Steady,
        Self::Drifting,
        Self::Unreliable,
    ];

    fn definition(self) -> Definition {
        match self {
            Self::Default => {
                Definition { name: "default", description: "The files as they are.", change: |_| {} }
            }
            Self::Contended => Definition {
                name: "contended",
                description: "Eight times the demand on the same budgets, in shuffled order, with six random events; \
                              requests may be held and deferred.",
                change: |workloads| crowd(workloads, 8.0),
            },
            Self::Overloaded => Definition {
                name: "overloaded",
                description: "As `contended`, at twelve times the demand.",
                change: |workloads| crowd(workloads, 12.0),
            },
            Self::Congested => Definition {
                name: "congested",
                description: "Four times demand and budgets; a provider that is full is half as slow again and half as \
                              dear again; the rest as `contended`.",
                change: |workloads| {
                    crowd(workloads, 4.0);
                    workloads.budget_multiplier = 4.0;
                    workloads.congestion = 0.5;
                    workloads.surge = 0.5;
                },
            },
            Self::Steady => Definition {
                name: "steady",
                description: "`contended` without any event: what a monitor must not cry wolf at.",
                change: |workloads| {
                    crowd(workloads, 8.0);
                    workloads.random_events = 0;
                    workloads.scenarios.clear();
                },
            },
            Self::Drifting => Definition {
                name: "drifting",
                description: "`contended` where policies are not told the truth: demand drifts, jobs fail, latencies \
                              differ from the advertised ones.",
                change: |workloads| {
                    crowd(workloads, 8.0);
                    workloads.knowledge = Knowledge::Hidden;
                },
            },
            Self::Unreliable => Definition {
                name: "unreliable",
                description: "As `drifting`, where jobs fail three times as often.",
                change: |workloads| {
                    crowd(workloads, 8.0);
                    workloads.knowledge = Knowledge::Hidden;
                    workloads.failure_multiplier = 3.0;
                },
            },
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// What it is, in one sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        self.definition().description
    }

    /// All names in a sentence: `a, b or c`.
    #[must_use]
    pub fn names() -> String {
        let names = Self::ALL.map(Self::name);
        let [others @ .., last] = names.as_slice() else { return String::new() };
        format!("{} or {last}", others.join(", "))
    }

    pub(crate) fn applied_to(self, mut workloads: Workloads) -> Workloads {
        (self.definition().change)(&mut workloads);
        workloads
    }
}

/// So many times the demand, which comes in no order, while six things happen.
fn crowd(workloads: &mut Workloads, demand: f64) {
    workloads.demand_multiplier = demand;
    workloads.arrival_order = ArrivalOrder::Shuffled;
    workloads.random_events = 6;
    workloads.actions = Actions { hold: true, defer: true };
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No preset has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset `{0}`: expected {names}", names = Preset::names())]
pub struct UnknownPreset(pub String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| UnknownPreset(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_listed_once_and_found_by_its_name() {
        for (position, preset) in Preset::ALL.into_iter().enumerate() {
            assert_eq!(preset as usize, position, "the order of the list is that of the variants");
            assert_eq!(preset.name().parse(), Ok(preset));
            assert!(preset.description().ends_with('.'));
        }
        let error = "easy".parse::<Preset>().unwrap_err().to_string();
        assert!(Preset::ALL.iter().all(|preset| error.contains(preset.name())), "{error}");
    }
}
