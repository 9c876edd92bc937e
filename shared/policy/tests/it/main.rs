//! Learners and rules, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adaptive;
mod afterstate;
mod baseline;
mod going_on;
mod hand_rules;
mod merging;
mod scores;
mod support;
mod swarm;
