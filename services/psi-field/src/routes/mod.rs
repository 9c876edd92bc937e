mod existing;
mod guardian;
mod interventions;
mod snapshots;
mod swarms;
mod windows;

use axum::http::StatusCode;
use serde::{Deserialize, Deserializer};
use service_kit::ApiError;
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
    ("interventions", "What was sent to a swarm and what became of it; one by hand"),
    ("snapshots", "The field's whole state, to go on from elsewhere"),
    ("existing-clients", "The routes of the API before this one, unchanged"),
];

/// A swarm's id as it stands in paths, and in the subjects of records.
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

/// A page begins after the item that this cursor names.
fn cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<T>, ApiError> {
    cursor.map(str::parse).transpose().map_err(|_| {
        let detail = "expected the `next_cursor` of the page before".to_owned();
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", format!("`?cursor`: {detail}."))
            .with_errors(vec![api::FieldError { pointer: "?cursor".into(), detail }])
    })
}

/// How many items a page has.
fn page_length(limit: Option<u32>) -> usize {
    limit.unwrap_or(100) as usize
}

/// Where a page of a list starts, and how long it is.
#[derive(Debug, Default, Deserialize, garde::Validate, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Items a page, 1 to 1000 (default 100).
    #[serde(default)]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default)]
    #[garde(skip)]
    cursor: Option<String>,
}
