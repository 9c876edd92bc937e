//! The log's heads, without signatures or proofs: whoever needs them takes the real service.

use std::sync::Arc;

use api::{
    Hash,
    remembrancer::{Checkpoint, ConsistencyProof, ConsistencyQuery},
};
use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};

use super::{Ledger, Shared, lock};
use crate::problem;

impl Ledger {
    /// The root over so many leaves.
    fn root_at(&self, size: u64) -> Option<Hash> {
        let last = usize::try_from(size).ok()?.checked_sub(1)?;
        self.roots.get(last).copied()
    }
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
