//! The routes that every service has for its operator: health, readiness, metrics.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::{ApiError, BoxFuture, Json, Metrics};

/// Asked by `/readyz`: what the service lacks to serve, each in a sentence that an operator can act
/// on. Empty means ready. It should answer within a second.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<Vec<String>> + Send + Sync>;

/// The OpenAPI document of these routes, to be merged into a service's own.
#[derive(OpenApi)]
#[openapi(paths(get_health, get_readiness, get_metrics), tags((name = "operations", description = "Health, readiness and metrics, for whoever runs the service")))]
pub(crate) struct OperationsDocument;

/// The service runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`; a service that is not does not answer.
    #[schema(example = "ok")]
    status: &'static str,
    /// The service's name.
    #[schema(example = "trainer")]
    service: &'static str,
    /// The service's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// The service can serve.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadinessState {
    /// Always true: a service that is not ready answers 503.
    ready: bool,
}

/// Get the process's health
///
/// Whether it is alive. Never needs a key.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()),
    responses((status = 200, description = "It is alive.", body = Health)))]
pub(crate) async fn get_health(State(service): State<&'static str>) -> Json<Health> {
    Json(Health { status: "ok", service, version: env!("CARGO_PKG_VERSION") })
}

/// Get the service's readiness
///
/// Whether it can serve. If not, the problem's `detail` says what is missing. Never needs a key.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "It can serve.", body = ReadinessState),
        (status = 503, description = "`not_ready`: it cannot serve yet; `detail` says what is missing.",
            body = api::Problem, content_type = "application/problem+json")))]
pub(crate) async fn get_readiness(
    State(readiness): State<Readiness>,
) -> Result<Json<ReadinessState>, ApiError> {
    let missing = missing(&readiness).await;
    if missing.is_empty() {
        return Ok(Json(ReadinessState { ready: true }));
    }
    let detail = format!("Not ready: {}.", missing.join("; "));
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail)
        .retry_after(Duration::from_secs(1)))
}

/// Get the service's metrics
///
/// In Prometheus' text format. Needs a key when the service has keys.
#[utoipa::path(get, path = "/metrics", tag = "operations", extensions(("x-scopes" = json!(["read", "metrics"]))),
    responses((status = 200, description = "All metrics.", body = String, content_type = "text/plain")))]
pub(crate) async fn get_metrics(
    State((metrics, readiness)): State<(Metrics, Readiness)>,
) -> Result<impl IntoResponse, ApiError> {
    let missing = missing(&readiness).await;
    metrics
        .gauge("ai_mesh_ready", "Whether the service can serve, as /readyz says.", &[])
        .set(f64::from(u8::from(missing.is_empty())));
    // It reads files, those of disks in the network too.
    let text = tokio::task::spawn_blocking(move || metrics.render()).await.map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

async fn missing(readiness: &Readiness) -> Vec<String> {
    match tokio::time::timeout(READINESS_LIMIT, readiness()).await {
        Ok(missing) => missing,
        Err(_) => vec![format!("the readiness check did not end within {} s", READINESS_LIMIT.as_secs())],
    }
}

/// Well below the usual ten seconds of whoever probes.
const READINESS_LIMIT: Duration = Duration::from_secs(5);
