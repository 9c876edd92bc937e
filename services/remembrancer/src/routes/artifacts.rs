use api::{Hash, remembrancer::Artifact};
use axum::{
    body::{Body, Bytes},
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use service_kit::{ApiError, ApiResult, Json, Path};
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
/// Its name is the SHA-256 of its content. Putting it again changes nothing. The `Content-Type` is kept.
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
    content: std::result::Result<Bytes, BytesRejection>,
) -> ApiResult<Response> {
    let content = match content {
        Ok(content) => content,
        // The limit's layer names the limit.
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Ok(rejection.into_response());
        }
        Err(_) => return Err(broken_body()),
    };
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
/// The content, with the media type that it was put with; `application/octet-stream` when it was put with none.
#[utoipa::path(get, path = "/v1/artifacts/{sha256}", tag = "artifacts",
    params(("sha256" = Hash, Path, description = "The SHA-256 of the content.",
        example = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")),
    responses(
        (status = 200, description = "The content.",
            content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "*/*"))),
        (status = 404, description = "`artifact_not_found`."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_artifact(State(state): State<AppState>, Path(name): Path<Hash>) -> ApiResult<Response> {
    let db = state.db()?.clone();
    let artifact = artifacts::describe(&db, name).await?;
    let media_type = HeaderValue::from_str(&artifact.media_type).map_err(ApiError::internal)?;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_LENGTH, HeaderValue::from(artifact.size_bytes)),
        (header::ETAG, quoted(name)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
        // Anybody with a key may put a page here; a browser must not run it as this service's.
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static("sandbox")),
    ];
    Ok((headers, Body::from_stream(parts(db, artifact))).into_response())
}

/// The content in parts, each read when the one before is sent.
fn parts(db: PgPool, artifact: Artifact) -> impl stream::Stream<Item = Result<Bytes>> + Send {
    stream::try_unfold(0, move |offset| {
        let (db, name, size) = (db.clone(), artifact.sha256, artifact.size_bytes);
        async move {
            if offset >= size {
                return Ok(None);
            }
            let part = artifacts::read(&db, name, offset, PART_BYTES).await?;
            if part.is_empty() {
                return Err(LogError::Inconsistent(format!(
                    "the artifact {name} ends at {offset} of {size}"
                )));
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

fn broken_body() -> ApiError {
    let detail = "The request's body broke off before its end. Send it again.";
    ApiError::new(StatusCode::BAD_REQUEST, "unreadable_body", detail)
}
