use std::io::Read as _;

use flate2::read::GzDecoder;
use merkle_log::{
    Frontier, Hash, canonical_leaf_hash,
    checkpoint::Checkpoint,
    note::VerifierKey,
    tile::{self, Edge, TileId, TileSet},
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{decision, decisions, fixture, json_of, run};

#[tokio::test]
async fn a_client_of_tiles_alone_computes_the_signed_root() {
    let service = fixture().await;
    for part in 0..3 {
        service.record(&decisions(run(1), part * 300..(part + 1) * 300)).await;
    }
    let answer = service.get("/checkpoint").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let note = answer.text().await.unwrap();
    let key: api::remembrancer::LogKey = service.get_json("/v1/log/key").await;
    let head = Checkpoint::verify(&note, &VerifierKey::parse(&key.verifier_key).unwrap()).unwrap();
    assert_eq!(head.size, 900);

    let mut tiles = TileSet::default();
    for id in Edge::tile_ids(head.size) {
        let answer = service.get(&format!("/{}", id.path(id.width(head.size)))).await;
        assert_eq!(answer.status(), StatusCode::OK, "{id}");
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        tiles.insert(id, tile::decode(&answer.bytes().await.unwrap()).unwrap());
    }
    assert_eq!(Edge::from_tiles(head.size, &tiles).unwrap().root(), head.root);

    let leaves: Vec<Hash> = (0..900).map(|n| canonical_leaf_hash(&decision(run(1), n)).unwrap()).collect();
    let full = service.get("/tile/0/002").await.bytes().await.unwrap();
    assert_eq!(tile::decode(&full).unwrap(), leaves[512..768]);
    let level_one = service.get("/tile/1/000.p/3").await.bytes().await.unwrap();
    assert_eq!(
        tile::decode(&level_one).unwrap()[1],
        leaves[256..512].iter().copied().collect::<Frontier>().root()
    );
}

#[tokio::test]
async fn partial_tiles_are_served_up_to_their_width_and_nothing_else_is() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..300)).await;
    let whole = service.get("/tile/0/001.p/44").await.bytes().await.unwrap();
    assert_eq!(whole.len(), 44 * 32);
    let narrower = service.get("/tile/0/001.p/7").await.bytes().await.unwrap();
    assert_eq!(narrower, whole[..7 * 32]);
    for (path, status, code) in [
        ("/tile/0/001.p/45", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/0/001", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/0/x001/000", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/63/000", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/0/1", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("/tile/0/001.p/256", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("/tile/entries/001.p/45", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/entries/001", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/entries/x999/x999/x999/x999/x999/999", StatusCode::NOT_FOUND, "tile_not_found"),
        ("/tile/entries/0", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("/tile/entries/000.p/0", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("/tile/64/000", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
    ] {
        let problem: api::Problem = json_of(service.get(path).await, status).await;
        assert_eq!(problem.code, code, "{path}");
    }
    assert_eq!(TileId { level: 0, index: 1 }.width(300), 44);
}

/// Reads a bundle as C2SP tlog-tiles describes it, and nothing of this program with it.
fn entries(bundle: &[u8]) -> Vec<Vec<u8>> {
    let (mut entries, mut rest) = (Vec::new(), bundle);
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(*high) << 8 | usize::from(*low);
        entries.push(tail[..length].to_vec());
        rest = &tail[length..];
    }
    assert!(rest.is_empty());
    entries
}

/// `SHA-256(0x00 || entry)` (RFC 6962, section 2.1).
fn leaf(entry: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// The Merkle tree hash of RFC 6962, section 2.1, as it is written there.
fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    if let [leaf] = leaves {
        return *leaf;
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = (root(&leaves[..split]), root(&leaves[split..]));
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[tokio::test]
async fn a_mirror_of_bundles_alone_has_every_entry_and_computes_the_signed_root() {
    let service = fixture().await;
    let note = |number: u32| {
        json!({"id": format!("n{number}"), "kind": "note", "subject": "thing:1",
        "body": {"text": "ünïcode \u{1F600}", "number": number}})
    };
    for part in 0..3 {
        service.record(&decisions(run(1), part * 200..(part + 1) * 200)).await;
        assert_eq!(service.post("/v1/records", &note(part as u32)).await.status(), StatusCode::CREATED);
    }
    let key: api::remembrancer::LogKey = service.get_json("/v1/log/key").await;
    let head = service.get("/checkpoint").await.text().await.unwrap();
    let head = Checkpoint::verify(&head, &VerifierKey::parse(&key.verifier_key).unwrap()).unwrap();
    assert_eq!(head.size, 603);

    let mut leaves = Vec::new();
    for (path, width) in [("000", 256), ("001", 256), ("002.p/91", 91)] {
        let answer = service.get(&format!("/tile/entries/{path}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        assert!(!answer.headers().contains_key("content-encoding"));
        let bundle = answer.bytes().await.unwrap();
        let of_bundle: Vec<_> = entries(&bundle).iter().map(|entry| leaf(entry)).collect();
        assert_eq!(of_bundle.len(), width);
        let tile = service.get(&format!("/tile/0/{path}")).await.bytes().await.unwrap();
        assert_eq!(tile, of_bundle.concat(), "{path}");
        leaves.extend(of_bundle);

        let packed = service.request(Method::GET, &format!("/tile/entries/{path}"));
        let packed = packed.header("accept-encoding", "gzip, identity").send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.bytes().await.unwrap()[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, bundle);
    }
    assert_eq!(root(&leaves), head.root);
    let first = service.get("/tile/entries/000.p/1").await.bytes().await.unwrap();
    assert_eq!(entries(&first), [merkle_log::canonical_json(&decision(run(1), 0)).unwrap()]);
}

#[tokio::test]
async fn a_bundle_with_an_entry_that_its_length_cannot_tell_is_not_there_and_the_entry_is_read_otherwise() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..256)).await;
    let long = |id: &str, text: usize| json!({"id": id, "kind": "note", "subject": "thing:1", "body": {"text": "x".repeat(text)}});
    // the body fits, the whole entry does not
    for (id, text) in [("fits", 60_000), ("just too long", 65_500), ("too long", 70_000)] {
        assert_eq!(service.post("/v1/records", &long(id, text)).await.status(), StatusCode::CREATED);
    }
    for (path, status) in [("000", 200), ("001.p/1", 200), ("001.p/2", 404), ("001.p/3", 404)] {
        assert_eq!(service.get(&format!("/tile/entries/{path}")).await.status(), status, "{path}");
    }
    let problem: api::Problem =
        json_of(service.get("/tile/entries/001.p/2").await, StatusCode::NOT_FOUND).await;
    assert_eq!(problem.code, "entry_too_long");
    assert!(problem.detail.contains("log_index=257"), "{}", problem.detail);
    let evidence: api::remembrancer::Evidence = service.get_json("/v1/log/evidence?log_index=257").await;
    let tile = service.get("/tile/0/001.p/3").await.bytes().await.unwrap();
    assert_eq!(tile[32..64], leaf(evidence.record.get().as_bytes()));
}
