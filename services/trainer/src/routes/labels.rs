use api::trainer::{Run, RunPatch};
use axum::extract::State;
use service_kit::{ApiError, ApiResult, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(update_run))
}

/// Update a run's name, tags or notes
///
/// A JSON merge patch (RFC 7396): what is absent stays, null clears, a list of tags takes the place of the
/// old one. It may be sent at any time, also after the run's end; nothing that the run decides changes, nor
/// its digest. The ledger keeps every change.
#[utoipa::path(patch, path = "/v1/runs/{id}", tag = "runs",
    request_body(content = RunPatch, description = "Also as `application/merge-patch+json`."),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, description = "The run with its labels.", body = Run),
        (status = 404, description = "`run_not_found`."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn update_run(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Json(patch): Json<RunPatch>,
) -> ApiResult<Json<Run>> {
    let (run, runs) = (state.run(id).await?, state.runs().await?.clone());
    let labelled = run.clone();
    // A task of its own: a caller that hangs up must not leave it recorded but not shown.
    let labels = tokio::spawn(async move { runs.label(&labelled, patch).await });
    labels.await.map_err(ApiError::internal)?.map_err(crate::error::ledger_problem)?;
    Ok(Json(run.to_wire()))
}
