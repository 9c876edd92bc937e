//! For tests only: fresh databases without anything to set up, a proxy that can fail, fakes of the services, and
//! waiting for what comes in its own time.
//!
//! A fake keeps the rules that callers of the service rely on, in memory, and fails when a test wants it to. It knows
//! the wire, not the service: the services' own tests use it.

#![allow(clippy::expect_used)] // a test that cannot have its surroundings has failed, and should say so
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an HTTP answer as good as any other, and made as seldom"
)]

mod database;
mod eventually;
mod faults;
mod http;
mod proxy;
mod psi_field;
mod remembrancer;

pub use database::{DedicatedCluster, TestDatabase, database, dedicated_cluster};
pub use eventually::{eventually, eventually_blocking};
pub use faults::{Fault, Faults};
pub use http::{get, http_client, http_client_builder, problem, serve};
pub use proxy::{Proxy, ProxyMode};
pub use psi_field::{FakePsiField, Restart};
pub use remembrancer::FakeRemembrancer;
