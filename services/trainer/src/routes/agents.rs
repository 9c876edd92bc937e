use api::{Page, PageQuery, trainer::AgentState};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query, page};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_run_agents))
}

/// List a run's agents
///
/// Empty until the run has begun.
#[utoipa::path(get, path = "/v1/runs/{id}/agents", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), PageQuery),
    responses(
        (status = 200, description = "The agents by number.", body = Page<AgentState>),
        (status = 404, description = "`run_not_found`.")))]
async fn list_run_agents(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<AgentState>>> {
    let run = state.run(id).await?;
    let page = state
        .runs()
        .await?
        .with_history(&run, |history| page(&query, history.agents.iter().cloned()))
        .await?;
    page.map(Json)
}
