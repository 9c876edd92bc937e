use api::{
    Hash,
    trainer::{Exclusion, Federation, FederationStream, GossipMessages, ProvedContribution},
};
use axum::{extract::State, http::StatusCode};
use service_kit::{ApiError, ApiResult, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_federation))
        .routes(routes!(get_stream))
        .routes(routes!(get_contribution))
        .routes(routes!(create_exclusion))
        .routes(routes!(exchange_messages))
}

/// Get the federation
///
/// This node's name, whom it exchanges with, what all have contributed to which stream, and who is left out. Nodes with the
/// same `root` have the same contributions.
#[utoipa::path(get, path = "/v1/federation", tag = "federation",
    responses(
        (status = 200, description = "What this node has.", body = Federation),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn get_federation(State(state): State<AppState>) -> ApiResult<Json<Federation>> {
    Ok(Json(state.federation().shown().await?))
}

/// Get a stream
///
/// Evidence that is folded together: of one learner with the same settings, about the same world.
#[utoipa::path(get, path = "/v1/federation/streams/{id}", tag = "federation",
    params(("id" = Hash, Path, description = "SHA-256 of what it is about.")),
    responses(
        (status = 200, description = "The stream.", body = FederationStream),
        (status = 404, description = "`stream_not_found`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn get_stream(
    State(state): State<AppState>,
    Path(id): Path<Hash>,
) -> ApiResult<Json<FederationStream>> {
    let stream = state.federation().stream(id).await?;
    let missing = || {
        let detail = format!("Nobody has contributed to a stream `{id}`; `GET /v1/federation` lists them.");
        ApiError::new(StatusCode::NOT_FOUND, "stream_not_found", detail)
    };
    Ok(Json(stream.ok_or_else(missing)?))
}

/// Get a contribution
///
/// What an author has seen itself: sums, counts, visited values, and what made them; and the evidence that the author's own log
/// names it, which `mesh verify` checks. `mesh federation audit` plays its run again.
#[utoipa::path(get, path = "/v1/federation/contributions/{sha256}", tag = "federation",
    params(("sha256" = Hash, Path, description = "SHA-256 of its bytes.")),
    responses(
        (status = 200, description = "The contribution and its proof.", body = ProvedContribution),
        (status = 404, description = "`contribution_not_found`."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn get_contribution(
    State(state): State<AppState>,
    Path(sha256): Path<Hash>,
) -> ApiResult<Json<ProvedContribution>> {
    let missing = || {
        let detail = format!(
            "This node has no contribution `{sha256}`; `GET /v1/federation` lists those that it has."
        );
        ApiError::new(StatusCode::NOT_FOUND, "contribution_not_found", detail)
    };
    Ok(Json(state.federation().contribution(sha256).await?.ok_or_else(missing)?))
}

/// Leave an author out
///
/// Its contributions are not acted on from the next exchange of a run on; what is folded then is what would be folded if
/// there had been none. `"stands": false` takes it back. It is recorded; other nodes are told, as advice that they need not
/// follow.
#[utoipa::path(post, path = "/v1/federation/exclusions", tag = "federation",
    extensions(("x-scopes" = json!(["operate"]))), request_body = Exclusion,
    responses(
        (status = 200, description = "What this node has now.", body = Federation),
        (status = 422, description = "`invalid_request`: the author is no key, or this node itself."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn create_exclusion(
    State(state): State<AppState>,
    Json(exclusion): Json<Exclusion>,
) -> ApiResult<Json<Federation>> {
    let federation = state.federation().clone();
    // A task of its own: a caller that hangs up must not leave it recorded but not shown.
    let excluded = tokio::spawn(async move { federation.exclude(&exclusion).await });
    Ok(Json(excluded.await.map_err(ApiError::internal)??))
}

/// Exchange messages
///
/// What one trainer tells another, and its answer: roots, heads, and contributions with their proofs. Trainers call it; it is
/// here for those who write one of their own.
#[utoipa::path(post, path = "/v1/federation/messages", tag = "federation", request_body = GossipMessages,
    responses(
        (status = 200, description = "The answer.", body = GossipMessages),
        (status = 422, description = "`invalid_request`: which message is none, by its JSON pointer."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn exchange_messages(
    State(state): State<AppState>,
    Json(said): Json<GossipMessages>,
) -> ApiResult<Json<GossipMessages>> {
    Ok(Json(state.federation().answer(said).await?))
}
