//! The service over HTTP, in process, with a stand-in for the remembrancer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod anomalies;
mod deletion;
mod endings;
mod existing;
mod planted;
mod recovery;
mod support;
mod swarms;
