//! Records as earlier versions wrote them, and as this one does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod former;
mod kinds;
