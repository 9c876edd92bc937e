use api::psi_field::{Snapshot, Swarm};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SwarmId;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_snapshot, put_snapshot)).routes(routes!(checkpoint_swarm))
}

/// Get a swarm's state
///
/// Opaque to callers, with exact floats: put back, the swarm continues bit for bit as before.
#[utoipa::path(get, path = "/v1/swarms/{id}/snapshot", tag = "snapshots",
    params(SwarmId),
    responses(
        (status = 200, description = "The state after the last window.", body = Snapshot),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn get_snapshot(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
) -> ApiResult<Json<Snapshot>> {
    Ok(Json(state.swarm(&id).await?.snapshot()?))
}

/// Start a swarm from a snapshot
///
/// It may be another swarm's: a run that resumes elsewhere has another id there. A swarm that already has exactly this
/// state stays as it is.
#[utoipa::path(put, path = "/v1/swarms/{id}/snapshot", tag = "snapshots",
    params(SwarmId),
    request_body(content = Snapshot, description = "As it was given by `GET` or by a checkpoint."),
    responses(
        (status = 200, description = "The swarm has this state.", body = Swarm),
        (status = 409, description = "`snapshot_conflict`: the swarm exists in another state."),
        (status = 413, description = "`body_too_large`."),
        (status = 422, description = "`invalid_snapshot`: not as it was given."),
        (status = 429, description = "`too_many_swarms`."),
        (status = 503, description = "`remembrancer_unavailable`: nothing was changed; send it again.")))]
async fn put_snapshot(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
    Json(snapshot): Json<Snapshot>,
) -> ApiResult<Json<Swarm>> {
    Ok(Json(state.restore(&id, snapshot).await?))
}

/// Make a checkpoint
///
/// Stores the state in the remembrancer (an artifact, and a note that names it) and answers it. Answers
/// before the checkpoint before this one are dropped; the others stay, for the caller may be stopped before it
/// has written down that it made this one.
#[utoipa::path(post, path = "/v1/swarms/{id}/checkpoints", tag = "snapshots",
    params(SwarmId),
    responses(
        (status = 200, description = "The state after the last window.", body = Snapshot),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 503, description = "`remembrancer_unavailable`: no answer was dropped; send it again.")))]
async fn checkpoint_swarm(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
) -> ApiResult<Json<Snapshot>> {
    Ok(Json(state.checkpoint(&id).await?))
}
