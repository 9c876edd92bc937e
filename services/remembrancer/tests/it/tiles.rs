use merkle_log::{
    Frontier, Hash, canonical_leaf_hash,
    checkpoint::Checkpoint,
    note::VerifierKey,
    tile::{self, Edge, TileId, TileSet},
};
use reqwest::StatusCode;

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
        ("/tile/entries/000", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("/tile/64/000", StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
    ] {
        let problem: api::Problem = json_of(service.get(path).await, status).await;
        assert_eq!(problem.code, code, "{path}");
    }
    assert_eq!(TileId { level: 0, index: 1 }.width(300), 44);
}
