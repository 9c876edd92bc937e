//! The routes, one file per resource.

mod evaluations;
mod problems;

use utoipa_axum::router::OpenApiRouter;

use crate::state::State;

/// All routes with their documents.
pub(crate) fn routes() -> OpenApiRouter<State> {
    evaluations::routes()
}
