use std::time::Duration;

use api::remembrancer::Fence;
use axum::http::StatusCode;
use service_kit::ApiError;

use crate::error::{InvalidField, LogError, NotFound};

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        let conflict = |code, detail| ApiError::new(StatusCode::CONFLICT, code, detail);
        match error {
            LogError::Invalid(fields) => invalid(fields),
            LogError::DecisionConflict { run, sequence } => conflict(
                "decision_conflict",
                format!(
                    "Another decision is recorded as sequence {sequence} of the run {run}; nothing was written. \
                     A decision is never replaced: a run that decides differently has another digest."
                ),
            ),
            LogError::SequenceGap { run, expected, actual, unknown_run } => conflict(
                "sequence_gap",
                if unknown_run {
                    format!(
                        "Expected sequence 0 of the run {run}, got {actual}; nothing was written. This log has \
                         nothing of the run: send it from 0, or, if it began on another log, with the `frontier` \
                         over its first {actual} decisions."
                    )
                } else {
                    format!(
                        "Expected sequence {expected} of the run {run}, got {actual}; nothing was written. Send the \
                         decisions from {expected} on."
                    )
                },
            ),
            LogError::BeforeRunStart { run, first, actual } => conflict(
                "sequence_before_start",
                format!(
                    "This log holds the run {run} only from sequence {first} on, got {actual}; nothing was written. \
                     What is before is in the log that the run began on."
                ),
            ),
            LogError::FrontierMismatch { run, sequence, reason } => conflict(
                "frontier_mismatch",
                format!(
                    "The frontier of the run {run} does not fit sequence {sequence}: {reason}. Nothing was written."
                ),
            ),
            LogError::RecordConflict(id) => conflict(
                "record_conflict",
                format!(
                    "Another record is recorded under the id {id:?}; nothing was written. Choose another id."
                ),
            ),
            LogError::LeaseHeld { name, holder, until } => conflict(
                "lease_held",
                format!(
                    "{holder:?} holds the lease {name:?} until {until}. Claim it again when it was given back or \
                     has run out; GET /v1/leases/{{name}} tells."
                ),
            ),
            LogError::LeaseLost { fence: Fence { lease, token }, reason } => conflict(
                "lease_lost",
                format!(
                    "The claim of the lease {lease:?} with the token {token} is over: {reason}. Nothing was written. \
                     Leave the work to whoever holds the lease, or claim it anew."
                ),
            ),
            LogError::LeaseRequired { run, lease } => conflict(
                "lease_required",
                format!(
                    "The run {run} is recorded under the lease {lease:?}; nothing was written. Claim the lease, and \
                     send `lease` and `token` with the decisions."
                ),
            ),
            LogError::DigestMismatch { expected, actual } => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "digest_mismatch",
                format!(
                    "The content's SHA-256 is {actual}, expected {expected} as in the path. Nothing was stored."
                ),
            ),
            LogError::NotFound(what) => not_found(&what),
            LogError::BeyondLog { asked, size } => invalid(vec![InvalidField {
                pointer: "?tree_size".into(),
                detail: format!("expected at most {size}, the log's size, got {asked}"),
            }]),
            LogError::TooManyExports => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "As many exports as this service takes at once are at work. Try again in a few seconds, or read \
                 pages as JSON.",
            )
            .retry_after(Duration::from_secs(5)),
            LogError::Unavailable(cause) => ApiError::unavailable(
                "database_unavailable",
                "The ledger's database is away. Nothing is lost: send the same request again.",
                cause,
            ),
            LogError::DiskFull(cause) => ApiError::unavailable(
                "disk_full",
                "The disk of the ledger's database is full, and nothing was recorded. Nothing that was recorded before \
                 is lost. When its operator has made room on it, send the same request again.",
                cause,
            )
            .retry_after(Duration::from_secs(5)),
            LogError::NotOpen(reason) => ApiError::unavailable(
                "database_unavailable",
                "The ledger is not open yet; /readyz says what is missing. Send the same request again.",
                reason,
            )
            .retry_after(Duration::from_secs(1)),
            error @ (LogError::Inconsistent(_)
            | LogError::Interrupted(_)
            | LogError::Database(_)) => ApiError::internal(error),
        }
    }
}

/// 422 with a pointer to each wrong field.
fn invalid(fields: Vec<InvalidField>) -> ApiError {
    let detail = match fields.as_slice() {
        [one] => format!("The request is not valid: `{}`: {}.", one.pointer, one.detail),
        many => format!("The request is not valid in {} places; `errors` names each.", many.len()),
    };
    let errors =
        fields.into_iter().map(|field| api::FieldError { pointer: field.pointer, detail: field.detail });
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors.collect())
}

fn not_found(what: &NotFound) -> ApiError {
    let code = match what {
        NotFound::Run(_) => "run_not_found",
        NotFound::Decision { .. } => "decision_not_found",
        NotFound::Record(_) => "record_not_found",
        NotFound::Artifact(_) => "artifact_not_found",
        NotFound::Lease(_) => "lease_not_found",
        NotFound::Leaf(_) => "leaf_not_found",
        NotFound::Tile => "tile_not_found",
    };
    let text = what.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let detail: String = first.into_iter().chain(letters).chain(['.']).collect();
    ApiError::new(StatusCode::NOT_FOUND, code, detail)
}
