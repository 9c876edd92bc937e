//! Black-box tests of the crate.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contribution;
mod fold;
mod gossip;
mod guard;
mod heads;
mod live;
mod schedules;

#[path = "../../examples/support/liars.rs"]
#[allow(dead_code, reason = "the example prints more than tests ask for")]
mod liars;
#[path = "../../examples/support/sites.rs"]
#[allow(dead_code, reason = "the example compares more than tests do")]
mod sites;
#[path = "../../examples/support/mod.rs"]
#[allow(dead_code, reason = "the example prints more than tests ask for")]
mod support;
