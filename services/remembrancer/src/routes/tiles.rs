//! The log as C2SP tlog-tiles serves it, for tools from outside.

use axum::{
    extract::State,
    http::{HeaderName, header},
    routing::get,
};
use merkle_log::tile::TileId;
use service_kit::{ApiResult, Path};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::{LogError, NotFound},
    log,
    state::AppState,
};

/// What a route of static bytes answers with.
type Answer<B> = ([(HeaderName, &'static str); 2], B);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    // A tile's index spans path segments, which OpenAPI has no word for: only its document has one.
    let document = OpenApiRouter::<AppState>::new().routes(routes!(get_tile)).into_openapi();
    OpenApiRouter::with_openapi(document)
        .route("/tile/{level}/{*index}", get(get_tile))
        .routes(routes!(get_checkpoint_note))
}

/// Get the checkpoint as a signed note
///
/// As C2SP tlog-tiles has it.
#[utoipa::path(get, path = "/checkpoint", tag = "tiles",
    responses(
        (status = 200, description = "The signed note.", body = String, content_type = "text/plain"),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_checkpoint_note(State(state): State<AppState>) -> ApiResult<Answer<String>> {
    let head = log::head(state.db()?).await?;
    let note = state.signer().await?.sign(head).await?;
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
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes))
}
