//! For tests only: fresh databases without anything to set up, and a proxy that can fail.
//!
//! It knows no service: the services' tests use it.

#![allow(clippy::expect_used)] // a test that cannot have its surroundings has failed, and should say so

mod database;
mod proxy;

pub use database::{DedicatedCluster, TestDatabase, database, dedicated_cluster};
pub use proxy::{Proxy, ProxyMode};
