use api::{
    Page, PageQuery,
    psi_field::{DeletedSwarm, Swarm},
};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query, cursor};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SwarmId;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new().routes(routes!(list_swarms)).routes(routes!(get_swarm, delete_swarm));
    routes.routes(routes!(end_swarm))
}

/// What a cursor begins with; the swarm after which the page starts follows.
const AFTER: &str = "after:";

/// List swarms
///
/// Those in memory, by id. After a restart a swarm comes back when it is asked for by its id.
#[utoipa::path(get, path = "/v1/swarms", tag = "swarms", params(PageQuery),
    responses(
        (status = 200, description = "A page of swarms.", body = Page<Swarm>),
        (status = 422, description = "`invalid_request`.")))]
async fn list_swarms(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Swarm>>> {
    // The prefix tells a cursor from any other id.
    let after = cursor(query.cursor.as_deref(), |cursor| cursor.strip_prefix(AFTER).map(str::to_owned))?;
    let length = query.length();
    let mut items = state.summaries(after.as_deref(), length + 1);
    let more = items.len() > length;
    items.truncate(length);
    let next_cursor = items.last().filter(|_| more).map(|swarm| format!("{AFTER}{}", swarm.id));
    Ok(Json(Page { items, next_cursor }))
}

/// Get a swarm
///
/// How many windows it has taken, and the field after the last of them.
#[utoipa::path(get, path = "/v1/swarms/{id}", tag = "swarms",
    params(SwarmId),
    responses(
        (status = 200, description = "The swarm after its last window.", body = Swarm),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn get_swarm(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
) -> ApiResult<Json<Swarm>> {
    Ok(Json(state.summary(&id).await?))
}

/// Delete a swarm
///
/// What psi-field holds of it goes: its field, its answers, and what came since its last checkpoint. What the ledger has of it
/// stays there, since a record is never changed, and a record of the kind `psi.deletion` says that nothing of it is to come back,
/// after a restart either; every intervention that was not acknowledged expires. Whoever posts under this id again, window 0 or a
/// snapshot, begins another swarm: a run that is still played does so by itself, from its last checkpoint, and ends as if
/// nothing had been deleted. Said again, it changes nothing. Without a remembrancer nothing is recorded, and the id is
/// afterwards one that nobody ever used.
#[utoipa::path(delete, path = "/v1/swarms/{id}", tag = "swarms",
    params(SwarmId),
    responses(
        (status = 200, description = "The swarm is deleted.", body = DeletedSwarm),
        (status = 404, description = "`swarm_not_found`."),
        (status = 429, description = "`too_many_swarms`: it is not in memory, and none there can make room for a look at it."),
        (status = 503, description = "`remembrancer_unavailable`: the swarm is not deleted; send it again.")))]
async fn delete_swarm(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
) -> ApiResult<Json<DeletedSwarm>> {
    Ok(Json(state.delete(&id).await?))
}

/// End a swarm
///
/// No window of it comes any more. Every intervention that was not acknowledged expires, and none can be issued. The trainer
/// says so when a run ends. Said again, it changes nothing.
#[utoipa::path(post, path = "/v1/swarms/{id}/end", tag = "swarms",
    params(SwarmId),
    responses(
        (status = 200, description = "The swarm has ended.", body = Swarm),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 503, description = "`remembrancer_unavailable`: the swarm has not ended; send it again.")))]
async fn end_swarm(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
) -> ApiResult<Json<Swarm>> {
    Ok(Json(state.end(&id).await?))
}
