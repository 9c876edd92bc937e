//! Training from the command line: the run's configuration, following it, what it leaves.

pub(crate) mod config;
pub(crate) mod curve;
pub(crate) mod ending;
pub(crate) mod folder;
pub(crate) mod follow;
pub(crate) mod outcome;
pub(crate) mod settings;
pub(crate) mod trainings;
