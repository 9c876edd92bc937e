use api::trainer::Run;
use axum::{extract::State, response::Response};
use service_kit::{ApiError, ApiResult, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::runs::accepted;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(pause_run)).routes(routes!(resume_run))
}

/// Pause a run
///
/// It halts at the end of the current step, with the status `paused`, and gives its place to another run; a queued run
/// is paused at once. It stays paused when the trainer is restarted, and resumes then from its last checkpoint. Pausing
/// changes none of its decisions.
#[utoipa::path(post, path = "/v1/runs/{id}/pause", tag = "runs",
    extensions(("x-scopes" = json!(["operate"]))),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 202, description = "It will pause.", body = Run,
            headers(("Location" = String, description = "Where the run is."))),
        (status = 404, description = "`run_not_found`."),
        (status = 409, description = "`run_already_ended`, `run_is_ending`, `run_already_paused`."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn pause_run(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<Response> {
    let (run, runs) = (state.run(id).await?, state.runs().await?.clone());
    let paused = run.clone();
    // A task of its own: a caller that hangs up must not leave it recorded but not done.
    tokio::spawn(async move { runs.pause(&paused).await }).await.map_err(ApiError::internal)??;
    Ok(accepted(&run))
}

/// Resume a run
///
/// It continues where it halted, as soon as a place is free; until then it is `queued`.
#[utoipa::path(post, path = "/v1/runs/{id}/resume", tag = "runs",
    extensions(("x-scopes" = json!(["operate"]))),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 202, description = "It will resume.", body = Run,
            headers(("Location" = String, description = "Where the run is."))),
        (status = 404, description = "`run_not_found`."),
        (status = 409, description = "`run_already_ended`, `run_is_ending`, `run_not_paused`."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn resume_run(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<Response> {
    let (run, runs) = (state.run(id).await?, state.runs().await?.clone());
    let resumed = run.clone();
    tokio::spawn(async move { runs.resume(&resumed).await }).await.map_err(ApiError::internal)??;
    Ok(accepted(&run))
}
