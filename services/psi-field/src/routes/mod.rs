mod anomalies;
mod existing;
mod guardian;
mod interventions;
mod snapshots;
mod swarms;
mod windows;

use serde::{Deserialize, Deserializer};
use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// Bodies of windows and snapshots with 10,000 agents are long.
const BODY_LIMIT_BYTES: usize = 64 << 20;

/// Every route of the service's own, documented.
pub(crate) fn all(state: AppState) -> OpenApiRouter {
    let long = service_kit::body_limit(BODY_LIMIT_BYTES);
    let routes = OpenApiRouter::new()
        .merge(windows::routes().layer(long))
        .merge(snapshots::routes().layer(long))
        .merge(swarms::routes())
        .merge(anomalies::routes())
        .merge(interventions::routes())
        .merge(existing::routes())
        .merge(guardian::routes())
        .with_state(state);
    service_kit::with_tags(routes, &TAGS)
}

/// In the order in which somebody meets them who watches over a swarm.
const TAGS: [(&str, &str); 5] = [
    ("windows", "A swarm's metrics in, the field's state and interventions out"),
    ("swarms", "What is known of each swarm"),
    ("interventions", "What was sent to a swarm and its effect; interventions by hand"),
    ("snapshots", "The field's whole state, to continue from elsewhere"),
    ("existing-clients", "The routes of the earlier API, unchanged"),
];

/// A swarm's id in paths and in the subjects of records.
#[derive(Clone, Debug, PartialEq, Eq, utoipa::IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
struct SwarmId(
    /// The swarm: a run's id, or `default`.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "default")]
    String,
);

impl<'de> Deserialize<'de> for SwarmId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom(
                "a swarm's id is 1 to 128 letters, digits, dots, colons, underscores and hyphens",
            ))
        }
    }
}
