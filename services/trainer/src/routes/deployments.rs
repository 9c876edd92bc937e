use api::{
    Page,
    deployments::{
        ChangeChampion, DeferredDecision, Deployment, DeploymentDecisions, DeploymentRequest,
        DeploymentStream, MarketUpdate, MomentQuery, NewDeployment, OpenDecision, OpenDecisionQuery,
        StopDeployment,
    },
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use service_kit::{ApiResult, IdempotencyKey, Json, Path, Query};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_deployment, list_deployments))
        .routes(routes!(get_deployment))
        .routes(routes!(ask_deployment))
        .routes(routes!(get_deferred_decision))
        .routes(routes!(put_market))
        .routes(routes!(list_open_decisions))
        .routes(routes!(promote_challenger))
        .routes(routes!(roll_back_challenger))
        .routes(routes!(stop_deployment))
}

/// Deploy a policy
///
/// It decides a stream of real requests from now on, one long episode whose steps are windows of time. Capacities and budgets
/// are given for a window, and what was sent where counts until it ends. What is told of jobs (`POST
/// /v1/decisions/{id}/outcome`) is what the policy sees when the window ends. The same deployment once more is the same one.
#[utoipa::path(post, path = "/v1/deployments", tag = "deployments", request_body = NewDeployment,
    responses(
        (status = 201, description = "Deployed, and recorded in the ledger; `Location` names it.", body = Deployment,
            headers(("Location" = String, description = "Where the deployment is."))),
        (status = 200, description = "It had been deployed before.", body = Deployment,
            headers(("Location" = String, description = "Where the deployment is."))),
        (status = 409, description = "`deployment_exists`: another one has the name."),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn create_deployment(
    State(state): State<AppState>,
    Json(new): Json<NewDeployment>,
) -> ApiResult<Response> {
    state.policies().await?;
    let (deployment, is_new) = state.deployments().create(new).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/deployments/{}", deployment.name);
    Ok((status, [(header::LOCATION, location)], Json(deployment)).into_response())
}

/// List deployments
///
/// The newest first, all of them, without their streams.
#[utoipa::path(get, path = "/v1/deployments", tag = "deployments",
    responses(
        (status = 200, description = "The deployments.", body = Page<Deployment>),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn list_deployments(State(state): State<AppState>) -> ApiResult<Json<Page<Deployment>>> {
    state.policies().await?;
    Ok(Json(Page { items: state.deployments().list().await?, next_cursor: None }))
}

/// Get a deployment
///
/// With where its stream stands: the window, what is left of providers and budgets, and what was told of its jobs.
#[utoipa::path(get, path = "/v1/deployments/{name}", tag = "deployments",
    params(("name" = String, Path, description = "The deployment.", example = "gateway"), MomentQuery),
    responses(
        (status = 200, description = "The deployment.", body = Deployment),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`: `now` where the deployment goes by the trainer's clock."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn get_deployment(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(query): Query<MomentQuery>,
) -> ApiResult<Json<Deployment>> {
    state.policies().await?;
    Ok(Json(state.deployments().look(&name, query.now).await?))
}

/// Ask a deployment for decisions
///
/// The requests are decided in order, on what the deployment remembers: what is left of capacities and budgets, what was
/// told of earlier jobs, what waits. Each decision is in the ledger before it is answered, with the probability with which it
/// was made; or, with the `durability` `promise`, in a journal from which it gets there, as the answer's signed `promise` says.
/// A request may be deferred to the end of its window. After 503 the requests may have been decided without anybody
/// being told; asked again they are other requests, unless the call has an `Idempotency-Key`: then it gets the decisions that it
/// got or would have got, also from a trainer that was started since (which does not tell any more why not the other
/// providers).
#[utoipa::path(post, path = "/v1/deployments/{name}/decisions", tag = "deployments", request_body = DeploymentRequest,
    params(("name" = String, Path, description = "The deployment.", example = "gateway"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]+$",
            description = "1 to 200 visible ASCII characters. The same key and requests again get the same decisions.")),
    responses(
        (status = 200, description = "The decisions, in the order of the requests.", body = DeploymentDecisions),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`deployment_stopped`, `deployment_cannot_continue`, `deployment_journal_damaged`. `idempotency_key_in_use`: a call with \
            the key is not answered yet. `idempotency_key_reused`: for other requests."),
        (status = 422, description = "`invalid_request`: each wrong element by its JSON pointer; none was decided."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `promises_full`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn ask_deployment(
    State(state): State<AppState>,
    Path(name): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<DeploymentRequest>,
) -> ApiResult<Json<DeploymentDecisions>> {
    state.ready()?;
    Ok(Json(state.deployments().decide(&name, request, key).await?))
}

/// Get what became of a deferred request
///
/// By the decision that deferred it. It is remembered for the window and the one after it.
#[utoipa::path(get, path = "/v1/deployments/{name}/decisions/{id}", tag = "deployments",
    params(("name" = String, Path, description = "The deployment.", example = "gateway"),
        ("id" = Uuid, Path, description = "The decision that deferred the request."), MomentQuery),
    responses(
        (status = 200, description = "Whether it waits, or where it goes.", body = DeferredDecision),
        (status = 404, description = "`deployment_not_found`, `not_deferred`."),
        (status = 409, description = "`deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`: `now` where the deployment goes by the trainer's clock."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn get_deferred_decision(
    State(state): State<AppState>,
    Path((name, id)): Path<(String, Uuid)>,
    Query(query): Query<MomentQuery>,
) -> ApiResult<Json<DeferredDecision>> {
    state.ready()?;
    Ok(Json(state.deployments().deferred(&name, id, query.now).await?))
}

/// Say how the market is
///
/// Providers stay so until something else is said of them; what is left of a capacity or a budget is said for the window
/// under way. An empty update with `now` tells a deployment that goes by its callers' clock what time it is.
#[utoipa::path(put, path = "/v1/deployments/{name}/market", tag = "deployments", request_body = MarketUpdate,
    params(("name" = String, Path, description = "The deployment.", example = "gateway")),
    responses(
        (status = 200, description = "Where the stream stands.", body = DeploymentStream),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`deployment_stopped`, `deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `promises_full`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn put_market(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(update): Json<MarketUpdate>,
) -> ApiResult<Json<DeploymentStream>> {
    state.ready()?;
    Ok(Json(state.deployments().hear_market(&name, update).await?))
}

/// List decisions without an outcome
///
/// Those that sent a request somewhere, and of which nothing was told yet, the oldest first. After `missing_at` they are
/// missing, and not listed any more.
#[utoipa::path(get, path = "/v1/deployments/{name}/open-decisions", tag = "deployments",
    params(("name" = String, Path, description = "The deployment.", example = "gateway"), OpenDecisionQuery),
    responses(
        (status = 200, description = "A page of decisions.", body = Page<OpenDecision>),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`: the cursor is none."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn list_open_decisions(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(query): Query<OpenDecisionQuery>,
) -> ApiResult<Json<Page<OpenDecision>>> {
    state.ready()?;
    let after = service_kit::cursor(query.cursor.as_deref(), |text| text.parse().ok())?;
    let limit = query.limit.unwrap_or(100) as usize;
    Ok(Json(state.deployments().open_decisions(&name, after, limit).await?))
}

/// Promote a challenger
///
/// It is the champion from now on, and goes on from what it has seen of the stream: a shadow from its own. What is recorded has
/// the figures of that moment. The champion before it stays: rolled back, it is the champion again.
#[utoipa::path(post, path = "/v1/deployments/{name}/promote", tag = "deployments",
    extensions(("x-scopes" = json!(["operate"]))), request_body = ChangeChampion,
    params(("name" = String, Path, description = "The deployment.", example = "gateway")),
    responses(
        (status = 200, description = "The challenger is the champion.", body = Deployment),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`no_challenger`, `challenger_not_ready`, `deployment_stopped`, \
                                      `deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`: which of several challengers."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn promote_challenger(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(change): Json<ChangeChampion>,
) -> ApiResult<Json<Deployment>> {
    state.policies().await?;
    Ok(Json(state.deployments().promote(&name, change).await?))
}

/// Roll a challenger back
///
/// It decides nothing any more, and its requests are the champion's again. Where the champion was a challenger and no other one
/// is active, it is rolled back itself, to the champion before it.
#[utoipa::path(post, path = "/v1/deployments/{name}/rollback", tag = "deployments",
    extensions(("x-scopes" = json!(["operate"]))), request_body = ChangeChampion,
    params(("name" = String, Path, description = "The deployment.", example = "gateway")),
    responses(
        (status = 200, description = "It is rolled back.", body = Deployment),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`no_challenger`, `deployment_stopped`, `deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`: which of several challengers."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn roll_back_challenger(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(change): Json<ChangeChampion>,
) -> ApiResult<Json<Deployment>> {
    state.policies().await?;
    Ok(Json(state.deployments().roll_back(&name, change).await?))
}

/// Stop a deployment
///
/// It takes no requests any more, for good; what is told of its jobs is still recorded. Stopping it again changes nothing.
#[utoipa::path(post, path = "/v1/deployments/{name}/stop", tag = "deployments",
    extensions(("x-scopes" = json!(["operate"]))), request_body = StopDeployment,
    params(("name" = String, Path, description = "The deployment.", example = "gateway")),
    responses(
        (status = 200, description = "It is stopped.", body = Deployment),
        (status = 404, description = "`deployment_not_found`."),
        (status = 409, description = "`deployment_cannot_continue`, `deployment_journal_damaged`."),
        (status = 422, description = "`invalid_request`."),
        (status = 503, description = "`deployment_elsewhere`, `deployment_journal_elsewhere`, \
            `journal_unavailable`, `policy_busy`, `remembrancer_unavailable`, `recovering`.")))]
async fn stop_deployment(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(stop): Json<StopDeployment>,
) -> ApiResult<Json<Deployment>> {
    state.policies().await?;
    Ok(Json(state.deployments().stop(&name, stop.reason).await?))
}
