use std::{borrow::Cow, sync::Arc};

use api::{
    Page,
    trainer::{EpisodeMetrics, MetricsExportQuery, MetricsQuery, MetricsRow, Resolution, WindowMetrics},
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
        Ref, RefOr,
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
    OpenApiRouter::new()
        .routes(routes!(list_run_metrics))
        .routes(routes!(get_run_metrics_csv))
        .routes(routes!(get_run_metrics_ndjson))
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

/// What utoipa calls the two.
const PAGES: [&str; 2] = ["Page_EpisodeMetrics", "Page_WindowMetrics"];

impl PartialSchema for Rows {
    /// `anyOf`: a page without rows is both, which `oneOf` forbids.
    fn schema() -> RefOr<Schema> {
        let either = AnyOfBuilder::new().description(Some("Rows of one resolution."));
        PAGES.into_iter().fold(either, |either, page| either.item(Ref::from_schema_name(page))).into()
    }
}

impl ToSchema for Rows {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("MetricsPage")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let [episodes, windows] = PAGES.map(str::to_owned);
        schemas.extend([
            (EpisodeMetrics::name().into_owned(), EpisodeMetrics::schema()),
            (episodes, Page::<EpisodeMetrics>::schema()),
            (WindowMetrics::name().into_owned(), WindowMetrics::schema()),
            (windows, Page::<WindowMetrics>::schema()),
        ]);
        Page::<EpisodeMetrics>::schemas(schemas);
        Page::<WindowMetrics>::schemas(schemas);
    }
}

/// List a run's metrics
///
/// One row an episode (the columns of `training_metrics.csv`) or a window; a figure without data is null. `next_cursor`
/// is the next page's `from`. With `format` or `Accept` all rows can be had as a stream here too, as `metrics.csv` and
/// `metrics.ndjson` give it. Episodes and windows are kept for ever, with the
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
            body = Rows),
        (status = 404, description = "`run_not_found`; `windows_not_kept`: an earlier version recorded the run."),
        (status = 422, description = "`invalid_request`: a parameter is not valid, `metric` is no column of figures, \
            or `points` came with `limit`.")))]
async fn list_run_metrics(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<MetricsQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let lines = Lines::asked(query.format, &headers);
    rows(&state, id, &query, lines).await
}

/// Get a run's metrics as CSV
///
/// All rows that there are now, from `from` on, with a header: one an episode (the columns of `training_metrics.csv`) or
/// a window. A figure without data is an empty field. With `points` the rows are thinned as in the list.
#[utoipa::path(get, path = "/v1/runs/{id}/metrics.csv", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), MetricsExportQuery),
    responses(
        (status = 200, description = "The rows, the oldest first.", body = String, content_type = "text/csv"),
        (status = 404, description = "`run_not_found`."),
        (status = 422, description = "`invalid_request`: a parameter is not valid, or `metric` is no column of figures.")))]
async fn get_run_metrics_csv(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<MetricsExportQuery>,
) -> ApiResult<Response> {
    rows(&state, id, &query.into(), Some(Lines::Csv)).await
}

/// Get a run's metrics as lines of JSON
///
/// All rows that there are now, from `from` on, each as a JSON object on a line of its own. With `points` the rows are
/// thinned as in the list.
#[utoipa::path(get, path = "/v1/runs/{id}/metrics.ndjson", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), MetricsExportQuery),
    responses(
        (status = 200, description = "The rows, the oldest first.", body = MetricsRow,
            content_type = "application/x-ndjson"),
        (status = 404, description = "`run_not_found`."),
        (status = 422, description = "`invalid_request`: a parameter is not valid, or `metric` is no column of figures.")))]
async fn get_run_metrics_ndjson(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<MetricsExportQuery>,
) -> ApiResult<Response> {
    rows(&state, id, &query.into(), Some(Lines::Ndjson)).await
}

async fn rows(state: &AppState, id: Uuid, query: &MetricsQuery, lines: Option<Lines>) -> ApiResult<Response> {
    let (run, runs) = (state.run(id).await?, state.runs().await?);
    match query.resolution {
        Resolution::Episode => answer::<EpisodeMetrics>(runs, run, query, lines, Rows::Episodes).await,
        Resolution::Window => answer::<WindowMetrics>(runs, run, query, lines, Rows::Windows).await,
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
