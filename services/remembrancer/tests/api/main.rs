//! The remembrancer over HTTP: one module for each resource, each test with a database of its own.

mod artifacts;
mod decisions;
mod fsck;
mod helpers;
mod log;
mod outage;
mod records;
mod tiles;
mod verify;
