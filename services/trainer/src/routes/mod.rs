//! The REST API, one file a resource.

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

mod agents;
mod checkpoints;
mod comparison;
mod decisions;
mod deployments;
mod environments;
mod events;
mod federation;
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
        .merge(decisions::routes())
        .merge(deployments::routes())
        .merge(environments::routes())
        .merge(federation::routes());
    let mut routes = service_kit::with_tags(routes, &TAGS);
    lists::fill_in(routes.get_openapi_mut());
    routes
}

const TAGS: [(&str, &str); 5] = [
    ("runs", "Train a swarm: start, follow, pause, resume, cancel, rewind, compare"),
    (
        "policies",
        "Ask a learned policy, or a hand rule, where to send real requests, and report the outcomes",
    ),
    (
        "deployments",
        "Let a policy decide a stream of real requests: it remembers what it sent where, and learns from the outcomes",
    ),
    (
        "environments",
        "Play episodes turn by turn, for learners of your own: vectors and masks out, choices in",
    ),
    ("federation", "Learn with other nodes: what each has seen, proved by its own log, and who is left out"),
];
