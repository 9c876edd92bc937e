//! What the limit must hold against whatever a policy does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod limit;
