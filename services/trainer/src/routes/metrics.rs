use std::sync::Arc;

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
use service_kit::{ApiResult, Json, Lines, Path, Query};
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
mod thinned;

use rows::Row;

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
/// streams of all rows that there are now, from `from` on. Episodes and windows are kept for ever, with the
/// checkpoints; those after the last checkpoint are known only to the trainer that plays the run. Of more than
/// 100,000 windows between two checkpoints the newest are kept.
///
/// With `points` the rows are thinned: cut into `points / 2` buckets of equal length, of each of which the rows with
/// the least and the greatest `metric` are kept, whole and in their order; of equal ones the first, and the first row
/// of a bucket without any figure. The extremes of what is shown are those of the run.
#[utoipa::path(get, path = "/v1/runs/{id}/metrics", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), MetricsQuery),
    responses(
        (status = 200, description = "The rows, the oldest first.",
            content((Rows = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 404, description = "`run_not_found`."),
        (status = 422, description = "`invalid_request`: a parameter is not valid, `metric` is no column of figures, \
            or `points` came with `limit`.")))]
async fn run_metrics(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<MetricsQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (run, runs) = (state.run(id).await?, state.runs().await?);
    let lines = service_kit::Lines::asked(query.format, &headers);
    match query.resolution {
        Resolution::Episode => answer::<EpisodeMetrics>(runs, run, &query, lines, Rows::Episodes).await,
        Resolution::Window => answer::<WindowMetrics>(runs, run, &query, lines, Rows::Windows).await,
    }
}

async fn answer<T: Row>(
    runs: &Runs,
    run: Arc<Run>,
    query: &MetricsQuery,
    lines: Option<Lines>,
    shown: impl FnOnce(Page<T>) -> Rows,
) -> ApiResult<Response> {
    let from = query.from.unwrap_or(0);
    let Some(points) = query.points else {
        return match lines {
            Some(lines) => stream::all::<T>(runs.clone(), run, query.from, lines).await,
            None => Ok(Json(shown(page(runs, &run, from, query.limit).await?)).into_response()),
        };
    };
    let metric = metric::<T>(query)?;
    let items = thinned::thinned(runs, &run, from, points as usize, metric).await?;
    match lines {
        Some(lines) => stream::these::<T>(&items, lines),
        None => Ok(Json(shown(Page { items, next_cursor: None })).into_response()),
    }
}

async fn page<T: Row>(runs: &Runs, run: &Run, from: u64, limit: Option<u32>) -> ApiResult<Page<T>> {
    let limit = limit.unwrap_or(1000) as usize;
    let mut items = T::read(runs, run, from, limit + 1).await?;
    let next = items.get(limit).map(|row: &T| row.number().to_string());
    items.truncate(limit);
    Ok(Page { items, next_cursor: next })
}

/// The figure by which rows are thinned.
fn metric<T: Row>(query: &MetricsQuery) -> ApiResult<&str> {
    let metric = query.metric.as_deref().unwrap_or("avg_reward");
    if query.limit.is_some() {
        let detail = "thinned rows come at once: leave `limit` out, or `points`";
        return Err(service_kit::invalid_parameter("limit", detail));
    }
    if !T::COLUMNS.contains(&metric) {
        let detail = format!("expected one of {}, got `{metric}`", T::COLUMNS.join(", "));
        return Err(service_kit::invalid_parameter("metric", &detail));
    }
    Ok(metric)
}
