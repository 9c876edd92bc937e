use api::{
    Page,
    policies::{DecisionRequest, NewPolicy, Policy, PolicyQuery, ServedDecisions},
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::DateTime;
use service_kit::{ApiError, ApiResult, IdempotencyKey, Json, Path, Query};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{serving::ServeError, state::AppState};

/// The longest policy file in a body, in bytes; a longer one is PUT to the remembrancer first.
const FILE_LIMIT: usize = 64 << 20;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(
            OpenApiRouter::new()
                .routes(routes!(import_policy, list_policies))
                .layer(service_kit::body_limit(FILE_LIMIT)),
        )
        .routes(routes!(get_policy))
        .routes(routes!(get_policy_file))
        .routes(routes!(ask_policy))
}

/// Import a policy
///
/// A policy file (`file`, or `artifact` for one that the remembrancer has) or a hand rule (`rule`), and the
/// environment that it decides in. The same import again gets the same policy. What a run of this trainer
/// learned needs no import: it is a policy under the run's id.
#[utoipa::path(post, path = "/v1/policies", tag = "policies", request_body = NewPolicy,
    responses(
        (status = 201, description = "Imported, and recorded in the ledger; `Location` names it.", body = Policy,
            headers(("Location" = String, description = "Where the policy is."))),
        (status = 200, description = "It had been imported before.", body = Policy,
            headers(("Location" = String, description = "Where the policy is."))),
        (status = 413, description = "`body_too_large`: PUT the file to the remembrancer and give `artifact`."),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer. \
            `policy_of_another_catalog`: it was trained for other providers or tenants than the environment's."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn import_policy(State(state): State<AppState>, Json(new): Json<NewPolicy>) -> ApiResult<Response> {
    let (policy, is_new) = state.policies().await?.import(new).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/policies/{}", policy.id);
    Ok((status, [(header::LOCATION, location)], Json(policy.to_wire())).into_response())
}

/// List policies
///
/// The newest first: those that were imported, and what the runs of this trainer learned.
#[utoipa::path(get, path = "/v1/policies", tag = "policies", params(PolicyQuery),
    responses(
        (status = 200, description = "A page of policies.", body = Page<Policy>),
        (status = 503, description = "`recovering`.")))]
async fn list_policies(
    State(state): State<AppState>,
    Query(query): Query<PolicyQuery>,
) -> ApiResult<Json<Page<Policy>>> {
    let after = service_kit::cursor(query.cursor.as_deref(), parse_cursor)?;
    let wanted = |policy: &crate::policies::Policy| {
        query.kind.is_none_or(|kind| policy.kind() == kind)
            && query.run.is_none_or(|run| policy.run == Some(run))
    };
    let limit = query.limit.unwrap_or(100) as usize;
    let mut found = state.policies().await?.list(wanted, after, limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|policy| cursor(policy));
    Ok(Json(Page { items: found.iter().map(|policy| policy.to_wire()).collect(), next_cursor }))
}

/// Get a policy
///
/// Where it comes from, and the environment that it decides in.
#[utoipa::path(get, path = "/v1/policies/{id}", tag = "policies",
    params(("id" = Uuid, Path, description = "The policy.", example = "1fcb0350-dd98-567b-8e27-2cbd7cecde9d")),
    responses(
        (status = 200, description = "The policy.", body = Policy),
        (status = 404, description = "`policy_not_found`."),
        (status = 503, description = "`recovering`.")))]
async fn get_policy(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<Json<Policy>> {
    Ok(Json(state.policy(id).await?.to_wire()))
}

/// Get a policy's file
///
/// The file (`ai-mesh-policy/2`, as `swarm_final.json`) that another trainer imports and `mesh evaluate` reads.
#[utoipa::path(get, path = "/v1/policies/{id}/file", tag = "policies",
    params(("id" = Uuid, Path, description = "The policy.")),
    responses(
        (status = 200, description = "The policy file.", body = Object, content_type = "application/json"),
        (status = 404, description = "`policy_not_found`; `policy_has_no_file`: it is a hand rule, and its name is \
            all there is to it; `policy_file_missing`."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn get_policy_file(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<Response> {
    let policy = state.policy(id).await?;
    let Some(name) = policy.file() else {
        let detail = format!(
            "The policy `{id}` is the hand rule `{}`, which has no file: import it elsewhere by its name.",
            policy.algorithm
        );
        return Err(ApiError::new(StatusCode::NOT_FOUND, "policy_has_no_file", detail));
    };
    let bytes = state.policies().await?.file(name).await.map_err(ServeError::from)?;
    let bytes = bytes.ok_or(ServeError::FileMissing(name))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// Ask a policy for decisions
///
/// The requests are decided in order; each takes its capacity and budget before the next one. Providers and
/// tenants are as in the policy's environment without events, except for what `providers` and `tenants` say about their
/// current state. The policy neither learns nor explores, and each call begins afresh: what was sent where before, and what
/// became of it, is forgotten. A deployment (`POST /v1/deployments`) remembers it. Each decision is in the ledger before it is answered: its
/// `evidence_url` gives what `POST /v1/verify` checks. All requests are decided or none. With an
/// `Idempotency-Key` the same requests again get the same decisions, also after a restart.
#[utoipa::path(post, path = "/v1/policies/{id}/decisions", tag = "policies", request_body = DecisionRequest,
    params(("id" = Uuid, Path, description = "The policy.", example = "1fcb0350-dd98-567b-8e27-2cbd7cecde9d"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]+$",
            description = "1 to 200 visible ASCII characters. The same key and requests again get the same answer.")),
    responses(
        (status = 200, description = "The decisions, in the order of the requests.", body = ServedDecisions),
        (status = 404, description = "`policy_not_found`, `policy_file_missing`."),
        (status = 422, description = "`invalid_request`: each wrong element by its JSON pointer; none was decided. \
            `idempotency_key_reused`: for other requests."),
        (status = 503, description = "`remembrancer_unavailable`: nothing is answered that is not recorded. \
            `policy_busy`: with other calls. `recovering`.")))]
async fn ask_policy(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<DecisionRequest>,
) -> ApiResult<Json<ServedDecisions>> {
    let policy = state.policy(id).await?;
    Ok(Json(state.serving().decide(&policy, request, key.as_deref()).await?))
}

/// Where the next page starts: the last policy's time in µs, and its id.
fn cursor(policy: &crate::policies::Policy) -> String {
    format!("{}.{}", policy.created_at.timestamp_micros(), policy.id)
}

fn parse_cursor(text: &str) -> Option<(DateTime<chrono::Utc>, Uuid)> {
    let (micros, id) = text.split_once('.')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}
