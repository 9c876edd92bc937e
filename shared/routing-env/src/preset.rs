//! Named settings on top of any catalog and workloads.

use std::{fmt, str::FromStr};

use crate::workloads::{Actions, ArrivalOrder, Knowledge, Workloads};

/// A named setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The files as they are.
    #[default]
    Default,
    /// Eight times the demand on the same budgets, shuffled, six random events, hold and defer.
    Contended,
    /// As `contended` at twelve times the demand.
    Overloaded,
    /// Four times demand and budgets, congestion and surge .5, shuffled, six random events, hold and defer.
    Congested,
    /// `contended` without any event: what a monitor must not cry wolf at.
    Steady,
    /// `contended` with hidden knowledge: demand drifts, jobs fail, latencies differ from the advertised.
    Drifting,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Default, Self::Contended, Self::Overloaded, Self::Congested, Self::Steady, Self::Drifting];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Contended => "contended",
            Self::Overloaded => "overloaded",
            Self::Congested => "congested",
            Self::Steady => "steady",
            Self::Drifting => "drifting",
        }
    }

    pub(crate) fn applied_to(self, mut workloads: Workloads) -> Workloads {
        let crowded = |workloads: &mut Workloads, demand: f64, events: u32| {
            workloads.demand_multiplier = demand;
            workloads.arrival_order = ArrivalOrder::Shuffled;
            workloads.random_events = events;
            workloads.actions = Actions { hold: true, defer: true };
        };
        match self {
            Self::Default => {}
            Self::Contended => crowded(&mut workloads, 8.0, 6),
            Self::Overloaded => crowded(&mut workloads, 12.0, 6),
            Self::Congested => {
                crowded(&mut workloads, 4.0, 6);
                workloads.budget_multiplier = 4.0;
                workloads.congestion = 0.5;
                workloads.surge = 0.5;
            }
            Self::Steady => {
                crowded(&mut workloads, 8.0, 0);
                workloads.scenarios.clear();
            }
            Self::Drifting => {
                crowded(&mut workloads, 8.0, 6);
                workloads.knowledge = Knowledge::Hidden;
            }
        }
        workloads
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No preset has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset `{0}`: expected default, contended, overloaded, congested, steady or drifting")]
pub struct UnknownPreset(pub String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| UnknownPreset(name.into()))
    }
}
