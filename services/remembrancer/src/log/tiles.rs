//! Tiles in the database.

use std::ops::Range;

use merkle_log::{
    Hash,
    tile::{self, Edge, TILE_WIDTH, Tile, TileId, TileSet},
};
use sqlx::{PgConnection, PgExecutor};

use super::{signed, unsigned};
use crate::error::{LogError, NotFound, Result};

/// Reads these tiles; a missing one is noticed by who needs it.
///
/// # Errors
/// The database's.
pub async fn load_tiles(db: impl PgExecutor<'_>, ids: &[TileId]) -> Result<TileSet> {
    let levels: Vec<i16> = ids.iter().map(|id| id.level.into()).collect();
    let indexes: Vec<i64> = ids.iter().map(|id| signed(id.index)).collect();
    let rows = sqlx::query!(
        r#"SELECT t.level, t.tile_index, t.hashes FROM tiles t
           JOIN unnest($1::smallint[], $2::bigint[]) AS wanted (level, tile_index) USING (level, tile_index)"#,
        &levels,
        &indexes
    )
    .fetch_all(db)
    .await?;
    let mut tiles = TileSet::default();
    for row in rows {
        let id = TileId { level: row.level as u8, index: unsigned(row.tile_index)? };
        tiles.insert(id, decode(id, &row.hashes)?);
    }
    Ok(tiles)
}

/// The right edge of the tree of `size` leaves.
///
/// # Errors
/// The database's, or that tiles are missing.
pub async fn open_edge(db: impl PgExecutor<'_>, size: u64) -> Result<Edge> {
    let tiles = load_tiles(db, &Edge::tile_ids(size)).await?;
    Ok(Edge::from_tiles(size, &tiles)?)
}

/// Writes tiles that are new or wider than before.
pub(super) async fn store_tiles(db: &mut PgConnection, tiles: &[Tile]) -> Result<()> {
    let levels: Vec<i16> = tiles.iter().map(|tile| tile.id.level.into()).collect();
    let indexes: Vec<i64> = tiles.iter().map(|tile| signed(tile.id.index)).collect();
    let hashes: Vec<Vec<u8>> = tiles.iter().map(|tile| tile::encode(&tile.hashes)).collect();
    sqlx::query!(
        r#"INSERT INTO tiles (level, tile_index, hashes)
           SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
           ON CONFLICT (level, tile_index) DO UPDATE SET hashes = EXCLUDED.hashes"#,
        &levels,
        &indexes,
        &hashes
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The leaf hashes of these log indexes.
///
/// # Errors
/// The database's, or that tiles are missing.
pub async fn leaf_hashes(db: impl PgExecutor<'_>, leaves: Range<u64>) -> Result<Vec<Hash>> {
    let width = TILE_WIDTH as u64;
    let ids: Vec<_> =
        (leaves.start / width..leaves.end.div_ceil(width)).map(|index| TileId { level: 0, index }).collect();
    let tiles = load_tiles(db, &ids).await?;
    let mut hashes = Vec::with_capacity((leaves.end - leaves.start) as usize);
    for id in ids {
        let (first, end) = (id.index * width, (id.index + 1) * width);
        let positions = leaves.start.max(first) - first..leaves.end.min(end) - first;
        hashes.extend_from_slice(tiles.hashes(id, positions.start as usize..positions.end as usize)?);
    }
    Ok(hashes)
}

/// The first `width` hashes of a tile, as C2SP tlog-tiles serves them.
///
/// # Errors
/// The database's; that there is no such tile, or it is narrower.
pub async fn tile(db: impl PgExecutor<'_>, id: TileId, width: usize) -> Result<Vec<u8>> {
    let hashes = sqlx::query_scalar!(
        "SELECT hashes FROM tiles WHERE level = $1 AND tile_index = $2",
        i16::from(id.level),
        signed(id.index)
    )
    .fetch_optional(db)
    .await?;
    let mut bytes = hashes.filter(|bytes| bytes.len() >= width * 32).ok_or(NotFound::Tile)?;
    bytes.truncate(width * 32);
    Ok(bytes)
}

fn decode(id: TileId, bytes: &[u8]) -> Result<Vec<Hash>> {
    tile::decode(bytes)
        .ok_or_else(|| LogError::Inconsistent(format!("the tile {id} has {} bytes", bytes.len())))
}
