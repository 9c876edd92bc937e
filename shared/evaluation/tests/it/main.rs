//! What intervals promise, by simulation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod coverage;
#[path = "../../examples/coverage/truth.rs"]
mod truth;
