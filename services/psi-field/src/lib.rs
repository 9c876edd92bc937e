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

use chrono::Utc;
use client::{Deadline, Ledger};
use service_kit::{App, ConfigError, Metrics, ServiceInfo};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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

/// How often it is looked for swarms that expire, where they are kept for long.
const EXPIRY_PERIOD: Duration = Duration::from_secs(60);

/// The service, at work: swarms of which no window comes any more expire in the background. Must be called inside a Tokio
/// runtime. `shutdown` ends that, and what waits for the remembrancer.
///
/// # Errors
/// A setting makes no sense, or the remembrancer's URL or key cannot be used.
pub async fn build(config: Config, shutdown: CancellationToken) -> Result<App, ConfigError> {
    config.check()?;
    let metrics = AppMetrics::new(Metrics::new());
    let state = AppState::new(config.clone(), ledger(&config, shutdown.clone())?, metrics);
    let work = TaskTracker::new();
    if state.lifetime().is_some() {
        let period = EXPIRY_PERIOD.min(Duration::from_secs(config.swarm_ttl_seconds) / 10);
        work.spawn(expire(state.clone(), period, shutdown));
    }
    let readiness = state.readiness();
    let registry = state.metrics().registry().clone();
    let router = service_kit::app(INFO, routes::all(state), &config.http, registry, readiness);
    Ok(App::with_work(router, work))
}

async fn expire(state: AppState, period: Duration, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
        // What is half done when the service ends is done again by the next one, from the ledger.
        shutdown.run_until_cancelled(state.expire(Utc::now())).await;
    }
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
