//! The evaluator over HTTP, in process, with a stand-in for the remembrancer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod constraints;
mod evaluations;
mod fronts;
mod limits;
mod planted;
mod recomputed;
mod reports;
mod support;
mod survival;
mod trainings;
