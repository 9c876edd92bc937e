//! One file per resource: extract, call one domain function, map the answer.

mod artifacts;
mod decisions;
mod errors;
mod log;
mod page;
mod records;
mod tiles;
mod verify;

use utoipa_axum::router::OpenApiRouter;

use crate::{Config, state::AppState};

/// Every route of the service, to be given its state.
pub(crate) fn routes(config: &Config) -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(decisions::routes(config.batch_limit_bytes))
        .merge(records::routes())
        .merge(artifacts::routes(config.artifact_limit_bytes))
        .merge(log::routes())
        .merge(verify::routes())
        .merge(tiles::routes())
}
