//! The routes, one file per resource.

mod evaluations;
mod problems;

use utoipa_axum::router::OpenApiRouter;

use crate::state::State;

/// All routes with their documents.
pub(crate) fn routes() -> OpenApiRouter<State> {
    service_kit::with_tags(evaluations::routes(), &TAGS)
}

const TAGS: [(&str, &str); 1] =
    [("evaluations", "Policies on the same held-out episodes, and how sure the difference is")];
