//! The clients against services that answer as a test wants.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod connections;
mod events;
mod ledger;
mod recorder;
mod watched_log;
