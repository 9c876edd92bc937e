use api::policies::{DecisionDetails, Outcome, RecordedOutcome};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use service_kit::{ApiResult, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_decision)).routes(routes!(report_outcome))
}

/// Get a served decision
///
/// As it is in the ledger, with its proof, and its outcome once that has been reported.
#[utoipa::path(get, path = "/v1/decisions/{id}", tag = "policies",
    params(("id" = Uuid, Path, description = "The decision.", example = "29a7758f-290a-814c-8000-000000000000")),
    responses(
        (status = 200, description = "The decision.", body = DecisionDetails),
        (status = 404, description = "`decision_not_found`: no policy of this trainer served it."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn get_decision(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<DecisionDetails>> {
    state.policies().await?;
    if let Some(details) = state.deployments().details(id).await? {
        return Ok(Json(details));
    }
    Ok(Json(state.serving().details(id).await?))
}

/// Report the outcome of a decision
///
/// What really happened to the request that was routed, once: it is recorded in the ledger beside the decision.
/// The same outcome again gets the same receipt. A deployment learns from it; a policy that is asked call by call does
/// not.
#[utoipa::path(post, path = "/v1/decisions/{id}/outcome", tag = "policies", request_body = Outcome,
    params(("id" = Uuid, Path, description = "The decision.", example = "29a7758f-290a-814c-8000-000000000000")),
    responses(
        (status = 201, description = "Recorded; `Location` names the decision.", body = RecordedOutcome,
            headers(("Location" = String, description = "Where the decision is, with its outcome."))),
        (status = 200, description = "It had been told before.", body = RecordedOutcome,
            headers(("Location" = String, description = "Where the decision is, with its outcome."))),
        (status = 404, description = "`decision_not_found`: no policy of this trainer served it."),
        (status = 409, description = "`outcome_conflict`: another outcome is recorded. `decision_not_routed`: the \
            request was sent nowhere. `deployment_cannot_continue`."),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer."),
        (status = 503, description = "`remembrancer_unavailable`, `policy_busy`: send it again. `deployment_elsewhere`: \
            to the trainer that serves it. `recovering`.")))]
async fn report_outcome(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Json(outcome): Json<Outcome>,
) -> ApiResult<Response> {
    state.policies().await?;
    let (recorded, is_new) = match state.deployments().tell(id, &outcome).await? {
        Some(told) => told,
        None => state.serving().tell(id, outcome).await?,
    };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::LOCATION, format!("/v1/decisions/{id}"))], Json(recorded)).into_response())
}
