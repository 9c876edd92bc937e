//! The trainer: trains swarms of routing agents, records every decision, and lets psi-field watch.
//!
//! [`build`] makes the service. A run is played by a thread of its own ([`worker`]); all that must
//! outlive the process is in the remembrancer ([`records`], [`checkpoint`]), from where the runs are
//! found again at the next start ([`recovery`]). What was learned, and what is imported ([`policies`]), can be
//! asked for decisions about real requests ([`serving`]), and deployed to decide a stream of them ([`deployments`]).

pub mod algorithm;
pub mod checkpoint;
pub mod comparison;
pub mod decisions;
pub mod deployments;
pub mod digest;
pub mod environments;
pub mod events;
pub mod federation;
pub mod field_link;
pub mod figures;
pub mod ledger;
pub mod metrics;
pub mod policies;
pub mod recovery;
pub mod run;
pub mod run_config;
pub mod run_waiter;
pub mod runs;
pub mod serving;
pub mod windows;
pub mod worker;

mod config;
mod error;
mod player;
mod routes;
mod state;

use std::{sync::Arc, time::Duration};

use client::{ClientError, Deadline, Endpoint, Ledger, PsiField, Remembrancer};
use service_kit::{App, ConfigError, Metrics, Readiness, ServiceInfo};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    deployments::{Deployments, Keeper},
    environments::{EnvironmentLimits, Environments},
    federation::Federation,
    metrics::AppMetrics,
    policies::Policies,
    recovery::Recovery,
    runs::{Limits, Runs},
    serving::Serving,
    worker::Outside,
};

pub use config::Config;
pub use state::AppState;

const INFO: ServiceInfo = ServiceInfo {
    name: "trainer",
    port: 8001,
    title: "AI Mesh trainer",
    description: "Trains swarms of GPU routing agents. A run is a function of its configuration: the same one gives \
                  the same decisions, the same policy and the same run root. Every decision goes to the \
                  remembrancer before a checkpoint counts on it; psi-field watches every step and may intervene.",
};

/// The service, at work: unfinished runs that no other trainer has are found in the background and go on. Must be
/// called inside a Tokio runtime. When `shutdown` is cancelled the runs stop at their next step, without a final
/// record, and their leases are given back, so that another trainer, or the next start, takes them up.
///
/// # Errors
/// A URL or a key in the settings cannot be used.
pub async fn build(config: Config, shutdown: CancellationToken) -> Result<App, ConfigError> {
    let wrong = |setting: &str| {
        let setting = setting.to_owned();
        move |error: ClientError| ConfigError::new(format!("{setting}: {error}"))
    };
    config.check()?;
    let endpoint = |url: &str, key: &Option<String>| Endpoint::new(url).with_api_key(key.clone());
    let remembrancer = Remembrancer::new(endpoint(&config.remembrancer_url, &config.remembrancer_api_key))
        .map_err(wrong("remembrancer_url, remembrancer_api_key"))?;
    let psi_field = PsiField::new(endpoint(&config.psi_field_url, &config.psi_field_api_key))
        .map_err(wrong("psi_field_url, psi_field_api_key"))?;
    let ledger = Ledger::new(remembrancer, Deadline::shutting_down(shutdown.clone()));
    let metrics = Metrics::new();
    let gauges = AppMetrics::new(&metrics);
    let every = Duration::from_secs(config.gossip_seconds);
    let federation = Federation::new(ledger.clone(), config.peers, every, &metrics);
    let outside = Outside { ledger: ledger.clone(), psi_field, gauges, federation: federation.clone() };
    let limits = Limits {
        concurrent: config.max_concurrent_runs,
        unfinished: config.max_unfinished_runs,
        resumes: config.resume_runs,
        lease: Duration::from_secs(config.lease_seconds),
    };
    let runs = Runs::new(outside, limits, shutdown.clone());
    let work = runs.work().clone();
    let recovery = Recovery::new();
    let policies = Policies::new(ledger.clone(), runs.clone());
    let ledger_url = config.remembrancer_public_url.unwrap_or(config.remembrancer_url);
    let serving = Serving::new(ledger.clone(), ledger_url.clone(), policies.clone(), &metrics);
    let keeper = config.data_dir.map(|folder| Keeper::open(&folder, config.promise_buffer));
    let keeper = keeper.transpose().map_err(|error| ConfigError::new(format!("data_dir: {error}")))?;
    let deployments = Deployments::new(
        (ledger.clone(), ledger_url),
        (policies.clone(), serving.clone(), federation.clone()),
        (Duration::from_secs(config.lease_seconds), keeper, config.checkpoint_decisions),
        (work.clone(), shutdown.clone()),
        &metrics,
    );
    let idle = Duration::from_secs(config.environment_idle_seconds);
    let environments = Environments::new(EnvironmentLimits { most: config.max_environments, idle }, &metrics);
    tokio::spawn(federation.clone().talk(config.peers_api_key, shutdown.clone()));
    tokio::spawn(policies.clone().recover(shutdown.clone()));
    tokio::spawn(deployments.clone().keep_promises());
    tokio::spawn(recovery.clone().run(ledger, runs.clone(), shutdown));
    let state = AppState::new(
        recovery.clone(),
        runs,
        policies.clone(),
        (serving, deployments),
        environments,
        federation,
    );
    let readiness: Readiness = Arc::new(move || {
        let missing = [recovery.missing(), policies.missing()];
        Box::pin(async move { missing.into_iter().flatten().collect() })
    });
    let router = service_kit::app(INFO, routes::routes().with_state(state), &config.http, metrics, readiness);
    Ok(App::with_work(router, work))
}

/// The service's OpenAPI document: what `/openapi.json` answers.
#[must_use]
pub fn openapi() -> serde_json::Value {
    let (_, document) = routes::routes().split_for_parts();
    service_kit::openapi(&INFO, OpenApiRouter::with_openapi(document)).1
}
