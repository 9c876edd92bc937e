use api::remembrancer::{ToVerify, TrustQuery, Verdict};
use axum::extract::State;
use merkle_log::note::VerifierKey;
use service_kit::{ApiResult, Json, Query, invalid_parameter};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{state::AppState, verification};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(verify_evidence))
}

/// Verify evidence, or a bare proof
///
/// Evidence is valid when it proves its record under a key that is known: this log's own, or the one that you give as
/// `trusted_key`; a key that this log had before its key was rotated holds for what the log was then. Under another key the proof may hold, but whoever made the evidence may have made that key: the verdict
/// is `unknown_key` then, and `not_valid` for this log's name with another key. Nothing that is stored here is used. This is
/// for those who have only curl; `mesh verify` does the same offline, where nobody has to be trusted.
///
/// A bare proof has a `kind`, `inclusion` or `consistency`, and is arithmetic alone: it says nothing of whose tree it is.
#[utoipa::path(post, path = "/v1/verify", tag = "log",
    extensions(("x-scopes" = json!(["read"]))), params(TrustQuery),
    request_body(content = ToVerify, description = "As `GET /v1/log/evidence` gives it, or a bare proof.", examples(
        ("evidence" = (value = json!({
            "record": {"text": "hello"}, "log_index": 0, "inclusion_path": [],
            "checkpoint": "example.org/log\n1\nrkl3pC1Rx+gFGiiZzYBTj3drq5UufPSs/dpRhDJpQlQ=\n\n— example.org/log AAAAAA==\n",
            "verifier_key": "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"}))),
        ("inclusion" = (value = json!({
            "kind": "inclusion", "leaf_index": 0, "tree_size": 2,
            "leaf_hash": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "root_hash": "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "proof": ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"]}))))),
    responses(
        (status = 200, description = "What verifying came to, and why.", body = Verdict),
        (status = 422, description = "`invalid_request`: this is neither evidence nor a proof, or `trusted_key` is no key."),
        (status = 503, description = "`database_unavailable`.")))]
async fn verify_evidence(
    State(state): State<AppState>,
    Query(query): Query<TrustQuery>,
    Json(what): Json<ToVerify>,
) -> ApiResult<Json<Verdict>> {
    let trusted = query.trusted_key.as_deref().map(trusted_key).transpose()?;
    let verdict = match (&what, &trusted) {
        (ToVerify::Evidence(evidence), trusted) => {
            let own = state.signer().await?.verifier_key();
            let former = match VerifierKey::parse(&evidence.verifier_key) {
                Ok(key) if key != own && key.name() == own.name() => {
                    state.former_key(&own, key, &evidence.checkpoint).await?
                }
                _ => None,
            };
            verification::of_evidence(evidence, &own, former.as_ref(), trusted.as_ref())
        }
        (ToVerify::Proof(proof), None) => verification::of_proof(proof),
        (ToVerify::Proof(_), Some(_)) => {
            let detail = "a bare proof is not signed: expected none with it";
            return Err(invalid_parameter("trusted_key", detail));
        }
    };
    Ok(Json(verdict))
}

/// In a query a `+` that is not escaped stands for a space. Keys have none, so that it can be taken as it was meant.
fn trusted_key(text: &str) -> ApiResult<VerifierKey> {
    VerifierKey::parse(&text.trim().replace(' ', "+"))
        .map_err(|error| invalid_parameter("trusted_key", &error.to_string()))
}
