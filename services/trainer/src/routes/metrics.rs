use api::{
    Page,
    trainer::{EpisodeMetrics, MetricsQuery, Resolution, WindowMetrics},
};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use service_kit::{ApiResult, Json, Path, Query};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AnyOfBuilder, Schema},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{run::Run, runs::Runs, state::AppState};

mod rows;
mod stream;

use rows::{Row, rows};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run_metrics))
}

/// Rows of one resolution.
#[derive(Serialize)]
#[serde(untagged)]
enum Rows {
    /// One row an episode.
    Episodes(Page<EpisodeMetrics>),
    /// One row a window.
    Windows(Page<WindowMetrics>),
}

impl PartialSchema for Rows {
    /// `anyOf`: a page without rows is both, which `oneOf` forbids.
    fn schema() -> RefOr<Schema> {
        let either = AnyOfBuilder::new().description(Some("Rows of one resolution."));
        let either = either.item(Page::<EpisodeMetrics>::schema()).item(Page::<WindowMetrics>::schema());
        either.into()
    }
}

impl ToSchema for Rows {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        for (name, schema) in [
            (EpisodeMetrics::name(), EpisodeMetrics::schema()),
            (WindowMetrics::name(), WindowMetrics::schema()),
        ] {
            schemas.push((name.into_owned(), schema));
        }
        Page::<EpisodeMetrics>::schemas(schemas);
        Page::<WindowMetrics>::schemas(schemas);
    }
}

/// Read a run's metrics.
///
/// One row an episode (the columns of `training_metrics.csv`) or a window; a figure without data is null,
/// in CSV an empty field. JSON comes in pages: `next_cursor` is the next page's `from`. NDJSON and CSV are
/// streams of all rows that there are now, from `from` on. Episodes are kept for ever, in the checkpoints. The
/// last 100,000 windows are kept, and only while the trainer runs: older ones, and those from before its last
/// start, are gone. Who needs every window reads `events` while the run is at work.
#[utoipa::path(get, path = "/v1/runs/{id}/metrics", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), MetricsQuery),
    responses(
        (status = 200, description = "The rows, the oldest first.",
            content((Rows = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 404, description = "`run_not_found`.")))]
async fn run_metrics(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<MetricsQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (run, runs) = (state.run(id)?, state.runs()?);
    match (service_kit::Lines::asked(query.format, &headers), query.resolution) {
        (None, Resolution::Episode) => {
            Ok(Json(Rows::Episodes(page(runs, &run, &query).await?)).into_response())
        }
        (None, Resolution::Window) => {
            Ok(Json(Rows::Windows(page(runs, &run, &query).await?)).into_response())
        }
        (Some(lines), Resolution::Episode) => {
            stream::all::<EpisodeMetrics>(runs.clone(), run, query.from, lines).await
        }
        (Some(lines), Resolution::Window) => {
            stream::all::<WindowMetrics>(runs.clone(), run, query.from, lines).await
        }
    }
}

async fn page<T: Row>(runs: &Runs, run: &Run, query: &MetricsQuery) -> ApiResult<Page<T>> {
    let (from, limit) = (query.from.unwrap_or(0), query.limit.unwrap_or(1000) as usize);
    let mut items = runs.with_history(run, |history| rows(T::of(history), from, limit + 1)).await?;
    let next = items.get(limit).map(|row: &T| row.number().to_string());
    items.truncate(limit);
    Ok(Page { items, next_cursor: next })
}
