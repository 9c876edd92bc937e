use api::{Page, psi_field::Swarm};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{PageQuery, SwarmId, page_length};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// List swarms
///
/// Those in memory, by id. After a restart a swarm comes back when it is asked for by its id.
#[utoipa::path(get, path = "/v1/swarms", tag = "swarms", params(PageQuery),
    responses(
        (status = 200, description = "A page of swarms.", body = Page<Swarm>),
        (status = 422, description = "`invalid_request`.")))]
async fn list(State(state): State<AppState>, Query(query): Query<PageQuery>) -> ApiResult<Json<Page<Swarm>>> {
    let length = page_length(query.limit);
    let mut items = state.summaries(query.cursor.as_deref(), length + 1);
    let more = items.len() > length;
    items.truncate(length);
    let next_cursor = items.last().filter(|_| more).map(|swarm| swarm.id.clone());
    Ok(Json(Page { items, next_cursor }))
}

/// Get a swarm
#[utoipa::path(get, path = "/v1/swarms/{id}", tag = "swarms",
    params(SwarmId),
    responses(
        (status = 200, description = "The swarm after its last window.", body = Swarm),
        (status = 404, description = "`swarm_not_found`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn get(State(state): State<AppState>, Path(SwarmId(id)): Path<SwarmId>) -> ApiResult<Json<Swarm>> {
    Ok(Json(state.summary(&id).await?))
}
