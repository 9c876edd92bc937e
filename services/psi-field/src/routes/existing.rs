use axum::extract::State;
use chrono::Utc;
use garde::Validate;
use records::psi::Trace;
use serde::{Deserialize, Serialize};
use service_kit::{ApiResult, Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::SwarmError,
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
        .routes(routes!(get_agent_metrics))
        .routes(routes!(calculate_swarm_metrics))
        .routes(routes!(record_trace))
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

/// This field, as a member of a federation of fields.
#[derive(Debug, Serialize, ToSchema)]
struct AgentMetrics {
    /// Always `default`.
    agent_id: &'static str,
    /// Ψ.
    psi: f64,
    /// The field after the last step.
    metrics: existing::State,
    /// Seconds since 1970.
    timestamp: f64,
}

/// All swarms together.
#[derive(Debug, Serialize, ToSchema)]
struct AllSwarms {
    /// The means over them.
    swarm_metrics: SwarmMetrics,
    /// Seconds since 1970.
    timestamp: f64,
}

/// The mean of each term over the swarms in which it is known.
#[derive(Debug, Serialize, ToSchema)]
#[allow(non_snake_case)] // the wire's names
struct SwarmMetrics {
    /// How many swarms there are.
    agent_count: u64,
    /// Ψ.
    Psi: f64,
    /// Continuity.
    C: f64,
    /// Futurity.
    U: f64,
    /// Phase coherence.
    Phi: f64,
    /// Entropy.
    H: f64,
    /// Prediction error.
    PE: f64,
    /// Memory.
    M: f64,
}

/// Something outside that is to be recorded by its hash.
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[schema(example = json!({"trace_type": "memory", "trace_hash": "9f86d081884c7d65", "metadata": {"component": "demo"}}))]
struct NewTrace {
    /// What sort of thing it is of.
    #[garde(length(bytes, min = 1, max = 100), custom(printable))]
    #[schema(min_length = 1, max_length = 100)]
    trace_type: String,
    /// Its hash.
    #[garde(length(bytes, min = 1, max = 200), custom(printable))]
    #[schema(min_length = 1, max_length = 200)]
    trace_hash: String,
    /// What is said of it.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Object)]
    metadata: serde_json::Map<String, serde_json::Value>,
}

/// It becomes part of a record's id.
fn printable(text: &str, (): &()) -> garde::Result {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(garde::Error::new("expected visible ASCII characters"))
    }
}

/// A trace is in the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct Recorded {
    /// Always `recorded`.
    status: &'static str,
    /// Its hash.
    trace_hash: String,
}

/// The service runs.
#[derive(Debug, Serialize, ToSchema)]
struct EngineHealth {
    /// Always `healthy`.
    status: &'static str,
    /// Always true.
    import_success: bool,
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
/// The swarm `default` forgets everything and continues with these parameters; without a body, with the defaults.
#[utoipa::path(post, path = "/init", tag = "existing-clients",
    request_body(content = Option<Params>, example = json!({"dt": 0.2, "W_r": 3.0, "H": 2.0, "N": 8})),
    responses(
        (status = 200, description = "Done.", body = Initialised),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn initialize_field(
    State(state): State<AppState>,
    params: Option<Json<Params>>,
) -> ApiResult<Json<Initialised>> {
    let Json(params) = params.unwrap_or_default();
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
    Json(EngineHealth {
        status: "healthy",
        import_success: true,
        engine_initialized: true,
        persistence,
        timestamp: now(),
    })
}

/// Get this field's metrics
///
/// As a federation of fields asks each of its members: the swarm `default` after its last step.
#[utoipa::path(get, path = "/federation/metrics", tag = "existing-clients",
    responses((status = 200, description = "The field after the last step.", body = AgentMetrics)))]
async fn get_agent_metrics(State(state): State<AppState>) -> ApiResult<Json<AgentMetrics>> {
    let now_is = existing::look(&state, Utc::now()).await?;
    Ok(Json(AgentMetrics { agent_id: DEFAULT_SWARM, psi: now_is.Psi, metrics: now_is, timestamp: now() }))
}

/// Calculate swarm metrics
///
/// The mean of each term over the swarms that this service holds, of those in which it is known; 0 where it is in none.
#[utoipa::path(post, path = "/federation/swarm", tag = "existing-clients",
    responses((status = 200, description = "The means.", body = AllSwarms)))]
async fn calculate_swarm_metrics(State(state): State<AppState>) -> Json<AllSwarms> {
    let swarms = state.summaries(None, usize::MAX);
    let mean = |term: fn(&api::psi_field::FieldState) -> Option<f64>| {
        let known: Vec<f64> = swarms.iter().filter_map(|swarm| term(&swarm.state)).collect();
        if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 }
    };
    let swarm_metrics = SwarmMetrics {
        agent_count: swarms.len() as u64,
        Psi: mean(|state| state.psi),
        C: mean(|state| state.continuity),
        U: mean(|state| state.futurity),
        Phi: mean(|state| state.phase_coherence),
        H: mean(|state| state.entropy),
        PE: mean(|state| state.prediction_error),
        M: mean(|state| state.memory),
    };
    Json(AllSwarms { swarm_metrics, timestamp: now() })
}

/// Record a trace
///
/// Puts the hash of something outside, and what is said of it, into the ledger, as a record of the kind `psi.trace`. The same
/// trace again is the same record.
#[utoipa::path(post, path = "/record", tag = "existing-clients", request_body = NewTrace,
    responses(
        (status = 200, description = "It is in the ledger.", body = Recorded),
        (status = 409, description = "`record_conflict`: it is there with other metadata."),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn record_trace(
    State(state): State<AppState>,
    Json(trace): Json<NewTrace>,
) -> ApiResult<Json<Recorded>> {
    let NewTrace { trace_type, trace_hash, metadata } = trace;
    let body = Trace { trace_type, trace_hash: trace_hash.clone(), metadata };
    state.ledger().ok_or(SwarmError::NoLedger)?.record_trace(body).await?;
    Ok(Json(Recorded { status: "recorded", trace_hash }))
}

fn yes() -> bool {
    true
}

fn now() -> f64 {
    Utc::now().timestamp_micros() as f64 / 1e6
}
