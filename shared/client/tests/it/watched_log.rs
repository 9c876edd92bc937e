//! A log read by one who does not trust it: a small log in memory, honest and not.

use std::sync::{Arc, Mutex};

use api::{
    Hash,
    remembrancer::{Checkpoint as Head, ConsistencyProof, ConsistencyQuery, Evidence, LeafQuery, LogKey},
};
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use client::{
    Endpoint, Remembrancer, WatchedLog,
    watched_log::{LogError, log_key},
};
use merkle_log::{
    Frontier,
    checkpoint::Checkpoint,
    leaf_hash,
    note::NoteSigner,
    proof::{NodeSource, consistency_ranges, inclusion_ranges, range_hash},
};
use serde_json::value::RawValue;

type Leaves = Vec<String>;

/// A log of records; whoever holds it may change anything.
#[derive(Clone)]
struct TinyLog(Arc<Mutex<(NoteSigner, Leaves)>>);

struct Nodes<'a>(&'a [String]);

impl NodeSource for Nodes<'_> {
    type Error = ();

    fn node(&self, level: u32, index: u64) -> Result<merkle_log::Hash, ()> {
        let range = (index << level) as usize..((index + 1) << level) as usize;
        Ok(self.0[range].iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect::<Frontier>().root())
    }
}

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("ai-mesh/log", &[seed; 32]).unwrap()
}

fn record(id: &str) -> String {
    format!(r#"{{"body":{{}},"id":"{id}","kind":"note","recorded_at":"2026-03-01T00:00:00Z","subject":"s"}}"#)
}

fn root(leaves: &[String]) -> merkle_log::Hash {
    leaves.iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect::<Frontier>().root()
}

impl TinyLog {
    async fn serve(ids: &[&str]) -> (Self, Remembrancer) {
        let leaves = ids.iter().map(|id| record(id)).collect();
        let log = Self(Arc::new(Mutex::new((signer(1), leaves))));
        let app = Router::new()
            .route("/v1/log/key", get(Self::key))
            .route("/v1/log/checkpoint", get(Self::checkpoint))
            .route("/v1/log/evidence", get(Self::evidence))
            .route("/v1/log/proofs/consistency", get(Self::consistency))
            .with_state(log.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (log, Remembrancer::new(Endpoint::new(url)).unwrap())
    }

    fn change(&self, change: impl FnOnce(&mut NoteSigner, &mut Leaves)) {
        let (signer, leaves) = &mut *self.0.lock().unwrap();
        change(signer, leaves);
    }

    fn note(&self) -> (String, u64, merkle_log::Hash) {
        let (signer, leaves) = &*self.0.lock().unwrap();
        let head = Checkpoint { origin: "ai-mesh/log".into(), size: leaves.len() as u64, root: root(leaves) };
        (head.sign(signer).unwrap(), head.size, head.root)
    }

    async fn key(State(log): State<Self>) -> Json<LogKey> {
        Json(LogKey { verifier_key: log.0.lock().unwrap().0.verifier_key().to_string() })
    }

    async fn checkpoint(State(log): State<Self>) -> Json<Head> {
        let (note, tree_size, root) = log.note();
        Json(Head { tree_size, root_hash: Hash(root), note })
    }

    /// Of the record that was asked for; of the first one for the record `liar`.
    async fn evidence(State(log): State<Self>, Query(leaf): Query<LeafQuery>) -> Json<Evidence> {
        let (checkpoint, size, _) = log.note();
        let (signer, leaves) = &*log.0.lock().unwrap();
        let id = leaf.record.unwrap();
        let index = leaves.iter().position(|leaf| *leaf == record(&id)).unwrap_or(0);
        let ranges = inclusion_ranges(index as u64, size).unwrap();
        Json(Evidence {
            record: RawValue::from_string(leaves[index].clone()).unwrap(),
            log_index: index as u64,
            inclusion_path: ranges
                .iter()
                .map(|range| Hash(range_hash(range, &Nodes(leaves)).unwrap()))
                .collect(),
            checkpoint,
            verifier_key: signer.verifier_key().to_string(),
        })
    }

    async fn consistency(
        State(log): State<Self>,
        Query(query): Query<ConsistencyQuery>,
    ) -> Json<ConsistencyProof> {
        let leaves = &log.0.lock().unwrap().1;
        let (from, to) = (query.from, query.to.unwrap());
        let ranges = consistency_ranges(from, to).unwrap();
        Json(ConsistencyProof {
            from,
            to,
            from_root: Hash(root(&leaves[..from as usize])),
            to_root: Hash(root(&leaves[..to as usize])),
            path: ranges.iter().map(|range| Hash(range_hash(range, &Nodes(leaves)).unwrap())).collect(),
        })
    }
}

fn named(id: &str) -> LeafQuery {
    LeafQuery { record: Some(id.into()), ..LeafQuery::default() }
}

#[tokio::test]
async fn a_log_that_only_grows_is_believed_and_what_it_proves_is_told() {
    let (log, remembrancer) = TinyLog::serve(&["a", "b", "c"]).await;
    let key = log_key(&remembrancer).await.unwrap();
    let mut watched = WatchedLog::open(remembrancer.clone(), key.clone(), None).await.unwrap();
    assert_eq!(watched.evidence(&named("b")).await.unwrap().verified.log_index, 1);
    let before = Checkpoint::verify(watched.note(), &key).unwrap();
    log.change(|_, leaves| leaves.extend(["d", "e"].map(record)));
    let proved = watched.evidence(&named("e")).await.unwrap();
    assert_eq!((proved.verified.log_index, proved.verified.checkpoint.size), (4, 5));
    // whoever saw it before goes on from there
    let again = WatchedLog::open(remembrancer, key.clone(), Some(before)).await.unwrap();
    assert_eq!(Checkpoint::verify(again.note(), &key).unwrap().size, 5);
}

#[tokio::test]
async fn a_log_that_lost_rewrote_or_signed_anew_what_was_seen_is_not_believed() {
    type Change = fn(&mut NoteSigner, &mut Leaves);
    let changes: [(Change, &str); 4] = [
        (|_, leaves| leaves.truncate(2), "had 3 leaves when it was last seen and has 2 now"),
        (|_, leaves| leaves[0] = record("other"), "history was rewritten"),
        (|_, leaves| *leaves = ["x", "y", "z", "u", "b"].map(record).to_vec(), "history was rewritten"),
        (|signer, _| *signer = self::signer(2), "is not signed by"),
    ];
    for (change, expected) in changes {
        let (log, remembrancer) = TinyLog::serve(&["a", "b", "c"]).await;
        let key = log_key(&remembrancer).await.unwrap();
        let mut watched = WatchedLog::open(remembrancer.clone(), key.clone(), None).await.unwrap();
        let seen = Checkpoint::verify(watched.note(), &key).unwrap();
        log.change(change);
        let opened = WatchedLog::open(remembrancer, key, Some(seen)).await.unwrap_err();
        let asked = watched.evidence(&named("b")).await.unwrap_err();
        for error in [opened, asked] {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

#[tokio::test]
async fn evidence_of_another_record_is_not_taken_for_the_one_that_was_asked_for() {
    let (_log, remembrancer) = TinyLog::serve(&["a", "b", "c"]).await;
    let key = log_key(&remembrancer).await.unwrap();
    let mut watched = WatchedLog::open(remembrancer, key, None).await.unwrap();
    let error = watched.evidence(&named("liar")).await.unwrap_err();
    assert!(matches!(&error, LogError::OtherLeaf { .. }), "{error}");
    assert!(error.to_string().contains("expected record liar, got record a (note)"), "{error}");
}
