//! The REST API, one file a resource.

use garde::Validate;
use serde::{Deserialize, Serialize};
use service_kit::{ApiError, ApiResult};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    runs::{HistoryError, RecordError},
    state::AppState,
};

mod agents;
mod checkpoints;
mod comparison;
mod decisions;
mod events;
mod interventions;
mod labels;
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
    service_kit::with_tags(routes, &TAGS)
}

const TAGS: [(&str, &str); 2] = [
    ("runs", "Train a swarm: begin, follow, pause, cancel, rewind, compare, go on"),
    (
        "policies",
        "Ask what was learned, or a hand rule, where to send real requests, and tell what became of them",
    ),
];

/// Which part of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Items a page, 1 to 1000 (default 1000).
    #[serde(default)]
    #[garde(inner(range(min = 1, max = 1000)))]
    limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default)]
    #[garde(skip)]
    cursor: Option<String>,
}

impl PageQuery {
    /// A page of a list that only grows at its end.
    fn page<T: Clone>(&self, items: impl ExactSizeIterator<Item = T>) -> ApiResult<api::Page<T>> {
        let from = match &self.cursor {
            None => 0,
            Some(cursor) => cursor.parse::<usize>().map_err(|_| {
                invalid_query("cursor", "expected `next_cursor` of the page before, unchanged")
            })?,
        };
        let (limit, total) = (self.limit.unwrap_or(1000) as usize, items.len());
        let items: Vec<T> = items.skip(from).take(limit).collect();
        let end = from.saturating_add(items.len());
        let next_cursor = (!items.is_empty() && end < total).then(|| end.to_string());
        Ok(api::Page { items, next_cursor })
    }
}

/// 422 for a query parameter whose type alone does not tell that it is wrong.
fn invalid_query(name: &str, detail: &str) -> ApiError {
    let error = api::FieldError { pointer: format!("?{name}"), detail: detail.to_owned() };
    ApiError::new(
        axum::http::StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_request",
        format!("The query string is not valid: `?{name}`: {detail}."),
    )
    .with_errors(vec![error])
}

/// 422 for a body whose fields are wrong; `what` is what the body is.
fn invalid_body(what: &str, errors: Vec<api::FieldError>) -> ApiError {
    let places: Vec<_> = errors.iter().map(|e| format!("`{}`: {}", e.pointer, e.detail)).collect();
    let detail = format!("The {what} is not valid: {}.", places.join("; "));
    ApiError::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors)
}

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

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Away => Self::unavailable(
                "remembrancer_unavailable",
                "What is asked for must be in the ledger first, and the remembrancer did not answer in time. Repeat \
                 the request.",
                error.to_string(),
            ),
            RecordError::Refused(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let all: Vec<u32> = (0..25).collect();
        let mut query = PageQuery { limit: Some(10), cursor: None };
        let mut seen = Vec::new();
        loop {
            let page = query.page(all.iter().copied()).unwrap();
            assert!(page.items.len() <= 10);
            seen.extend(page.items);
            match page.next_cursor {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_cursor_that_nobody_gave_is_refused() {
        let query = PageQuery { limit: None, cursor: Some("x".into()) };
        assert_eq!(query.page([1].into_iter()).unwrap_err().code(), "invalid_request");
        let past_the_end = PageQuery { limit: None, cursor: Some("99".into()) };
        assert_eq!(
            past_the_end.page([1].into_iter()).unwrap(),
            api::Page { items: vec![], next_cursor: None }
        );
    }
}
