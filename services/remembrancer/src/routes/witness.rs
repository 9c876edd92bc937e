//! This node as a witness of other logs (C2SP tlog-witness). Statuses and forms are the specification's.

use api::remembrancer::{TreeHead, Witness, WitnessedLog};
use axum::{
    Extension,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use merkle_log::witness::Refusal;
use service_kit::{ApiError, ApiResult, AsSpecified, Content, Json, Path};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use crate::{
    state::AppState,
    witness::{self, NotCosigned},
};

/// A checkpoint with 64 signatures, the longest of them, and a proof of 63 lines has less.
const BODY_LIMIT_BYTES: usize = 512 << 10;

const TEXT: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_witness))
}

/// What logs and monitors call, who have no key: a log's signature is what counts.
pub(super) fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(add_checkpoint).layer(service_kit::body_limit(BODY_LIMIT_BYTES)))
        .routes(routes!(get_cosigned_checkpoint))
}

/// Get this node's key as a witness
///
/// Others give the key in their trust policy. With it, the logs that are witnessed, and how far.
#[utoipa::path(get, path = "/v1/witness", tag = "witness",
    responses(
        (status = 200, description = "Key and logs.", body = Witness),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_witness(State(state): State<AppState>) -> ApiResult<Json<Witness>> {
    let Some(witness) = state.witness() else {
        return Ok(Json(Witness { verifier_key: None, logs: Vec::new() }));
    };
    let (db, mut logs) = (state.db()?, Vec::new());
    for key in witness.logs() {
        let seen = witness::seen(db, key.name()).await?;
        let cosigned = seen.map(|seen| TreeHead { tree_size: seen.size, root_hash: api::Hash(seen.root) });
        logs.push(WitnessedLog { verifier_key: key.to_string(), cosigned });
    }
    Ok(Json(Witness { verifier_key: Some(witness.witness_key().to_string()), logs }))
}

/// Ask for a cosignature
///
/// `add-checkpoint` of C2SP tlog-witness: `old` and the size of the checkpoint that this witness cosigned last (0 before the
/// first), the consistency proof from there in base64, one hash a line, an empty line, and the signed checkpoint. The
/// cosignature is on the disk when it is answered. No key is needed.
#[utoipa::path(post, path = "/witness/add-checkpoint", tag = "witness", security(()),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "Old size, proof and checkpoint, in UTF-8.",
        example = "old 0\n\nlog.example.org\n1\niipcm3aIJ95alVLDigRMZpWcaPbS8htSYK9U0vh9uCc=\n\n\
                   — log.example.org TJv1WAy0FexBFkm2fT1Oi2VAjCME/tfXcQ0pxGhS3RfseNaDwt/byjJhXLxVYQNQd6Z/pCA2Y7n1YnTQLrwAr9AXLQw=\n"),
    responses(
        (status = 200, description = "The line of the cosignature, as in a signed note.", body = String,
            content_type = "text/plain"),
        (status = 400, description = "`malformed_checkpoint`: the request has another form, or the old size is above the \
            checkpoint's."),
        (status = 403, description = "`checkpoint_not_signed`: not by a key that this witness knows the log by."),
        (status = 404, description = "`log_not_witnessed`: this witness does not know the log."),
        (status = 409, description = "This witness cosigned another checkpoint last: its size, in decimal digits and a \
            newline, is the answer. Send the proof from there.", body = String, content_type = "text/x.tlog.size"),
        (status = 413, description = "`body_too_large`."),
        (status = 422, description = "`not_consistent`: the proof does not verify. The log may have shown another history \
            before."),
        (status = 503, description = "`database_unavailable`, `disk_full`.")))]
async fn add_checkpoint(State(state): State<AppState>, Content(body): Content) -> ApiResult<Response> {
    let Ok(body) = String::from_utf8(body.into()) else { return refused(&Refusal::Form("a text in UTF-8")) };
    match state.cosign(body).await {
        Ok(line) => Ok((TEXT, line).into_response()),
        Err(NotCosigned::Refused(refusal)) => refused(&refusal),
        Err(NotCosigned::Log(error)) => Err(error.into()),
    }
}

/// Get the last cosigned checkpoint of a log
///
/// As the log signed it and this witness cosigned it: whoever compares it with what the log shows notices a fork. No key is
/// needed.
#[utoipa::path(get, path = "/witness/{origin}/checkpoint", tag = "witness", security(()),
    params(("origin" = String, Path, description = "The log's origin, percent-encoded.", example = "log.example.org")),
    responses(
        (status = 200, description = "The signed note.", body = String, content_type = "text/plain"),
        (status = 404, description = "`log_not_witnessed`: no checkpoint of that log was cosigned."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_cosigned_checkpoint(
    State(state): State<AppState>,
    Path(origin): Path<String>,
) -> ApiResult<([(HeaderName, &'static str); 2], String)> {
    let note = witness::last_cosigned(state.db()?, &origin).await?;
    let [text] = TEXT;
    Ok(([text, (header::CACHE_CONTROL, "no-cache")], note))
}

/// The specification's status of a refusal; a conflict has a body of its own.
fn refused(refusal: &Refusal) -> ApiResult<Response> {
    let (status, code, advice) = match refusal {
        Refusal::Form(_) | Refusal::Checkpoint(_) | Refusal::Backwards { .. } => (
            StatusCode::BAD_REQUEST,
            "malformed_checkpoint",
            "Send `old` and a size, the proof's hashes, an empty line and the signed checkpoint (C2SP tlog-witness).",
        ),
        Refusal::UnknownLog(_) => (
            StatusCode::NOT_FOUND,
            "log_not_witnessed",
            "Its operator names the logs that it witnesses by their keys, as `witness_logs`.",
        ),
        Refusal::NotSigned(_) => (
            StatusCode::FORBIDDEN,
            "checkpoint_not_signed",
            "Tell the witness's operator when the log has a new key.",
        ),
        Refusal::Conflict(size) => {
            let headers = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            let answer = (StatusCode::CONFLICT, Extension(AsSpecified), headers, format!("{size}\n"));
            return Ok(answer.into_response());
        }
        Refusal::NotConsistent(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_consistent",
            "A log that lost or changed what this witness has cosigned gets no cosignature again.",
        ),
    };
    let text = refusal.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let detail: String = first.into_iter().chain(letters).collect();
    Err(ApiError::new(status, code, format!("{detail}. {advice}")))
}
