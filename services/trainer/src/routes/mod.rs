//! The REST API, one file a resource.

use client::LedgerError;
use service_kit::ApiError;
use utoipa_axum::router::OpenApiRouter;

use crate::{runs::HistoryError, state::AppState};

mod agents;
mod checkpoints;
mod comparison;
mod decisions;
mod events;
mod interventions;
mod labels;
mod lists;
mod metrics;
mod pause;
mod policies;
mod rewind;
mod runs;

/// All routes.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .merge(runs::routes())
        .merge(metrics::routes())
        .merge(events::routes())
        .merge(pause::routes())
        .merge(labels::routes())
        .merge(rewind::routes())
        .merge(comparison::routes())
        .merge(agents::routes())
        .merge(interventions::routes())
        .merge(checkpoints::routes())
        .merge(policies::routes())
        .merge(decisions::routes());
    let mut routes = service_kit::with_tags(routes, &TAGS);
    lists::fill_in(routes.get_openapi_mut());
    routes
}

const TAGS: [(&str, &str); 2] = [
    ("runs", "Train a swarm: start, follow, pause, resume, cancel, rewind, compare"),
    (
        "policies",
        "Ask a learned policy, or a hand rule, where to send real requests, and report the outcomes",
    ),
];

/// 422 for a body whose fields are wrong; `what` is what the body is.
fn invalid_body(what: &str, errors: Vec<api::FieldError>) -> ApiError {
    let places: Vec<_> = errors.iter().map(|e| format!("`{}`: {}", e.pointer, e.detail)).collect();
    let detail = format!("The {what} is not valid: {}.", places.join("; "));
    ApiError::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors)
}

/// What a caller is told when the ledger did not do what the request needs.
fn ledger_problem(error: LedgerError) -> ApiError {
    match error {
        LedgerError::Away(_) | LedgerError::ShuttingDown => ApiError::unavailable(
            "remembrancer_unavailable",
            "What is answered here is in the ledger first, and the remembrancer did not answer in time. Repeat the \
             request, with the same Idempotency-Key if it had one.",
            error,
        ),
        error => ApiError::internal(error),
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Ledger(cause) if cause.is_away() => Self::unavailable(
                "remembrancer_unavailable",
                "The figures of this run are in its checkpoint in the remembrancer, which cannot be reached now. Try \
                 again in a second.",
                cause,
            ),
            HistoryError::Missing(_) => Self::new(
                axum::http::StatusCode::NOT_FOUND,
                "checkpoint_not_found",
                "The figures of this run are in its checkpoint, which the remembrancer does not have any more. PUT \
                 the checkpoint file under /v1/artifacts there to see them again.",
            ),
            error => Self::internal(error),
        }
    }
}
