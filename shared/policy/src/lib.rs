//! Learners and hand rules behind one trait, and the swarm that they form: pure and deterministic.
//!
//! A [`Swarm`] plays the steps of a [`routing_env::Episode`]; its agents are [`Policy`]s. What it has
//! learned is written as a [`PolicyFile`].

mod adaptive;
mod afterstate;
mod bid_price;
mod board;
mod cem;
mod concave_tables;
mod deferral;
mod duals;
mod estimators;
mod file;
mod fluid;
mod forecast;
mod model;
mod policy;
mod q_learning;
mod q_table;
mod replay;
mod request_classes;
mod rules;
mod scarcity;
mod size_rules;
mod step_report;
mod sum_tree;
mod swarm;
mod tuning;

pub use board::Board;
pub use file::{Fingerprint, POLICY_FORMAT, PolicyFile, Training};
pub use policy::{Decision, Exploration, Learner, LearningWindow, Policy};
pub use q_learning::{MAX_PROVIDERS, QLearning, QLearningConfig};
pub use replay::{ReplayConfig, ReplayKind};
pub use rules::{Rule, UnknownRule};
pub use step_report::{AgentStep, DecidedRequest, StepReport};
pub use swarm::{Command, LEARNERS, Swarm, SwarmConfig, SwarmError, SwarmState};
