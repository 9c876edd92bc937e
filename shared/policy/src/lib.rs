//! Learners and hand rules, and the swarms that they form: pure and deterministic.
//!
//! A [`Swarm`] plays the steps of a [`routing_env::Episode`]. Its agents are a team of one kind (`team.rs`); what all kinds
//! have in common is in `policy.rs`. What was learned is data ([`Knowledge`]): it is written as a [`PolicyFile`], read
//! elsewhere, and merged with what others learned.
//!
//! Each kind of learner has a wing, a folder of its own: `settings.rs` says what it can be told, `agent.rs` how it decides
//! and learns, `knowledge.rs` what it knows and by which law two are merged. [`registry`] lists them. The hand rules are
//! the wing `rules`. No wing imports another, but for `prices`, on which those are built that decide by bid prices or
//! forecasts: they can be read, changed and taken away one by one.

#![warn(missing_docs)]

mod constrained;
mod division;
mod error;
mod explore;
mod fault;
mod file;
mod fingerprint;
mod guard;
mod knowledge;
mod learning;
mod play;
mod policy;
mod prior;
pub mod registry;
mod settings;
mod step_evidence;
mod step_report;
mod swarm;
mod team;
mod told;
pub mod trial;

mod adaptive {
    pub(crate) mod agent;
    mod board;
    mod estimators;
    mod knowledge;
    mod member;
    mod model;
    mod nowcast;
    pub(crate) mod prior;
    mod settings;
    mod tuning;
    mod view;
}

mod afterstate {
    pub(crate) mod agent;
    mod concave_tables;
    mod deferral;
    mod knowledge;
    pub(crate) mod prior;
    mod request_classes;
    mod scarcity;
    mod settings;
}

mod cem {
    pub(crate) mod agent;
    mod control;
    mod distribution;
    mod knowledge;
    mod pressure;
    pub(crate) mod prior;
    mod score;
    mod settings;
}

mod prices {
    pub(crate) mod bid_price;
    mod duals;
    mod fluid;
    pub(crate) mod forecast;
}

mod q_learning {
    pub(crate) mod agent;
    mod cell;
    mod knowledge;
    pub(crate) mod prior;
    mod replay;
    mod settings;
    mod sum_tree;

    mod request {
        pub(crate) mod agent;
        mod experience;
        mod hours;
        pub(crate) mod knowledge;
        mod losses;
        mod start;
        mod state;
        pub(crate) mod step;
        mod values;
    }

    mod specified {
        pub(crate) mod agent;
        mod bins;
        pub(crate) mod knowledge;
        mod table;
        mod transition;
    }
}

mod rules {
    mod bid_price;
    mod counting;
    mod hand_rule;
    pub(crate) mod rule;
    mod scored;
    mod size;
    mod tuned;
}

pub use constrained::Constrained;
pub use error::SwarmError;
pub use explore::Exploration;
pub use fault::Fault;
pub use file::{POLICY_FORMAT, PolicyFile, Training};
pub use fingerprint::Fingerprint;
pub use guard::GuardState;
pub use knowledge::{Knowledge, KnowledgeError};
pub use learning::LearningWindow;
pub use policy::Decision;
pub use prior::{MetaTraining, PRIOR_FORMAT, Prior, WorldRange};
pub use registry::Algorithm;
pub use rules::rule::{Rule, UnknownRule};
pub use settings::{Range, Setting, SettingError};
pub use step_evidence::{PastStep, StepEvidence};
pub use step_report::{AgentStep, DecidedRequest, StepReport};
pub use swarm::{Command, StreamState, Swarm, SwarmConfig, SwarmState};
pub use told::Told;
