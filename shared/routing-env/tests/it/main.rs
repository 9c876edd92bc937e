//! The simulator, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod files;
mod gym;
mod hidden;
mod rules;
mod untrusted;
