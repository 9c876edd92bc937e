//! The command line, run as people run it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_key;
mod backup;
mod catalog;
mod compose;
mod deletion;
mod errors;
mod federation;
mod follow;
mod full_disk;
mod interrupt;
mod key;
mod ledger;
mod logs;
mod pareto;
mod policy_command;
mod priors;
mod promise;
mod simulate;
mod stack;
mod support;
mod train;
mod usage;
mod verify;
mod visualize;
mod witness;
