use api::{
    Page, PageQuery,
    psi_field::{InterventionRecord, NewIntervention},
};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
};
use service_kit::{ApiError, ApiResult, IdempotencyKey, Json, Path, Query, cursor};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SwarmId;
use crate::{conversion, state::AppState};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_interventions, request_intervention))
}

/// List interventions
///
/// Oldest first, each with its state: issued, acknowledged, assessed or expired. Those that are not acknowledged when
/// the run ends expire. The last 1,000 of a swarm are kept
/// here; all of them are in the remembrancer.
#[utoipa::path(get, path = "/v1/swarms/{id}/interventions", tag = "interventions",
    params(SwarmId, PageQuery),
    responses(
        (status = 200, description = "A page of interventions.", body = Page<InterventionRecord>),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn list_interventions(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<InterventionRecord>>> {
    let after: Option<u64> = cursor(query.cursor.as_deref(), |cursor| cursor.parse().ok())?;
    let swarm = state.settled(&id).await?;
    let records = swarm.field().into_iter().flat_map(|field| field.interventions());
    let mut records = records.filter(|(number, _)| after.is_none_or(|after| *number > after));
    let page: Vec<_> = records.by_ref().take(query.length()).collect();
    let next_cursor = records.next().and(page.last()).map(|(number, _)| number.to_string());
    Ok(Json(Page {
        items: page.into_iter().map(|(_, record)| conversion::record(record)).collect(),
        next_cursor,
    }))
}

/// Intervene by hand
///
/// The answer to the swarm's next window carries it. Without targets it is for all agents of the last window.
#[utoipa::path(post, path = "/v1/swarms/{id}/interventions", tag = "interventions",
    extensions(("x-scopes" = json!(["operate"]))),
    params(SwarmId,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]+$", description = "The same key again gets the same intervention, \
            also after it was delivered.")),
    request_body(content = NewIntervention, example = json!({"kind": "albedo", "targets": [], "reason": "A new provider joined."})),
    responses(
        (status = 202, description = "It is on its way.", body = InterventionRecord,
            headers(("Location" = String, description = "Where it can be followed."))),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 409, description = "`intervention_pending`: the next answer already carries another one of that kind. \
            `too_many_interventions`. `swarm_ended`: its run has ended, and no answer would carry \
            it. `swarm_idle`: it was brought back after a restart a minute ago or more, and no window came since."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field. `idempotency_key_reused`: for another \
            intervention."),
        (status = 503, description = "`swarm_catching_up`: after a restart, or a snapshot that was put, until a window comes that is past what the \
            ledger holds. \
            `remembrancer_unavailable`. Nothing is on its way; send it again.")))]
async fn request_intervention(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
    IdempotencyKey(key): IdempotencyKey,
    Json(new): Json<NewIntervention>,
) -> ApiResult<(StatusCode, [(header::HeaderName, HeaderValue); 1], Json<InterventionRecord>)> {
    let record = state.request(&id, new, key.as_deref()).await?;
    let location =
        HeaderValue::from_str(&format!("/v1/swarms/{id}/interventions")).map_err(ApiError::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(record)))
}
