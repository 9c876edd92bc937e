//! The routes, one file per resource.

mod evaluations;
mod reports;

use api::evaluator::{Evaluation, EvaluationResult};
use routing_env::{NAMED_PREFERENCES, Preset};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{error::EvaluationError, state::AppState};

/// All routes with their documents.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    let mut routes = service_kit::with_tags(evaluations::routes().merge(reports::routes()), &TAGS);
    let presets = Preset::ALL.map(|preset| (preset.name(), preset.description()));
    service_kit::list_values(routes.get_openapi_mut(), "EnvironmentSpec", "preset", "Preset", &presets);
    let preferences = NAMED_PREFERENCES.map(|(name, _, meaning)| (name, meaning));
    service_kit::list_names(routes.get_openapi_mut(), "PreferenceName", &preferences);
    routes
}

const TAGS: [(&str, &str); 2] = [
    ("evaluations", "Policies on the same held-out episodes, and how sure the difference is"),
    ("reports", "What an evaluation found, as a page and as charts"),
];

/// An evaluation with its result, which one that is in progress or has failed does not have.
async fn completed(state: &AppState, id: Uuid) -> Result<(Evaluation, EvaluationResult), EvaluationError> {
    let mut evaluation = state.evaluations.get(id).await?;
    match evaluation.result.take() {
        Some(result) => Ok((evaluation, result)),
        None => {
            let why = evaluation.error.unwrap_or_else(|| "it is still at work, ask again later".into());
            Err(EvaluationError::NoResult(id, why))
        }
    }
}
