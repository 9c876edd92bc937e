//! The log as C2SP tlog-tiles serves it, for tools from outside.

use std::io::Write as _;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use merkle_log::tile::{TILE_WIDTH, TileId};
use service_kit::{ApiError, ApiResult, Path};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::{LogError, NotFound},
    leaves, log,
    state::AppState,
};

/// What a route of static bytes answers with.
type Answer<B> = ([(HeaderName, &'static str); 2], B);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    // A tile's index spans path segments, which OpenAPI has no word for: only its document has one.
    let document = OpenApiRouter::<AppState>::new()
        .routes(routes!(get_tile))
        .routes(routes!(get_entry_bundle))
        .into_openapi();
    OpenApiRouter::with_openapi(document)
        .route("/tile/{level}/{*index}", get(get_tile))
        .route("/tile/entries/{*index}", get(get_entry_bundle))
        .routes(routes!(get_checkpoint_note))
}

/// Get the checkpoint as a signed note
///
/// As C2SP tlog-tiles has it. Where the log has a trust policy, it is the last one that enough witnesses cosigned, as soon as
/// there is one; `/v1/log/checkpoint` is that of this moment.
#[utoipa::path(get, path = "/checkpoint", tag = "tiles",
    responses(
        (status = 200, description = "The signed note.", body = String, content_type = "text/plain"),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_checkpoint_note(State(state): State<AppState>) -> ApiResult<Answer<String>> {
    let head = log::head(state.db()?).await?;
    let note = state.checkpoint(state.last_witnessed(head).await?.unwrap_or(head)).await?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note))
}

/// Get a tile
///
/// 256 hashes, or fewer of a partial tile (`.p/<width>`), as C2SP tlog-tiles has it. The index is written in groups
/// of three digits, all but the last with an `x` before: `x001/x234/067`.
#[utoipa::path(get, path = "/tile/{level}/{index}", tag = "tiles",
    params(
        ("level" = String, Path, pattern = "^[0-9]{1,2}$", description = "0 for leaf hashes.", example = "0"),
        ("index" = String, Path, pattern = "^(x[0-9]{3}/)*[0-9]{3}(\\.p/[1-9][0-9]{0,2})?$",
            description = "The tile's index, and `.p/<width>` for a partial tile.", example = "000.p/1")),
    responses(
        (status = 200, description = "The hashes, 32 bytes each.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "`tile_not_found`: the tree is not that large yet."),
        (status = 422, description = "`invalid_request`: not a tile's path."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_tile(
    State(state): State<AppState>,
    Path((level, index)): Path<(String, String)>,
) -> ApiResult<Answer<Vec<u8>>> {
    let (id, width) =
        TileId::parse(&level, &index).map_err(|error| LogError::invalid("{index}", error.to_string()))?;
    if id.level > 7 {
        return Err(LogError::from(NotFound::Tile).into()); // 256^8 leaves are more than can be counted
    }
    let bytes = log::tile(state.db()?, id, width).await?;
    Ok((IMMUTABLE, bytes))
}

/// Get a bundle of entries
///
/// The entries behind a tile of level 0, as C2SP tlog-tiles has them: each with its length before it, a big-endian uint16.
/// An entry is a leaf's canonical JSON; its RFC 6962 leaf hash stands in the tile. It is compressed for those who accept
/// gzip.
#[utoipa::path(get, path = "/tile/entries/{index}", tag = "tiles",
    params(
        ("index" = String, Path, pattern = "^(x[0-9]{3}/)*[0-9]{3}(\\.p/[1-9][0-9]{0,2})?$",
            description = "The tile's index, and `.p/<width>` for a partial one.", example = "000.p/1")),
    responses(
        (status = 200, description = "The entries.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "`tile_not_found`: the log is not that long yet. `entry_too_long`: one of the entries \
            has more than 65,535 bytes, which no bundle can tell; `detail` says how to read it."),
        (status = 422, description = "`invalid_request`: not a tile's path."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_entry_bundle(
    State(state): State<AppState>,
    Path(index): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (id, width) =
        TileId::parse("0", &index).map_err(|error| LogError::invalid("{index}", error.to_string()))?;
    let start = id.index.saturating_mul(TILE_WIDTH as u64);
    let bundle = leaves::bundle(state.db()?, start..start.saturating_add(width as u64)).await?;
    let vary = [(header::VARY, "accept-encoding")];
    if !accepts_gzip(&headers) {
        return Ok((vary, IMMUTABLE, bundle).into_response());
    }
    let packed = tokio::task::spawn_blocking(move || {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&bundle).and_then(|()| packed.finish())
    });
    let packed = packed.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    Ok((vary, [(header::CONTENT_ENCODING, "gzip")], IMMUTABLE, packed).into_response())
}

/// What never changes once it is there.
const IMMUTABLE: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "application/octet-stream"),
    (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
];

/// Whether `Accept-Encoding` names gzip, and not with the weight 0 (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_for_those_who_accept_it() {
        let accepts = |value: &str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
        };
        for value in ["gzip", "gzip, identity", "br;q=1, GZIP;q=0.5", "deflate,gzip"] {
            assert!(accepts(value), "{value}");
        }
        for value in ["identity", "gzip;q=0", "x-gzip-not", "gzip;q=none", ""] {
            assert!(!accepts(value), "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
