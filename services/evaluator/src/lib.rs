//! The evaluator: judges policies on paired, held-out seeds and says how sure it is.
//!
//! Learned policies come from the remembrancer by their SHA-256, every policy meets the same episodes,
//! and what is claimed rests on bootstrap intervals of paired differences. Results are recorded in the
//! ledger, so that any process can tell them later.

mod config;
pub mod conversion;
mod error;
mod evaluations;
mod known_limits;
mod ledger;
mod plan;
pub mod report_page;
mod routes;
mod state;

use std::sync::Arc;

use axum::Router;
use client::{Deadline, Endpoint, Remembrancer};
use service_kit::{ConfigError, Metrics, Readiness, ServiceInfo};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use config::Config;

use crate::{
    evaluations::{Evaluations, Gauges},
    ledger::Ledger,
    routes::routes,
    state::State,
};

const INFO: ServiceInfo = ServiceInfo {
    name: "evaluator",
    title: "AI Mesh evaluator",
    description: "Judges routing policies: learned ones and hand rules meet the same held-out episodes, and \
                  differences are told with 95 % bootstrap intervals over the seeds. Results are recorded in \
                  the ledger.",
};

/// The service, ready to be served. Evaluations at work stop when `shutdown` is cancelled.
///
/// # Errors
/// A setting that cannot be.
pub async fn build(config: Config, shutdown: CancellationToken) -> Result<Router, ConfigError> {
    if config.max_concurrent_evaluations == 0 {
        return Err(ConfigError::new("max_concurrent_evaluations is 0: expected at least 1"));
    }
    let endpoint = Endpoint::new(&config.remembrancer_url).with_api_key(config.remembrancer_api_key.clone());
    let remembrancer = Remembrancer::new(endpoint)
        .map_err(|error| ConfigError::new(format!("remembrancer_url or remembrancer_api_key: {error}")))?;
    let metrics = Metrics::new();
    let gauges = Gauges {
        unfinished: metrics.gauge(
            "ai_mesh_evaluations_unfinished",
            "Evaluations at work or waiting for their turn.",
            &[],
        ),
        completed: ended(&metrics, "completed"),
        failed: ended(&metrics, "failed"),
        episodes: metrics.counter("ai_mesh_evaluation_episodes_total", "Episodes played.", &[]),
        limits_solved: limit_steps(&metrics, "solved"),
        limits_known: limit_steps(&metrics, "known"),
    };
    let ledger = Ledger::new(client::Ledger::new(remembrancer, Deadline::shutting_down(shutdown.clone())));
    let evaluations = Evaluations::new(ledger, config.max_concurrent_evaluations, gauges, shutdown);
    let asked = evaluations.clone();
    let readiness: Readiness = Arc::new(move || {
        let asked = asked.clone();
        Box::pin(async move { asked.missing().await })
    });
    let routes = routes().with_state(State { evaluations });
    Ok(service_kit::app(INFO, routes, &config.http, metrics, readiness))
}

/// The service's OpenAPI document, as `/openapi.json` gives it.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, document) = routes().split_for_parts();
    service_kit::openapi(&INFO, OpenApiRouter::with_openapi(document)).1
}

fn limit_steps(metrics: &Metrics, source: &str) -> metrics::Counter {
    let help = "Steps whose physical limit was solved, or was known from an earlier evaluation.";
    metrics.counter("ai_mesh_evaluation_limit_steps_total", help, &[("source", source.to_owned())])
}

fn ended(metrics: &Metrics, status: &str) -> metrics::Counter {
    let help = "Evaluations that have ended, by status.";
    metrics.counter("ai_mesh_evaluations_total", help, &[("status", status.to_owned())])
}
