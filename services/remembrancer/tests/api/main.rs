//! The remembrancer over HTTP: one module for each resource, each test with a database of its own.

#![allow(clippy::unwrap_used)] // helpers too are tests: what cannot be had fails them

mod artifacts;
mod decisions;
mod export;
mod fsck;
mod helpers;
mod log;
mod outage;
mod records;
mod tiles;
mod verify;
