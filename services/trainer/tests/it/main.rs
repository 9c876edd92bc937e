//! The trainer over HTTP, in process, with stand-ins for the remembrancer and psi-field.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod challengers;
mod deployments;
mod environments;
mod events;
mod figures;
mod former_kinds;
mod golden_runs;
mod kill_anything;
mod labels;
mod pause;
mod planted;
mod policies;
mod priors;
mod promises;
mod rewind;
mod runs;
mod support;
mod two_trainers;
