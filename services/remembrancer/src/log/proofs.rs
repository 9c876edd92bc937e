//! The head, and proofs from tiles. Tiles only ever grow, so a proof for a size that was once read stays
//! right while others append.

use std::ops::Range;

use merkle_log::{
    EMPTY_ROOT, Hash,
    proof::{consistency_ranges, inclusion_ranges, range_hash},
    tile::{TileId, TileSet},
};
use sqlx::{PgExecutor, PgPool};

use super::{digest, load_tiles, unsigned};
use crate::error::{LogError, NotFound, Result};

/// The log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// The log's head.
///
/// # Errors
/// The database's.
pub async fn head(db: impl PgExecutor<'_>) -> Result<Head> {
    let row = sqlx::query!("SELECT size, root FROM log_head").fetch_one(db).await?;
    Ok(Head { size: unsigned(row.size)?, root: digest(&row.root)? })
}

/// The audit path of a leaf in the tree of `size` leaves, and the leaf's hash.
///
/// # Errors
/// The database's; the leaf is not in that tree.
pub async fn inclusion(db: &PgPool, index: u64, size: u64) -> Result<(Hash, Vec<Hash>)> {
    let mut ranges = inclusion_ranges(index, size).map_err(|_| NotFound::Leaf(index))?;
    ranges.insert(0, Range { start: index, end: index + 1 });
    let mut path = range_hashes(db, &ranges).await?;
    let leaf = path.remove(0);
    Ok((leaf, path))
}

/// The proof that the tree of `to` leaves only appended to that of `from`.
///
/// # Errors
/// The database's; the sizes do not follow each other.
pub async fn consistency(db: &PgPool, from: u64, to: u64) -> Result<Vec<Hash>> {
    let ranges =
        consistency_ranges(from, to).map_err(|error| LogError::invalid("?from", error.to_string()))?;
    range_hashes(db, &ranges).await
}

/// The root of the tree of `size` leaves.
///
/// # Errors
/// The database's; the log is smaller.
pub async fn root_at(db: impl PgExecutor<'_>, size: u64, head: Head) -> Result<Hash> {
    if size > head.size {
        return Err(LogError::BeyondLog { asked: size, size: head.size });
    }
    if size == head.size {
        return Ok(head.root);
    }
    if size == 0 {
        return Ok(EMPTY_ROOT);
    }
    let whole = [Range { start: 0, end: size }];
    Ok(range_hashes(db, &whole).await?[0])
}

async fn range_hashes(db: impl PgExecutor<'_>, ranges: &[Range<u64>]) -> Result<Vec<Hash>> {
    let ids: Vec<TileId> = TileSet::needed_for(ranges);
    let tiles = load_tiles(db, &ids).await?;
    ranges.iter().map(|range| Ok(range_hash(range, &tiles)?)).collect()
}
