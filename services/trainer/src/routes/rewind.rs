use api::trainer::{NewRewind, Run};
use axum::{extract::State, http::StatusCode, response::Response};
use service_kit::{ApiError, ApiResult, IdempotencyKey, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::runs::accepted;
use crate::{
    runs::{CreateError, RewindError},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rewind_run))
}

/// Rewind a run.
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
        (status = 409, description = "`run_already_complete`, `idempotency_key_reused`."),
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

impl From<RewindError> for ApiError {
    fn from(error: RewindError) -> Self {
        match error {
            RewindError::Where => {
                let detail = format!("{error}: name one of them, and not both");
                let field =
                    |pointer: &str| api::FieldError { pointer: pointer.into(), detail: detail.clone() };
                Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "invalid_request",
                    format!("The rewind is not valid: {detail}."),
                )
                .with_errors(vec![field("/episodes_done"), field("/checkpoint")])
            }
            RewindError::NoCheckpoint(episodes) => {
                let there = match episodes.as_slice() {
                    [] => "It has none yet".to_owned(),
                    episodes => {
                        let numbers: Vec<_> = episodes.iter().rev().take(20).map(u32::to_string).collect();
                        format!("It has checkpoints at the episodes {}, the newest first", numbers.join(", "))
                    }
                };
                let detail =
                    format!("The run has no such checkpoint. {there}; `GET` its `checkpoints` lists all.");
                Self::new(StatusCode::NOT_FOUND, "checkpoint_not_found", detail)
            }
            RewindError::Create(CreateError::Invalid(mut errors)) => {
                // the settings are beside the other fields of a rewind
                for error in &mut errors {
                    error.pointer = error.pointer.replacen("/algorithm/", "/", 1);
                }
                super::invalid_body("rewind", errors)
            }
            RewindError::Create(error) => error.into(),
        }
    }
}
