//! A service and its program, as callers and operators see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod encoding;
mod hosts;
mod keys;
#[cfg(unix)]
mod program;
mod service;
mod unreadable;
