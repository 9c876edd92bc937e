//! The tree as 256-wide tiles (C2SP tlog-tiles): addresses, paths, and appending.
//!
//! The tile `index` of `level` holds the roots of 256 consecutive complete subtrees of 256^level leaves
//! each; a hash goes into the level above when its tile is full. What lies between is recomputed.

use std::{collections::BTreeMap, fmt, ops::Range};

use crate::{
    Frontier, Hash, node_hash,
    proof::{NodeSource, range_nodes},
};

/// Levels of the tree in a tile.
pub const TILE_HEIGHT: u32 = 8;

/// Hashes of a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;

/// Where a tile stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaf hashes; each level spans 256 times as many leaves.
    pub level: u8,
    /// The position within the level.
    pub index: u64,
}

/// A tile with its hashes, 1 to 256 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Where it stands.
    pub id: TileId,
    /// The roots of the subtrees below, from the left.
    pub hashes: Vec<Hash>,
}

/// A tile path is not in the form of C2SP tlog-tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a tile path <L>/<N>[.p/<W>] as in C2SP tlog-tiles, e.g. 0/x001/x234/067 or 1/000.p/17")]
pub struct InvalidTilePath;

/// A tile that is needed is not there, or is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tile {}/{} lacks the hash {position}", .id.level, .id.index)]
pub struct MissingHash {
    /// The tile.
    pub id: TileId,
    /// The first position in it that is missing.
    pub position: usize,
}

impl TileId {
    /// The tile that the root of the complete subtree (`level`, `index`) is computed from, and the
    /// positions in it.
    #[must_use]
    pub fn of_node(level: u32, index: u64) -> (Self, Range<usize>) {
        let height = level % TILE_HEIGHT;
        let first = ((index << height) as usize) % TILE_WIDTH;
        let id = Self { level: (level / TILE_HEIGHT) as u8, index: index >> (TILE_HEIGHT - height) };
        (id, first..first + (1 << height))
    }

    /// How many hashes this tile has in a tree of `size` leaves.
    #[must_use]
    pub fn width(self, size: u64) -> usize {
        let hashes = size.checked_shr(TILE_HEIGHT * u32::from(self.level)).unwrap_or(0);
        let before = self.index.saturating_mul(TILE_WIDTH as u64);
        hashes.saturating_sub(before).min(TILE_WIDTH as u64) as usize
    }

    /// Reads `<L>` and `<N>[.p/<W>]`; the width is 256 for a full tile.
    ///
    /// # Errors
    /// When a part is not in its one spelling.
    pub fn parse(level: &str, rest: &str) -> Result<(Self, usize), InvalidTilePath> {
        let level = decimal(level, 63)? as u8;
        let (elements, width) = match rest.split_once(".p/") {
            Some((elements, width)) => (elements, decimal(width, 255)? as usize),
            None => (rest, TILE_WIDTH),
        };
        if width == 0 {
            return Err(InvalidTilePath);
        }
        let mut index: u64 = 0;
        for element in elements.split('/') {
            let digits = element.strip_prefix('x').unwrap_or(element);
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(InvalidTilePath);
            }
            let digits: u64 = digits.parse().map_err(|_| InvalidTilePath)?;
            index = index.checked_mul(1000).and_then(|i| i.checked_add(digits)).ok_or(InvalidTilePath)?;
        }
        let id = Self { level, index };
        // One spelling only: `x` before all but the last element, no leading `x000`.
        if index_path(index) == elements { Ok((id, width)) } else { Err(InvalidTilePath) }
    }

    /// The path of this tile under a log's prefix, e.g. `tile/0/x001/x234/067` or `tile/1/000.p/17`.
    #[must_use]
    pub fn path(self, width: usize) -> String {
        let suffix = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
        format!("tile/{}/{}{suffix}", self.level, index_path(self.index))
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level, self.index)
    }
}

/// A tree's right edge: the partial tiles, which are all that appending needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    tiles: Vec<Vec<Hash>>, // by level, fewer than 256 hashes each
}

impl Edge {
    /// An empty tree's edge.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The partial tiles of a tree of `size` leaves.
    #[must_use]
    pub fn tile_ids(size: u64) -> Vec<TileId> {
        (0..levels(size))
            .map(|level| TileId { level, index: hashes_at(size, level) >> TILE_HEIGHT })
            .filter(|id| id.width(size) > 0)
            .collect()
    }

