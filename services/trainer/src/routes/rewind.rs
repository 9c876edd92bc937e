use api::trainer::{NewRewind, Run};
use axum::{extract::State, response::Response};
use service_kit::{ApiError, ApiResult, IdempotencyKey, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::runs::accepted;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rewind_run))
}

/// Rewind a run
///
/// Begins a new run that leaves the path of this one at one of its checkpoints, where `learning_rate`,
/// `discount`, `epsilon` and `episodes` may change; the old run stays as it is, whether it has ended or not.
/// The ledger forgets nothing: what was decided up to the checkpoint is the beginning of the new run's Merkle
/// tree, and what follows is recorded under a digest of its own, over the settings, the checkpoint and
/// `branch`. The same rewind again decides the same; to try the same settings with other interventions,
/// take another `branch`.
#[utoipa::path(post, path = "/v1/runs/{id}/rewind", tag = "runs", request_body = NewRewind,
    params(("id" = Uuid, Path, description = "The run."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 200 visible ASCII characters. The same key and body again get the same run.")),
    responses(
        (status = 202, description = "Accepted; `Location` names the new run.", body = Run,
            headers(("Location" = String, description = "Where the new run is."))),
        (status = 404, description = "`run_not_found`, `checkpoint_not_found`."),
        (status = 409, description = "`run_already_complete`."),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer. `idempotency_key_reused`."),
        (status = 429, description = "`too_many_runs`: wait for some to end."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn rewind_run(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    IdempotencyKey(key): IdempotencyKey,
    Json(rewind): Json<NewRewind>,
) -> ApiResult<Response> {
    let (old, runs) = (state.run(id).await?, state.runs().await?.clone());
    // A task of its own: a caller that hangs up must not leave a run that is recorded but not queued.
    let task = tokio::spawn(async move { runs.rewind(&old, rewind, key).await });
    let run = task.await.map_err(ApiError::internal)??;
    Ok(accepted(&run))
}
