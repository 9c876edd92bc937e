//! The log's heads, without signatures or proofs: whoever needs them takes the real service.

use std::sync::Arc;

use api::{
    Hash,
    remembrancer::{Checkpoint, ConsistencyProof, ConsistencyQuery, LogKey},
};
use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};

use merkle_log::note::NoteSigner;

use super::{Ledger, Shared, lock};
use crate::problem;

impl Ledger {
    /// The root over so many leaves.
    fn root_at(&self, size: u64) -> Option<Hash> {
        let last = usize::try_from(size).ok()?.checked_sub(1)?;
        self.roots.get(last).copied()
    }
}

/// A key of the usual log's name, which signs nothing here.
pub(super) async fn key() -> Json<LogKey> {
    let signer = NoteSigner::new("ai-mesh/log", &[1; 32]).expect("it can be a key's name");
    Json(LogKey { verifier_key: signer.verifier_key().to_string() })
}

pub(super) async fn checkpoint(State(shared): State<Arc<Shared>>) -> Json<Checkpoint> {
    let ledger = lock(&shared.ledger);
    let (tree_size, root_hash) = (ledger.log.len(), Hash(ledger.log.root()));
    Json(Checkpoint { tree_size, root_hash, note: String::new() })
}

pub(super) async fn consistency(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ConsistencyQuery>,
) -> Response {
    let ledger = lock(&shared.ledger);
    let (from, to) = (query.from, query.to.unwrap_or(ledger.log.len()));
    match (ledger.root_at(from), ledger.root_at(to)) {
        (Some(from_root), Some(to_root)) => {
            Json(ConsistencyProof { from, to, from_root, to_root, path: Vec::new() }).into_response()
        }
        _ => problem(422, "invalid_request", "The log has fewer leaves."),
    }
}
