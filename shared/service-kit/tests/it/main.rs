//! A service and its program, as callers and operators see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(unix)]
mod program;
mod service;
