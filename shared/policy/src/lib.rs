//! Learners and hand rules behind one trait, and the swarm that they form: pure and deterministic.
//!
//! A [`Swarm`] plays the steps of a [`routing_env::Episode`]; its agents are [`Policy`]s. What it has
//! learned is written as a [`PolicyFile`].

#![warn(missing_docs)]

mod board;
mod file;
mod play;
mod policy;
pub mod registry;
mod settings;
mod step_report;
mod swarm;

mod adaptive {
    pub(crate) mod agent;
    mod estimators;
    pub(crate) mod model;
    pub(crate) mod settings;
    mod tuning;
}

mod afterstate {
    pub(crate) mod agent;
    mod concave_tables;
    mod deferral;
    pub(crate) mod request_classes;
    pub(crate) mod scarcity;
    pub(crate) mod settings;
}

mod cem {
    pub(crate) mod agent;
    mod control;
    mod distribution;
    mod pressure;
    mod score;
    pub(crate) mod settings;
}

mod prices {
    pub(crate) mod bid_price;
    mod duals;
    mod fluid;
    pub(crate) mod forecast;
}

mod q_learning {
    pub(crate) mod agent;
    mod replay;
    pub(crate) mod settings;
    mod sum_tree;
    mod table;
}

mod rules {
    pub(crate) mod rule;
    mod size;
}

pub use board::Board;
pub use file::{Fingerprint, POLICY_FORMAT, PolicyFile, Training};
pub use policy::{Decision, Exploration, Learner, LearningWindow, Policy};
pub use registry::Algorithm;
pub use rules::rule::{Rule, UnknownRule};
pub use settings::{Range, Setting, SettingError};
pub use step_report::{AgentStep, DecidedRequest, StepReport};
pub use swarm::{Command, Swarm, SwarmConfig, SwarmError, SwarmState};
