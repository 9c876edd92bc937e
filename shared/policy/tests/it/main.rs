//! Learners and rules, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adaptive;
mod afterstate;
mod baseline;
mod constraints;
mod extremes;
mod going_on;
mod hand_rules;
mod heeding;
mod laws;
mod merging;
mod preferences;
mod priors;
mod q_learning;
mod regions;
mod support;
mod swarm;
mod trials;
mod untrusted;
