use api::remembrancer::{Evidence, Verdict};
use merkle_log::{Hash, evidence};
use service_kit::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(verify_evidence))
}

/// Verify evidence
///
/// Checks the proof from the evidence alone: nothing that is stored here is used, and the record may be of any log. This
/// is for those who have only curl; `mesh verify` does the same offline, where nobody has to be trusted.
#[utoipa::path(post, path = "/v1/verify", tag = "log",
    request_body(content = Evidence, description = "As `GET /v1/log/evidence` gives it.", example = json!({
        "record": {"text": "hello"}, "log_index": 0, "inclusion_path": [],
        "checkpoint": "example.org/log\n1\nrkl3pC1Rx+gFGiiZzYBTj3drq5UufPSs/dpRhDJpQlQ=\n\n— example.org/log AAAAAA==\n",
        "verifier_key": "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"})),
    responses(
        (status = 200, description = "Whether the record is in the log that the checkpoint signs, and why.", body = Verdict),
        (status = 422, description = "`invalid_request`: this is not evidence.")))]
async fn verify_evidence(Json(evidence): Json<Evidence>) -> Json<Verdict> {
    let path: Vec<Hash> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
    let verified = evidence::verify(
        evidence.record.get(),
        evidence.log_index,
        &path,
        &evidence.checkpoint,
        &evidence.verifier_key,
    );
    Json(match verified {
        Ok(verified) => Verdict {
            valid: true,
            detail: format!(
                "The record is leaf {} of the {} leaves that {} signed, with the root {}.",
                verified.log_index,
                verified.checkpoint.size,
                verified.checkpoint.origin,
                api::Hash(verified.checkpoint.root)
            ),
        },
        Err(error) => Verdict { valid: false, detail: format!("Not proved: {error}.") },
    })
}
