use proptest::prelude::*;

use super::*;
use crate::{
    leaf_hash,
    proof::{consistency_ranges, inclusion_ranges, range_hash, verify_consistency, verify_inclusion},
};

fn hash(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

/// A log that stores its tiles as a database would: each change overwrites.
#[derive(Default)]
struct Store {
    edge: Edge,
    tiles: TileSet,
}

impl Store {
    fn append(&mut self, leaves: u64) {
        let first = self.edge.size();
        let hashes: Vec<_> = (first..first + leaves).map(hash).collect();
        for tile in self.edge.append(&hashes) {
            self.tiles.insert(tile.id, tile.hashes);
        }
    }
}

#[test]
fn index_paths_are_those_of_the_specification() {
    let paths = [
        (0, "tile/0/000"),
        (7, "tile/0/007"),
        (999, "tile/0/999"),
        (1000, "tile/0/x001/000"),
        (1_234_067, "tile/0/x001/x234/067"),
    ];
    for (index, path) in paths {
        let id = TileId { level: 0, index };
        assert_eq!(id.path(TILE_WIDTH), path);
        assert_eq!(TileId::parse("0", path.strip_prefix("tile/0/").unwrap()), Ok((id, TILE_WIDTH)));
    }
    let partial = TileId { level: 2, index: 1_234_067 };
    assert_eq!(partial.path(8), "tile/2/x001/x234/067.p/8");
    assert_eq!(TileId::parse("2", "x001/x234/067.p/8"), Ok((partial, 8)));
}

#[test]
fn a_path_has_one_spelling() {
    for (level, rest) in [
        ("00", "000"),
        ("64", "000"),
        ("-1", "000"),
        ("+1", "000"),
        ("entries", "000"),
        ("", "000"),
        ("0", ""),
        ("0", "0"),
        ("0", "0000"),
        ("0", "x000"),
        ("0", "x000/001"),
        ("0", "001/234"),
        ("0", "x001/x234"),
        ("0", "x001//067"),
        ("0", "+01"),
        ("0", "000.p/0"),
        ("0", "000.p/256"),
        ("0", "000.p/08"),
        ("0", "000.p/8/"),
        ("0", "000.p/"),
        ("0", "000/"),
        ("0", "x999/x999/x999/x999/x999/x999/999"),
    ] {
        assert_eq!(TileId::parse(level, rest), Err(InvalidTilePath), "{level} {rest}");
    }
}

/// C2SP tlog-tiles, "Partial Tiles": a tree of size 70,000.
#[test]
fn a_tree_of_70000_leaves_has_the_tiles_that_the_specification_lists() {
    let size = 70_000;
    let width = |level, index| TileId { level, index }.width(size);
    assert_eq!((width(0, 272), width(0, 273), width(0, 274)), (256, 112, 0));
    assert_eq!((width(1, 0), width(1, 1), width(1, 2)), (256, 17, 0));
    assert_eq!((width(2, 0), width(2, 1), width(3, 0)), (1, 0, 0));
    let edge = [(0, 273), (1, 1), (2, 0)].map(|(level, index)| TileId { level, index });
    assert_eq!(Edge::tile_ids(size), edge);

    let mut store = Store::default();
    store.append(size);
    assert_eq!(store.edge.root(), (0..size).map(hash).collect::<Frontier>().root());
    for level in 0..3 {
        for index in 0..300 {
            let id = TileId { level, index };
            let stored = store.tiles.tiles.get(&id).map_or(0, Vec::len);
            assert_eq!(stored, id.width(size), "{id}");
        }
    }
    // "a tree of size 256 will be represented by a full level 0 tile and a partial level 1 tile of width 1"
    assert_eq!(Edge::tile_ids(256), [TileId { level: 1, index: 0 }]);
}

#[test]
fn a_batch_writes_few_tiles() {
    let mut edge = Edge::new();
    edge.append(&vec![[1; 32]; 100_000]);
    let changed = edge.append(&vec![[2; 32]; 10_000]);
    assert!(changed.len() <= 10_000 / 256 + 4, "{}", changed.len());
    assert_eq!(edge.append(&[]), []);
}

#[test]
fn tile_bytes_hold_whole_hashes_only() {
    let hashes = vec![[1; 32], [2; 32]];
    assert_eq!(decode(&encode(&hashes)), Some(hashes.clone()));
    assert_eq!(decode(&encode(&hashes)[1..]), None);
    assert_eq!(decode(&[]), None);
    assert_eq!(decode(&vec![0; 32 * 257]), None);
}

#[test]
fn a_missing_or_narrow_tile_is_named() {
    let mut tiles = TileSet::default();
    let id = TileId { level: 0, index: 0 };
    assert_eq!(Edge::from_tiles(3, &tiles), Err(MissingHash { id, position: 0 }));
    tiles.insert(id, vec![[0; 32]; 2]);
    assert_eq!(Edge::from_tiles(3, &tiles), Err(MissingHash { id, position: 2 }));
    assert_eq!(range_hash(&(2..3), &tiles), Err(MissingHash { id, position: 2 }));
    let beyond = TileId { level: 0, index: 1 };
    assert_eq!(range_hash(&(300..301), &tiles), Err(MissingHash { id: beyond, position: 44 }));
}

#[test]
fn proofs_from_tiles_verify_also_for_older_sizes() {
    let mut store = Store::default();
    store.append(70_001);
    let root = |size| (0..size).map(hash).collect::<Frontier>().root();
    let path = |ranges: &[Range<u64>]| -> Vec<Hash> {
        // Only the tiles that are asked for may be needed.
        let mut fetched = TileSet::default();
        for id in TileSet::needed_for(ranges) {
            fetched.insert(id, store.tiles.tiles[&id].clone());
        }
        ranges.iter().map(|range| range_hash(range, &fetched).unwrap()).collect()
    };
    for size in [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_001] {
        for index in [0, 1, 255, 256, 65_535, 65_536, 70_000].into_iter().filter(|&index| index < size) {
            let path = path(&inclusion_ranges(index, size).unwrap());
            verify_inclusion(&hash(index), index, size, &path, &root(size)).unwrap();
        }
        let path = path(&consistency_ranges(size, 70_001).unwrap());
        verify_consistency(size, 70_001, &root(size), &root(70_001), &path).unwrap();
    }
}

proptest! {
    #[test]
    fn batches_of_any_size_give_the_tree_of_one_batch(batches in prop::collection::vec(0..700_u64, 1..8)) {
        let (mut store, mut whole) = (Store::default(), Store::default());
        for &batch in &batches {
            store.append(batch);
            let size = store.edge.size();
            // An edge read back from storage goes on as the one in memory.
            let again = Edge::from_tiles(size, &store.tiles).unwrap();
            prop_assert_eq!(again.root(), (0..size).map(hash).collect::<Frontier>().root());
            prop_assert_eq!(again.frontier(), store.edge.frontier());
            store.edge = again;
        }
        whole.append(batches.iter().sum());
        prop_assert_eq!(store.tiles.tiles, whole.tiles.tiles);
    }
}
