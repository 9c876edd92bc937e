//! The REST API, one file a resource.

use service_kit::ApiError;
use utoipa_axum::router::OpenApiRouter;

use crate::{runs::HistoryError, state::AppState};

mod agents;
mod checkpoints;
mod events;
mod interventions;
mod metrics;
mod runs;

/// All routes.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .merge(runs::routes())
        .merge(metrics::routes())
        .merge(events::routes())
        .merge(agents::routes())
        .merge(interventions::routes())
        .merge(checkpoints::routes());
    service_kit::with_tags(routes, &TAGS)
}

const TAGS: [(&str, &str); 1] = [("runs", "Train a swarm: begin, follow, cancel, go on")];

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Ledger(cause) if cause.is_transient() => Self::unavailable(
                "remembrancer_unavailable",
                "The figures of this run are in its checkpoint in the remembrancer, which cannot be reached now. Try \
                 again in a second.",
                cause,
            ),
            HistoryError::Ledger(cause) if cause.is_not_found() => Self::new(
                axum::http::StatusCode::NOT_FOUND,
                "checkpoint_not_found",
                "The figures of this run are in its checkpoint, which the remembrancer does not have any more. PUT \
                 the checkpoint file under /v1/artifacts there to see them again.",
            ),
            error => Self::internal(error),
        }
    }
}
