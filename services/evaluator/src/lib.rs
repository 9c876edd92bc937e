//! The evaluator: judges policies on paired, held-out seeds and says how sure it is.
//!
//! Learned policies come from the remembrancer by their SHA-256, every policy meets the same episodes,
//! and what is claimed rests on intervals of paired differences. Results are recorded in the
//! ledger, so that any process can tell them later.

mod at_work;
mod config;
pub mod conversion;
mod error;
mod evaluations;
pub mod fronts;
mod known_limits;
mod ledger;
pub mod local;
pub mod logged;
mod metrics;
mod plan;
mod policies;
pub mod report_page;
mod results_csv;
mod routes;
mod state;
mod values_csv;
mod worker;

use std::{sync::Arc, time::Duration};

use client::{Deadline, Endpoint, Remembrancer};
use service_kit::{App, ConfigError, Metrics, ServiceInfo};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

pub use config::Config;

use crate::{
    at_work::AtWork, evaluations::Evaluations, known_limits::KnownLimits, ledger::Ledger,
    metrics::AppMetrics, routes::routes, state::AppState, worker::Worker,
};

const INFO: ServiceInfo = ServiceInfo {
    name: "evaluator",
    port: 8003,
    title: "AI Mesh evaluator",
    description: "Judges routing policies: learned ones and hand rules meet the same held-out episodes, and \
                  differences are told with 95 % intervals over trainings and seeds. Results are recorded in \
                  the ledger.",
};

/// The service, at work: evaluations that nobody works on are found in the background. Must be called inside a Tokio
/// runtime. When `shutdown` is cancelled the work stops and its leases are given back, so that another evaluator, or the next
/// start, begins it again.
///
/// # Errors
/// A setting that cannot be.
pub async fn build(config: Config, shutdown: CancellationToken) -> Result<App, ConfigError> {
    config.check()?;
    let endpoint = Endpoint::new(&config.remembrancer_url).with_api_key(config.remembrancer_api_key.clone());
    let remembrancer = Remembrancer::new(endpoint)
        .map_err(|error| ConfigError::new(format!("remembrancer_url or remembrancer_api_key: {error}")))?;
    let asked = client::Ledger::new(remembrancer.clone(), Deadline::shutting_down(shutdown.clone()));
    let ledger = Ledger::new(remembrancer, asked);
    let registry = Metrics::new();
    let metrics = AppMetrics::new(&registry);
    let (at_work, accepted) = (AtWork::new(metrics.at_work.clone()), Arc::new(Notify::new()));
    let worker = Worker {
        ledger: ledger.clone(),
        known_limits: KnownLimits::new(ledger.clone()),
        at_work: at_work.clone(),
        accepted: accepted.clone(),
        metrics,
        holder: format!("evaluator-{}", Uuid::now_v7()),
        lease_ttl: Duration::from_secs(config.lease_seconds),
        work: TaskTracker::new(),
        shutdown,
    };
    let work = worker.work.clone();
    work.spawn(Arc::new(worker).run(config.max_concurrent_evaluations));
    let state = AppState { evaluations: Evaluations::new(ledger, at_work, accepted) };
    let readiness = state.readiness();
    let router = service_kit::app(INFO, routes().with_state(state), &config.http, registry, readiness);
    Ok(App::with_work(router, work))
}

/// The service's OpenAPI document, as `/openapi.json` gives it.
#[must_use]
pub fn openapi() -> serde_json::Value {
    let (_, document) = routes().split_for_parts();
    service_kit::openapi(&INFO, OpenApiRouter::with_openapi(document)).1
}
