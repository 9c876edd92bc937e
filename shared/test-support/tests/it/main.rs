//! What tests are given leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod database;
