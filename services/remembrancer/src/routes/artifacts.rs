use std::ops::Range;

use api::{Hash, remembrancer::Artifact};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use service_kit::{ApiError, ApiResult, Content, Json, Path, Wanted};
use sqlx::PgPool;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    artifacts,
    error::{LogError, Result},
    state::AppState,
};

/// How much of an artifact is in memory while it is read.
const PART_BYTES: u32 = 1 << 20;

/// The type of what came without one.
const UNTYPED: &str = "application/octet-stream";

pub(super) fn routes(body_limit: usize) -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(OpenApiRouter::new().routes(routes!(put_artifact)).layer(service_kit::body_limit(body_limit)))
        .routes(routes!(get_artifact))
}

/// Store an artifact
///
/// Its name is the SHA-256 of its content, decoded where it is sent with a `Content-Encoding`. Putting it again changes
/// nothing. The `Content-Type` is kept.
#[utoipa::path(put, path = "/v1/artifacts/{sha256}", tag = "artifacts",
    params(("sha256" = Hash, Path, description = "The SHA-256 of the content.",
        example = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The content, any bytes of any media type.", example = json!("hello")),
    responses(
        (status = 201, description = "Stored.", body = Artifact),
        (status = 200, description = "It had been stored before.", body = Artifact),
        (status = 413, description = "`body_too_large`."),
        (status = 422, description = "`digest_mismatch`: the content has another SHA-256. Nothing was stored."),
        (status = 503, description = "`database_unavailable`, `disk_full`: send it again.")))]
async fn put_artifact(
    State(state): State<AppState>,
    Path(name): Path<Hash>,
    headers: HeaderMap,
    Content(content): Content,
) -> ApiResult<Response> {
    let media_type = media_type(&headers)?;
    let checked = content.clone();
    tokio::task::spawn_blocking(move || artifacts::check(name, &checked))
        .await
        .map_err(ApiError::internal)??;
    let put = artifacts::put(state.db()?, name, &media_type, &content).await?;
    let status = if put.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(put.artifact)).into_response())
}

/// Get an artifact
///
/// The content, with the media type that it was put with (`application/octet-stream` when with none); a part of it by
/// `Range`, nothing where `If-None-Match` says that it is known.
#[utoipa::path(get, path = "/v1/artifacts/{sha256}", tag = "artifacts",
    params(("sha256" = Hash, Path, description = "The SHA-256 of the content.",
        example = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")),
    responses(
        (status = 200, description = "The content.",
            content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "*/*"))),
        (status = 206, description = "The part of it that `Range` asks for.",
            content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "*/*"))),
        (status = 304, description = "It has the `ETag` that `If-None-Match` names."),
        (status = 404, description = "`artifact_not_found`."),
        (status = 416, description = "`range_not_satisfiable`: it begins behind the content's end."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_artifact(
    State(state): State<AppState>,
    Path(name): Path<Hash>,
    method: Method,
    request: HeaderMap,
) -> ApiResult<Response> {
    let db = state.db()?.clone();
    let artifact = artifacts::describe(&db, name).await?;
    let media_type = HeaderValue::from_str(&artifact.media_type).map_err(ApiError::internal)?;
    let (tag, size) = (quoted(name)?, artifact.size_bytes);
    let (status, range) = match service_kit::wanted(&method, &request, &tag, size) {
        Ok(Wanted::Whole) => (StatusCode::OK, 0..size),
        Ok(Wanted::Part(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Err(refusal) => return Ok(*refusal),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start)),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
        // Anybody with a key may put a page here; a browser must not run it as this service's.
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static("sandbox")),
    ];
    let mut response = (status, headers, Body::from_stream(parts(db, name, range.clone()))).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        let place = HeaderValue::from_str(&place).map_err(ApiError::internal)?;
        response.headers_mut().insert(header::CONTENT_RANGE, place);
    }
    Ok(response)
}

/// A range of the content in parts, each read when the one before is sent.
fn parts(db: PgPool, name: Hash, range: Range<u64>) -> impl stream::Stream<Item = Result<Bytes>> + Send {
    stream::try_unfold(range.start, move |offset| {
        let (db, end) = (db.clone(), range.end);
        async move {
            if offset >= end {
                return Ok(None);
            }
            let length = u32::try_from(end - offset).unwrap_or(u32::MAX).min(PART_BYTES);
            let part = artifacts::read(&db, name, offset, length).await?;
            if part.is_empty() {
                return Err(LogError::Inconsistent(format!("the artifact {name} ends at {offset} of {end}")));
            }
            let next = offset + part.len() as u64;
            Ok(Some((Bytes::from(part), next)))
        }
    })
}

fn media_type(headers: &HeaderMap) -> Result<String> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(UNTYPED.into()) };
    match value.to_str() {
        Ok(text) if (1..=200).contains(&text.len()) => Ok(text.to_owned()),
        _ => Err(LogError::invalid(
            "Content-Type",
            "expected 1 to 200 visible ASCII characters in this header",
        )),
    }
}

fn quoted(name: Hash) -> ApiResult<HeaderValue> {
    HeaderValue::from_str(&format!("\"{name}\"")).map_err(ApiError::internal)
}
