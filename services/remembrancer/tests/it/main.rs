//! The remembrancer over HTTP, each test with a database of its own; and its columns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod artifacts;
mod cosignatures;
mod decisions;
mod deletion;
mod exact;
mod export;
mod feeder;
mod fsck;
mod groups;
mod identity;
mod leases;
mod log;
mod outage;
mod records;
mod roundtrip;
mod search;
mod support;
mod tiles;
mod verify;
mod witness;
