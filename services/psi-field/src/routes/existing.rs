use axum::extract::State;
use chrono::Utc;
use garde::Validate;
use serde::{Deserialize, Serialize};
use service_kit::{ApiResult, Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    existing::{self, Params},
    metrics::DEFAULT_SWARM,
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(take_step))
        .routes(routes!(get_field_state))
        .routes(routes!(initialize_field))
        .routes(routes!(get_field_params))
        .routes(routes!(get_engine_health))
}

/// One step of the field.
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[schema(example = json!({"x": [41.2, 39.8, 40.5], "apply_guardian": true}))]
struct NewStep {
    /// One agent's mean reward each.
    #[garde(length(min = 1, max = 10_000))]
    x: Vec<f64>,
    /// Let the guardian look at it, and intervene.
    #[serde(default = "yes")]
    #[garde(skip)]
    apply_guardian: bool,
}

/// The field starts again.
#[derive(Debug, Serialize, ToSchema)]
struct Initialised {
    /// Always `initialized`.
    status: &'static str,
    /// The parameters that hold now.
    params: Params,
    /// Seconds since 1970.
    timestamp: f64,
}

/// The current parameters.
#[derive(Debug, Serialize, ToSchema)]
struct CurrentParams {
    #[serde(flatten)]
    params: Params,
    /// Seconds since 1970.
    timestamp: f64,
}

/// The service runs.
#[derive(Debug, Serialize, ToSchema)]
struct EngineHealth {
    /// Always `healthy`.
    status: &'static str,
    /// Always true.
    engine_initialized: bool,
    /// `remembrancer`, or `none`: then no state outlives the process.
    persistence: &'static str,
    /// Seconds since 1970.
    timestamp: f64,
}

/// Take a step of the field
///
/// One window of the swarm `default`. A value that is not yet known is 0.
#[utoipa::path(post, path = "/step", tag = "existing-clients", request_body = NewStep,
    responses(
        (status = 200, description = "The field after the step.", body = existing::State),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`: the step was not taken.")))]
async fn take_step(
    State(state): State<AppState>,
    Json(step): Json<NewStep>,
) -> ApiResult<Json<existing::State>> {
    Ok(Json(existing::step(&state, &step.x, step.apply_guardian, Utc::now()).await?))
}

/// Get the field's state
///
/// The swarm `default` after its last step; before the first one every term is 0.
#[utoipa::path(get, path = "/state", tag = "existing-clients",
    responses((status = 200, description = "The field after the last step.", body = existing::State)))]
async fn get_field_state(State(state): State<AppState>) -> ApiResult<Json<existing::State>> {
    Ok(Json(existing::look(&state, Utc::now()).await?))
}

/// Initialize the field
///
/// The swarm `default` forgets everything and continues with these parameters.
#[utoipa::path(post, path = "/init", tag = "existing-clients",
    request_body(content = Params, example = json!({"dt": 0.2, "W_r": 3.0, "H": 2.0, "N": 8})),
    responses(
        (status = 200, description = "Done.", body = Initialised),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn initialize_field(
    State(state): State<AppState>,
    Json(params): Json<Params>,
) -> ApiResult<Json<Initialised>> {
    existing::init(&state, params.clone()).await?;
    Ok(Json(Initialised { status: "initialized", params, timestamp: now() }))
}

/// Get the field's parameters
///
/// Those that the swarm `default` runs with.
#[utoipa::path(get, path = "/params", tag = "existing-clients",
    responses((status = 200, description = "The current parameters.", body = CurrentParams)))]
async fn get_field_params(State(state): State<AppState>) -> ApiResult<Json<CurrentParams>> {
    let set = state.params().clone();
    let swarm = state.swarm(DEFAULT_SWARM).await.ok();
    let running = swarm.as_ref().and_then(|swarm| swarm.field()).map(|field| set.of(field.settings()));
    Ok(Json(CurrentParams { params: running.unwrap_or(set), timestamp: now() }))
}

/// Get the engine's health
///
/// As earlier clients ask for it. `/healthz` and `/readyz` say more.
#[utoipa::path(get, path = "/health", tag = "existing-clients",
    responses((status = 200, description = "It is alive.", body = EngineHealth)))]
async fn get_engine_health(State(state): State<AppState>) -> Json<EngineHealth> {
    let persistence = if state.ledger().is_some() { "remembrancer" } else { "none" };
    Json(EngineHealth { status: "healthy", engine_initialized: true, persistence, timestamp: now() })
}

fn yes() -> bool {
    true
}

fn now() -> f64 {
    Utc::now().timestamp_micros() as f64 / 1e6
}
