//! The remembrancer: a searchable transparency log over PostgreSQL. Every decision and every record is a
//! leaf of one append-only Merkle tree; whoever has a receipt or a checkpoint can prove what was recorded.
//!
//! - [`log`]: the order (one writer), the tree in tiles, and proofs.
//! - [`appends`]: what waits to be appended is the next commit.
//! - [`decisions`], [`records`], [`artifacts`]: what is remembered.
//! - [`leases`]: who works on what, and who may no longer write about it.
//! - [`witness`], [`cosignatures`]: what this one cosigns of other logs, and what others cosigned of this one.
//! - [`leaves`], [`signing`]: evidence for a leaf, and the key that checkpoints are signed with.
//! - [`verification`]: verdicts about what a caller brings.
//! - [`fsck`]: everything computed again from the rows.

mod config;
mod error;
mod metrics;
mod routes;
mod state;

pub mod appends;
pub mod artifacts;
pub mod cosignatures;
pub mod database;
pub mod decisions;
pub mod fsck;
pub mod leases;
pub mod leaves;
pub mod log;
pub mod records;
pub mod signing;
pub mod verification;
pub mod witness;

use service_kit::{App, Metrics, Routes, ServiceInfo};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use config::Config;
pub use error::{InvalidField, LogError, NotFound};
pub use state::{AppState, BuildError};

const INFO: ServiceInfo = ServiceInfo {
    name: "remembrancer",
    port: 8002,
    title: "AI Mesh remembrancer",
    description: "The ledger: every decision and record in one append-only log, searchable, and provable offline.",
};

/// The service, whole. It opens its database, and makes its key when the log is new; when the database is away it is alive
/// but not ready, and opens the log as soon as it can, until `shutdown` is cancelled.
///
/// # Errors
/// Settings with which it can never work: a URL that is none, a key that cannot be used, or one that does not belong to
/// the log in the database.
pub async fn build(config: Config, shutdown: CancellationToken) -> Result<App, BuildError> {
    let metrics = Metrics::new();
    let state = AppState::new(&config, &metrics, shutdown).await?;
    let (readiness, work) = (state.readiness(), state.work().clone());
    let routes = routes::routes(&config).with_state(state.clone());
    let routes = Routes::from(routes).with_open(routes::open().with_state(state));
    Ok(App::with_work(service_kit::app(INFO, routes, &config.http, metrics, readiness), work))
}

/// The service's OpenAPI document, as `/openapi.json` answers it.
#[must_use]
pub fn openapi() -> serde_json::Value {
    let document = routes::routes(&Config::default()).merge(routes::open()).into_openapi();
    service_kit::openapi(&INFO, OpenApiRouter::with_openapi(document)).1
}
