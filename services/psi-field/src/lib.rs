//! The psi-field service: a stability monitor for swarms, with interventions.
//!
//! The crate `psi` computes, and knows nothing of HTTP; a [`swarm`] is a field and the answers that may be asked
//! again; [`ledger`] keeps in the remembrancer what must outlive the process; `routes` speak HTTP.

mod answers;
mod config;
mod conversion;
mod error;
mod existing;
mod ledger;
mod metrics;
mod routes;
mod state;
mod swarm;

use std::time::Duration;

use axum::Router;
use client::{Deadline, Ledger};
use service_kit::{ConfigError, Metrics, ServiceInfo};
use tokio_util::sync::CancellationToken;

pub use config::Config;

use ledger::SwarmLedger;
use metrics::AppMetrics;
use state::AppState;

/// What the service says of itself.
pub const INFO: ServiceInfo = ServiceInfo {
    name: "psi-field",
    port: 8000,
    title: "AI Mesh psi-field",
    description: "A stability monitor for swarms. Each window it takes a swarm's metrics and answers with the \
                  field's state and zero or more interventions. The same window again gets the same answer.",
};

/// The whole service. Nothing is called yet, and nothing works in the background: `shutdown` ends what waits for the
/// remembrancer.
///
/// # Errors
/// A setting makes no sense, or the remembrancer's URL or key cannot be used.
pub async fn build(config: Config, shutdown: CancellationToken) -> Result<Router, ConfigError> {
    config.check()?;
    let metrics = AppMetrics::new(Metrics::new());
    let state = AppState::new(config.clone(), ledger(&config, shutdown)?, metrics);
    let readiness = state.readiness();
    let registry = state.metrics().registry().clone();
    Ok(service_kit::app(INFO, routes::all(state), &config.http, registry, readiness))
}

/// The service's OpenAPI document, as `/openapi.json` answers it.
#[must_use]
pub fn openapi() -> serde_json::Value {
    let state = AppState::new(Config::default(), None, AppMetrics::new(Metrics::new()));
    service_kit::openapi(&INFO, routes::all(state)).1
}

fn ledger(config: &Config, shutdown: CancellationToken) -> Result<Option<SwarmLedger>, ConfigError> {
    let Some(url) = config.remembrancer_url.as_deref().filter(|url| !url.is_empty()) else {
        tracing::warn!(
            "remembrancer_url is not set: snapshots and interventions are recorded nowhere, and no swarm outlives \
             this process"
        );
        return Ok(None);
    };
    // An answer that says "send it again" must still be in time for the request that waits for it.
    let deadline = Duration::from_secs(config.http.request_timeout_seconds).mul_f64(0.8);
    let endpoint =
        client::Endpoint::new(url).with_api_key(config.remembrancer_api_key.clone()).with_timeout(deadline);
    let remembrancer = client::Remembrancer::new(endpoint)
        .map_err(|error| ConfigError::new(format!("`remembrancer_url`: {error}")))?;
    let ledger = Ledger::new(remembrancer, Deadline::shutting_down(shutdown));
    Ok(Some(SwarmLedger::new(ledger, deadline)))
}
