//! Tiles: paths and bytes have one spelling, and a tree of tiles is the tree of the definition.
#![no_main]

use ai_mesh_fuzz::naive;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use merkle_log::tile::{Edge, TILE_WIDTH, TileId, TileSet, decode, encode};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    level: &'a str,
    rest: &'a str,
    bytes: &'a [u8],
    /// Sizes of the batches that a tree grows by.
    batches: Vec<u8>,
    id: (u8, u64),
    size: u64,
}

fuzz_target!(|input: Input<'_>| {
    if let Ok((id, width)) = TileId::parse(input.level, input.rest) {
        assert!((1..=TILE_WIDTH).contains(&width));
        assert_eq!(id.path(width), format!("tile/{}/{}", input.level, input.rest));
    }
    of_bytes(input.bytes);
    of_sizes(TileId { level: input.id.0, index: input.id.1 }, input.size);
    of_a_tree(&input.batches[..input.batches.len().min(12)]);
});

fn of_bytes(bytes: &[u8]) {
    let fits = bytes.len() % 32 == 0 && (1..=TILE_WIDTH).contains(&(bytes.len() / 32));
    match decode(bytes) {
        Some(hashes) => assert_eq!(encode(&hashes), bytes),
        None => assert!(!fits, "{} bytes are refused", bytes.len()),
    }
    assert!(!fits || decode(bytes).is_some());
}

fn of_sizes(id: TileId, size: u64) {
    let width = id.width(size);
    assert!(width <= TILE_WIDTH);
    if width > 0 {
        let path = id.path(width);
        let (level, rest) = path.strip_prefix("tile/").and_then(|path| path.split_once('/')).expect("a path");
        assert_eq!(TileId::parse(level, rest), Ok((id, width)), "{path}");
    }
    let partial = Edge::tile_ids(size);
    assert!(partial.iter().all(|id| (1..TILE_WIDTH).contains(&id.width(size))), "{partial:?}");
    assert_eq!(Edge::from_tiles(size, &TileSet::default()).is_ok(), partial.is_empty());
}

fn of_a_tree(batches: &[u8]) {
    let (mut edge, mut leaves, mut stored) = (Edge::new(), Vec::new(), TileSet::default());
    for batch in batches {
        let new: Vec<_> = (0..*batch).map(|i| [i ^ leaves.len() as u8; 32]).collect();
        for tile in edge.append(&new) {
            assert_eq!(decode(&encode(&tile.hashes)).as_ref(), Some(&tile.hashes));
            stored.insert(tile.id, tile.hashes);
        }
        leaves.extend(new);
    }
    assert_eq!(edge.size(), leaves.len() as u64);
    assert_eq!(edge.root(), naive::root(&leaves));
    assert_eq!(Edge::from_tiles(edge.size(), &stored).as_ref(), Ok(&edge));
}
