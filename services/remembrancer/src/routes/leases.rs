use std::time::Duration;

use api::{
    Page,
    remembrancer::{Fence, FenceQuery, Lease, LeaseClaim, LeaseQuery, LeaseRelease, LeaseRenewal},
};
use axum::{Extension, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use service_kit::{ApiResult, Json, Path, Query, Routine};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::{LogError, Result},
    leases::{self, Filter},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_leases))
        .routes(routes!(get_lease))
        .routes(routes!(claim_lease))
        .routes(routes!(renew_lease))
        .routes(routes!(release_lease))
}

/// Claim a lease
///
/// Whoever claims it holds it until it runs out, unless it is renewed, or is given back. The answer's token is greater
/// than that of every claim before; decisions and records that are sent with it (`lease`, `token`) are refused once a
/// later claim was made. The holder may claim again: the answer may have been lost.
#[utoipa::path(post, path = "/v1/leases/{name}/claim", tag = "leases",
    params(("name" = String, Path, description = "What the lease is for, 1 to 200 bytes.",
        example = "run:0198c7a0-12ab-7abc-8def-0123456789ab")),
    request_body(content = LeaseClaim, example = json!({"holder": "trainer-1", "ttl_ms": 15_000})),
    responses(
        (status = 200, description = "It is the caller's.", body = Lease),
        (status = 409, description = "`lease_held`: somebody else has it; `detail` says who and until when."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field."),
        (status = 503, description = "`database_unavailable`, `disk_full`.")))]
async fn claim_lease(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(claim): Json<LeaseClaim>,
) -> ApiResult<Json<Lease>> {
    let (name, ttl) = (checked(name)?, ttl(claim.ttl_ms));
    Ok(Json(leases::claim(state.db()?, &name, &claim.holder, ttl).await?))
}

/// Renew a lease
///
/// It then lasts for `ttl_ms` from now. A lease that has run out can be renewed as long as nobody else claimed it.
#[utoipa::path(post, path = "/v1/leases/{name}/renew", tag = "leases",
    params(("name" = String, Path, description = "The lease's name.",
        example = "run:0198c7a0-12ab-7abc-8def-0123456789ab")),
    request_body(content = LeaseRenewal, example = json!({"token": 1, "ttl_ms": 15_000})),
    responses(
        (status = 200, description = "Renewed.", body = Lease),
        (status = 409, description = "`lease_lost`: the claim is over."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field."),
        (status = 503, description = "`database_unavailable`, `disk_full`.")))]
async fn renew_lease(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(LeaseRenewal { token, ttl_ms }): Json<LeaseRenewal>,
) -> ApiResult<(Extension<Routine>, Json<Lease>)> {
    let claim = Fence { lease: checked(name)?, token };
    Ok((Extension(Routine), Json(leases::renew(state.db()?, claim, ttl(ttl_ms)).await?)))
}

/// Give a lease back
///
/// Somebody else can claim it at once, and nothing can be written under this claim any more.
#[utoipa::path(post, path = "/v1/leases/{name}/release", tag = "leases",
    params(("name" = String, Path, description = "The lease's name.",
        example = "run:0198c7a0-12ab-7abc-8def-0123456789ab")),
    request_body(content = LeaseRelease, example = json!({"token": 1})),
    responses(
        (status = 200, description = "Given back, now or before.", body = Lease),
        (status = 409, description = "`lease_lost`: a later claim was made, or there never was this one."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field."),
        (status = 503, description = "`database_unavailable`, `disk_full`.")))]
async fn release_lease(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(LeaseRelease { token }): Json<LeaseRelease>,
) -> ApiResult<Json<Lease>> {
    Ok(Json(leases::release(state.db()?, Fence { lease: checked(name)?, token }).await?))
}

/// List leases
///
/// In the order of their names, also those that have run out or were given back.
#[utoipa::path(get, path = "/v1/leases", tag = "leases", params(LeaseQuery),
    responses(
        (status = 200, description = "A page of leases.", body = Page<Lease>),
        (status = 422, description = "`invalid_request`: a filter or the cursor is not valid."),
        (status = 503, description = "`database_unavailable`.")))]
async fn list_leases(
    State(state): State<AppState>,
    Query(query): Query<LeaseQuery>,
) -> ApiResult<Json<Page<Lease>>> {
    let LeaseQuery { prefix, holder, held, limit, cursor } = query;
    let (limit, after) = (limit.unwrap_or(100), cursor.as_deref().map(decode).transpose()?);
    let filter = Filter { prefix, holder, held, after };
    let mut items = leases::list(state.db()?, &filter, limit + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = if more { items.last().map(|lease| encode(&lease.name)) } else { None };
    Ok(Json(Page { items, next_cursor }))
}

/// Get a lease
///
/// Who holds it and until when.
#[utoipa::path(get, path = "/v1/leases/{name}", tag = "leases",
    params(("name" = String, Path, description = "The lease's name.",
        example = "run:0198c7a0-12ab-7abc-8def-0123456789ab")),
    responses(
        (status = 200, description = "The lease, also when it has run out or was given back.", body = Lease),
        (status = 404, description = "`lease_not_found`: nobody ever claimed it."),
        (status = 422, description = "`invalid_request`: no lease can have this name."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_lease(State(state): State<AppState>, Path(name): Path<String>) -> ApiResult<Json<Lease>> {
    Ok(Json(leases::get(state.db()?, &checked(name)?).await?))
}

/// What an append carries, once both parts are there, or none.
pub(super) fn fence(query: FenceQuery) -> Result<Option<Fence>> {
    match (query.lease, query.token) {
        (None, None) => Ok(None),
        (Some(lease), Some(token)) => Ok(Some(Fence { lease, token })),
        (Some(_), None) => Err(LogError::invalid("?token", "expected the token of the claim of `lease`")),
        (None, Some(_)) => Err(LogError::invalid("?lease", "expected the lease that `token` is of")),
    }
}

fn ttl(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

fn checked(name: String) -> Result<String> {
    if name.is_empty() || name.len() > 200 || name.contains('\0') {
        return Err(LogError::invalid("{name}", "expected 1 to 200 bytes without NUL characters"));
    }
    Ok(name)
}

/// A cursor is opaque, so that the order of the list may become another.
fn encode(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("name:{name}"))
}

fn decode(cursor: &str) -> Result<String> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix("name:").filter(|name| !name.contains('\0')).map(str::to_owned)
    };
    read().ok_or_else(|| LogError::invalid("?cursor", "expected `next_cursor` of the page before, as it was"))
}
