use api::remembrancer::{
    Checkpoint, ConsistencyProof, ConsistencyQuery, Cosignatures, CosignedCheckpoint, Evidence,
    InclusionProof, LeafQuery, LogKey,
};
use axum::{
    extract::State,
    http::{HeaderName, header},
};
use merkle_log::tlog_proof::TlogProof;
use service_kit::{ApiResult, Json, Query};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::{LogError, NotFound, Result},
    leaves::{self, LeafName},
    log::{self, Head},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_checkpoint))
        .routes(routes!(get_inclusion_proof))
        .routes(routes!(get_consistency_proof))
        .routes(routes!(get_evidence))
        .routes(routes!(get_tlog_proof))
        .routes(routes!(get_log_key))
        .routes(routes!(keep_cosignatures))
}

/// Get the log's checkpoint
///
/// The log's size and root, signed, with the cosignatures that this log has of it. Keep it: whoever has it can later tell
/// whether history was rewritten.
#[utoipa::path(get, path = "/v1/log/checkpoint", tag = "log",
    responses(
        (status = 200, description = "The checkpoint of this moment.", body = Checkpoint),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_checkpoint(State(state): State<AppState>) -> ApiResult<Json<Checkpoint>> {
    let head = log::head(state.db()?).await?;
    let note = state.checkpoint(head).await?;
    Ok(Json(Checkpoint { tree_size: head.size, root_hash: api::Hash(head.root), note }))
}

/// Prove that a leaf is in the log
///
/// The leaf is named by `log_index`, by `record`, or by `run` and `sequence`.
#[utoipa::path(get, path = "/v1/log/proofs/inclusion", tag = "log", params(LeafQuery),
    responses(
        (status = 200, description = "The proof (RFC 6962, section 2.1.1).", body = InclusionProof),
        (status = 404, description = "`leaf_not_found`, `record_not_found`, `decision_not_found`: it is not in that tree. \
            `quorum_not_found`: no checkpoint has enough cosignatures."),
        (status = 422, description = "`invalid_request`: no leaf is named, or more than one, or the tree is smaller."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_inclusion_proof(
    State(state): State<AppState>,
    Query(query): Query<LeafQuery>,
) -> ApiResult<Json<InclusionProof>> {
    let (name, db) = (leaf_name(&query)?, state.db()?);
    let head = log::head(db).await?;
    let tree = tree_of(&state, &query, head).await?;
    let log_index = leaves::find(db, &name, head).await?;
    let (leaf_hash, path) = log::inclusion(db, log_index, tree.size).await?;
    Ok(Json(InclusionProof {
        log_index,
        tree_size: tree.size,
        leaf_hash: api::Hash(leaf_hash),
        root_hash: api::Hash(tree.root),
        path: path.into_iter().map(api::Hash).collect(),
    }))
}

/// Prove that the log only grew
///
/// That the tree of `to` leaves has the tree of `from` leaves as its beginning.
#[utoipa::path(get, path = "/v1/log/proofs/consistency", tag = "log", params(ConsistencyQuery),
    responses(
        (status = 200, description = "The proof (RFC 6962, section 2.1.2).", body = ConsistencyProof),
        (status = 422, description = "`invalid_request`: expected 1 <= from <= to <= the log's size."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_consistency_proof(
    State(state): State<AppState>,
    Query(query): Query<ConsistencyQuery>,
) -> ApiResult<Json<ConsistencyProof>> {
    let db = state.db()?;
    let head = log::head(db).await?;
    let (from, to) = (query.from, query.to.unwrap_or(head.size));
    for (pointer, size) in [("?from", from), ("?to", to)] {
        if size > head.size {
            let detail = format!("expected at most {}, the log's size, got {size}", head.size);
            return Err(LogError::invalid(pointer, detail).into());
        }
    }
    let path = log::consistency(db, from, to).await?;
    Ok(Json(ConsistencyProof {
        from,
        to,
        from_root: api::Hash(log::root_at(db, from, head).await?),
        to_root: api::Hash(log::root_at(db, to, head).await?),
        path: path.into_iter().map(api::Hash).collect(),
    }))
}

/// Get the evidence for a leaf
///
/// Everything that is needed to verify the record offline, in one document: `mesh verify FILE`. Its checkpoint has the
/// cosignatures that this log has of it; with `witnessed` it is one that enough witnesses cosigned.
#[utoipa::path(get, path = "/v1/log/evidence", tag = "log", params(LeafQuery),
    responses(
        (status = 200, description = "Record, audit path, signed checkpoint and key.", body = Evidence),
        (status = 404, description = "`leaf_not_found`, `record_not_found`, `decision_not_found`: it is not in that tree. \
            `quorum_not_found`: no checkpoint has enough cosignatures."),
        (status = 410, description = "`decision_deleted`: its hash is all that is left of it."),
        (status = 422, description = "`invalid_request`: no leaf is named, or more than one, or the tree is smaller."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_evidence(
    State(state): State<AppState>,
    Query(query): Query<LeafQuery>,
) -> ApiResult<Json<Evidence>> {
    Ok(Json(evidence(&state, &query).await?))
}

/// Get the proof for a leaf as a file of C2SP tlog-proof
///
/// The same as evidence, for other tools: index, audit path and signed checkpoint as lines of text, with the record as the
/// extra data. To be stored as `.tlog-proof`; `mesh verify FILE` reads it too.
#[utoipa::path(get, path = "/v1/log/tlog-proof", tag = "log", params(LeafQuery),
    responses(
        (status = 200, description = "The proof.", body = String, content_type = "text/plain"),
        (status = 404, description = "`leaf_not_found`, `record_not_found`, `decision_not_found`: it is not in that tree. \
            `quorum_not_found`: no checkpoint has enough cosignatures."),
        (status = 410, description = "`decision_deleted`: its hash is all that is left of it."),
        (status = 422, description = "`invalid_request`: no leaf is named, or more than one, or the tree is smaller."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_tlog_proof(
    State(state): State<AppState>,
    Query(query): Query<LeafQuery>,
) -> ApiResult<([(HeaderName, &'static str); 1], String)> {
    let Evidence { record, log_index, inclusion_path, checkpoint, .. } = evidence(&state, &query).await?;
    let proof = TlogProof {
        extra: Some(record.get().as_bytes().to_vec()),
        index: log_index,
        path: inclusion_path.into_iter().map(|hash| hash.0).collect(),
        checkpoint,
    };
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], proof.to_text()))
}

/// Keep the cosignatures of a checkpoint
///
/// Whoever asked witnesses to cosign a checkpoint of this log (`mesh witness feed` does) gives it back here with their
/// lines. Those that the trust policy's witnesses made are verified and kept; those of others are passed over. From then on
/// the log's checkpoint of that size, and the evidence in it, has them.
#[utoipa::path(post, path = "/v1/log/cosignatures", tag = "log",
    request_body(content = CosignedCheckpoint, example = json!({
        "checkpoint": "ai-mesh/log\n1\nrkl3pC1Rx+gFGiiZzYBTj3drq5UufPSs/dpRhDJpQlQ=\n\n— ai-mesh/log AAAAAA==\n\
                       — peer.example/witness AAAAAA==\n"})),
    responses(
        (status = 200, description = "What this log has of that checkpoint now.", body = Cosignatures),
        (status = 409, description = "`no_trust_policy`: this log knows no witnesses."),
        (status = 422, description = "`invalid_request`: it is not a checkpoint of this log, or a known witness's \
            cosignature does not hold."),
        (status = 503, description = "`database_unavailable`, `disk_full`.")))]
async fn keep_cosignatures(
    State(state): State<AppState>,
    Json(body): Json<CosignedCheckpoint>,
) -> ApiResult<Json<Cosignatures>> {
    Ok(Json(state.keep_cosignatures(&body.checkpoint).await?))
}

/// Get the log's key
///
/// Compare it with a copy from another source before you trust it. When it was changed, the log has a record of the kind
/// `log.key-rotated` that both keys signed.
#[utoipa::path(get, path = "/v1/log/key", tag = "log",
    responses(
        (status = 200, description = "The key that checkpoints are signed with.", body = LogKey),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_log_key(State(state): State<AppState>) -> ApiResult<Json<LogKey>> {
    Ok(Json(LogKey { verifier_key: state.signer().await?.verifier_key().to_string() }))
}

async fn evidence(state: &AppState, query: &LeafQuery) -> Result<Evidence> {
    let (name, db) = (leaf_name(query)?, state.db()?);
    let head = log::head(db).await?;
    let tree = tree_of(state, query, head).await?;
    let mut evidence = leaves::evidence(db, &state.signer().await?, &name, tree, head).await?;
    evidence.checkpoint.push_str(&state.cosignatures_of(tree).await?);
    Ok(evidence)
}

/// The tree that is asked about: one of a size, the last that enough witnesses cosigned, or the whole log.
async fn tree_of(state: &AppState, query: &LeafQuery, head: Head) -> Result<Head> {
    match (query.tree_size, query.witnessed) {
        (Some(_), Some(true)) => {
            Err(LogError::invalid("?witnessed", "expected `tree_size` or `witnessed`, not both"))
        }
        (Some(size), _) => Ok(Head { size, root: log::root_at(state.db()?, size, head).await? }),
        (None, Some(true)) => Ok(state.last_witnessed(head).await?.ok_or(NotFound::Quorum)?),
        (None, _) => Ok(head),
    }
}

/// Exactly one of the names.
fn leaf_name(query: &LeafQuery) -> Result<LeafName> {
    let wrong = |detail: &str| Err(LogError::invalid("?", detail));
    match (query.log_index, &query.record, query.run, query.sequence) {
        (Some(index), None, None, None) => Ok(LeafName::Index(index)),
        (None, Some(id), None, None) => Ok(LeafName::Record(id.clone())),
        (None, None, Some(run), Some(sequence)) => Ok(LeafName::Decision { run, sequence }),
        (None, None, Some(_), None) => wrong("expected `sequence` beside `run`"),
        (None, None, None, Some(_)) => wrong("expected `run` beside `sequence`"),
        _ => wrong("expected one of `log_index`, `record`, or `run` with `sequence`"),
    }
}
