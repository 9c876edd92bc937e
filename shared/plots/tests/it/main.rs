//! Charts and pages, as bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod charts;
mod page;
mod support;
