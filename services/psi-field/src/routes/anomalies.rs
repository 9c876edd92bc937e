use api::{Page, PageQuery, psi_field::SwarmAnomaly};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query, cursor};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SwarmId;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_anomalies))
}

/// List anomalies
///
/// Oldest first, over the swarm's whole course: each is a record of the kind `psi.anomaly` in the remembrancer. Without a
/// remembrancer, those of the answers that are kept.
#[utoipa::path(get, path = "/v1/swarms/{id}/anomalies", tag = "swarms",
    params(SwarmId, PageQuery),
    responses(
        (status = 200, description = "A page of anomalies.", body = Page<SwarmAnomaly>),
        (status = 404, description = "`swarm_not_found`."),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn list_anomalies(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<SwarmAnomaly>>> {
    let place = |cursor: &str| cursor.parse().ok().filter(|place| *place <= api::MAX_SAFE_INTEGER);
    let after = cursor(query.cursor.as_deref(), place)?;
    Ok(Json(state.anomalies(&id, after, query.length()).await?))
}
