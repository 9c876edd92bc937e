use api::{
    Page, PageQuery,
    psi_field::{SwarmAnomaly, Verdict},
};
use axum::extract::State;
use service_kit::{ApiResult, Json, Path, Query, cursor};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SwarmId;
use crate::state::AppState;

/// A swarm, and the window that completed one of its anomalies.
type AnomalyPath = Path<(SwarmId, u64)>;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_anomalies)).routes(routes!(judge_anomaly))
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
        (status = 410, description = "`swarm_deleted`."),
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

/// Judge an anomaly
///
/// Whether it was worth knowing of, which is recorded and counted: the share of false alarms is what the field has to be
/// judged by. An anomaly is named by the window that completed it. The last verdict counts; the same one again changes nothing.
#[utoipa::path(post, path = "/v1/swarms/{id}/anomalies/{window}/verdict", tag = "swarms",
    params(SwarmId, ("window" = u64, Path, description = "The window that completed the anomaly.", example = 161)),
    request_body = Verdict,
    responses(
        (status = 200, description = "The verdict that counts.", body = Verdict),
        (status = 404, description = "`anomaly_not_found`."),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn judge_anomaly(
    State(state): State<AppState>,
    path: AnomalyPath,
    Json(verdict): Json<Verdict>,
) -> ApiResult<Json<Verdict>> {
    let Path((SwarmId(id), window)) = path;
    state.judge(&id, window, verdict.clone()).await?;
    Ok(Json(verdict))
}
