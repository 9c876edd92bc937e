//! Artifacts by the hash of their content.

use std::sync::Arc;

use api::{Hash, remembrancer::Artifact};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use super::{Ledger, Shared, lock};
use crate::problem;

pub(super) fn store(ledger: &mut Ledger, content: Bytes, media_type: &str) -> Artifact {
    let sha256 = Hash(Sha256::digest(&content).into());
    let artifact = Artifact { sha256, size_bytes: content.len() as u64, media_type: media_type.to_owned() };
    ledger.artifacts.entry(sha256).or_insert((artifact, content)).0.clone()
}

pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<Hash>,
    headers: HeaderMap,
    content: Bytes,
) -> Response {
    if name != Hash(Sha256::digest(&content).into()) {
        return problem(422, "digest_mismatch", "The content's SHA-256 is another than the path's.");
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or("application/octet-stream");
    let mut ledger = lock(&shared.ledger);
    let new = !ledger.artifacts.contains_key(&name);
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(store(&mut ledger, content, media_type))).into_response()
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(name): Path<Hash>) -> Response {
    match lock(&shared.ledger).artifacts.get(&name) {
        Some((artifact, content)) => {
            ([(header::CONTENT_TYPE, artifact.media_type.clone())], content.clone()).into_response()
        }
        None => problem(404, "artifact_not_found", format!("There is no artifact {name}.")),
    }
}
