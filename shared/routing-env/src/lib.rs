//! A simulator of GPU routing over several providers: pure and deterministic.
//!
//! A [`Catalog`] of providers and [`Workloads`] of tenants make an [`Environment`]; an [`Episode`] of it
//! asks for decisions turn by turn and tells what became of them. Everything random comes from
//! streams that are derived from the episode's seed ([`generator`]).

#![warn(missing_docs)]

mod calendar;
mod catalog;
mod constraints;
mod environment;
mod episode;
mod events;
pub mod gym;
mod input;
mod market;
mod metrics;
pub mod physics;
mod preference;
mod preset;
mod random_files;
mod request;
mod reward;
mod spec;
mod streams;
mod trace;
mod trace_time;
mod truth;
mod wanted;
mod window;
mod workloads;

/// Hours of a week: what [`Observation::hour_of_week`] counts up to.
pub const HOURS_OF_WEEK: u32 = 168;

pub use catalog::{Catalog, GLOBAL_REGION, Provider, UNLISTED_PRICE_USD_PER_HOUR};
pub use constraints::{ConstrainedFigure, Constraint, Requested, Sums, TOLERANCE, Term};
pub use environment::Environment;
pub use episode::{Choice, Episode, MAX_WAITING, Observation, StepOutcome, Turn};
pub use events::{Effect, Event};
pub use input::{InputError, OrderedMap};
pub use market::{Candidate, Infeasible, Market, ProviderState};
pub use metrics::{Fate, Metrics, Resolution, Routed, Tally, size_class};
pub use physics::Physics;
pub use preference::{ExcessCost, Outcome, Preference, Preferences};
pub use preset::{Preset, UnknownPreset};
pub use random_files::RandomFiles;
pub use request::Request;
pub use reward::{Reward, Rewards, UnknownReward};
pub use spec::{Document, EnvironmentSpec};
pub use streams::{Stream, generator};
pub use trace::Trace;
pub use trace_time::Origin;
pub use truth::Truth;
pub use wanted::{NAMED_PREFERENCES, Wanted};
pub use window::Window;
pub use workloads::{
    Actions, ArrivalOrder, Knowledge, ScenarioEvent, SimulationSettings, Tenant, Weights, WorkloadProfile,
    Workloads,
};
