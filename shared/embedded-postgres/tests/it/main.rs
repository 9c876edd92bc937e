//! A private cluster, from its start to its end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
