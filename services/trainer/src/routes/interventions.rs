use api::{Page, PageQuery, psi_field::Intervention};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query, page};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_run_interventions))
}

/// List the interventions that a run applied
///
/// The oldest first; the last 1000 are kept. What became of them is at psi-field:
/// `GET /v1/swarms/{run}/interventions`.
#[utoipa::path(get, path = "/v1/runs/{id}/interventions", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), PageQuery),
    responses(
        (status = 200, description = "The interventions.", body = Page<Intervention>),
        (status = 404, description = "`run_not_found`.")))]
async fn list_run_interventions(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Intervention>>> {
    let run = state.run(id).await?;
    let page = state
        .runs()
        .await?
        .with_history(&run, |history| page(&query, history.interventions.iter().cloned()))
        .await?;
    page.map(Json)
}
