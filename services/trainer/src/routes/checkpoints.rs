use api::{Page, PageQuery, trainer::Checkpoint};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query, page};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_run_checkpoints))
}

/// List a run's checkpoints
///
/// The oldest first. Each is an artifact of the remembrancer; its SHA-256 is what `resume_from` takes.
#[utoipa::path(get, path = "/v1/runs/{id}/checkpoints", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), PageQuery),
    responses(
        (status = 200, description = "The checkpoints.", body = Page<Checkpoint>),
        (status = 404, description = "`run_not_found`.")))]
async fn list_run_checkpoints(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Checkpoint>>> {
    let run = state.run(id).await?;
    let page = page(&query, run.state().checkpoints.iter().cloned())?;
    Ok(Json(page))
}