    /// The edge of a tree of `size` leaves, from stored tiles (which may have more hashes than that).
    ///
    /// # Errors
    /// When a tile of [`Edge::tile_ids`] is missing or too narrow.
    pub fn from_tiles(size: u64, stored: &TileSet) -> Result<Self, MissingHash> {
        let mut tiles = vec![Vec::new(); usize::from(levels(size))];
        for id in Self::tile_ids(size) {
            tiles[usize::from(id.level)] = stored.hashes(id, 0..id.width(size))?.to_vec();
        }
        Ok(Self { size, tiles })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends leaves and returns every tile that is new or wider than before.
    pub fn append(&mut self, leaf_hashes: &[Hash]) -> Vec<Tile> {
        let mut changed = Vec::new();
        let mut carried = leaf_hashes.to_vec();
        let mut level: u8 = 0;
        while !carried.is_empty() {
            let mut index = hashes_at(self.size, level) >> TILE_HEIGHT;
            if self.tiles.len() == usize::from(level) {
                self.tiles.push(Vec::new());
            }
            let partial = &mut self.tiles[usize::from(level)];
            let mut full_roots = Vec::new();
            for hash in carried {
                partial.push(hash);
                if partial.len() == TILE_WIDTH {
                    full_roots.push(subtree_root(partial));
                    changed.push(Tile { id: TileId { level, index }, hashes: std::mem::take(partial) });
                    index += 1;
                }
            }
            if !partial.is_empty() {
                changed.push(Tile { id: TileId { level, index }, hashes: partial.clone() });
            }
            carried = full_roots;
            level += 1;
        }
        self.size += leaf_hashes.len() as u64;
        changed
    }

    /// The partial tiles, the lowest level first.
    #[must_use]
    pub fn partial_tiles(&self) -> Vec<Tile> {
        let ids = Self::tile_ids(self.size).into_iter();
        ids.map(|id| Tile { id, hashes: self.tiles[usize::from(id.level)].clone() }).collect()
    }

    /// The tree's frontier, and by it the root.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let mut hashes = Vec::new();
        for tile in self.tiles.iter().rev() {
            let mut rest = &tile[..];
            while !rest.is_empty() {
                let (complete, tail) = rest.split_at(1 << rest.len().ilog2());
                hashes.push(subtree_root(complete));
                rest = tail;
            }
        }
        Frontier::from_parts(self.size, hashes).expect("each level's width is a byte of the size")
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier().root()
    }
}

/// Tiles that were fetched, as a source of nodes.
#[derive(Clone, Debug, Default)]
pub struct TileSet {
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl TileSet {
    /// The tiles that the roots of these leaf ranges are computed from, without doubles.
    #[must_use]
    pub fn needed_for(ranges: &[Range<u64>]) -> Vec<TileId> {
        let nodes = ranges.iter().flat_map(range_nodes);
        let mut ids: Vec<_> = nodes.map(|(level, index)| TileId::of_node(level, index).0).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Adds a tile.
    pub fn insert(&mut self, id: TileId, hashes: Vec<Hash>) {
        self.tiles.insert(id, hashes);
    }

    /// A tile's hashes, if it was added.
    #[must_use]
    pub fn get(&self, id: TileId) -> Option<&[Hash]> {
        self.tiles.get(&id).map(Vec::as_slice)
    }

    /// Some hashes of one tile.
    ///
    /// # Errors
    /// When they are not all there.
    pub fn hashes(&self, id: TileId, positions: Range<usize>) -> Result<&[Hash], MissingHash> {
        let tile = self.get(id).unwrap_or_default();
        tile.get(positions.clone()).ok_or(MissingHash { id, position: tile.len().max(positions.start) })
    }
}

impl NodeSource for TileSet {
    type Error = MissingHash;

    fn node(&self, level: u32, index: u64) -> Result<Hash, MissingHash> {
        let (id, positions) = TileId::of_node(level, index);
        self.hashes(id, positions).map(subtree_root)
    }
}

/// A tile's bytes: its hashes one after the other.
#[must_use]
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

/// The hashes in a tile's bytes; `None` unless there are 1 to 256 whole ones.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && (1..=TILE_WIDTH).contains(&hashes.len())).then(|| hashes.to_vec())
}

/// The root over 2^n hashes.
fn subtree_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two());
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row[0]
}

/// How many hashes stand at a tile level.
fn hashes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0)
}

/// How many tile levels a tree has.
fn levels(size: u64) -> u8 {
    (u64::BITS - size.leading_zeros()).div_ceil(TILE_HEIGHT) as u8
}

fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// A decimal number in its one spelling.
fn decimal(text: &str, max: u64) -> Result<u64, InvalidTilePath> {
    let number: u64 = text.parse().map_err(|_| InvalidTilePath)?;
    if number <= max && number.to_string() == text { Ok(number) } else { Err(InvalidTilePath) }
}

#[cfg(test)]
mod tests;
