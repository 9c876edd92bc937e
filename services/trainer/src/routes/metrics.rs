use api::{
    Page,
    trainer::{EpisodeMetrics, Format, MetricsQuery, Resolution, WindowMetrics},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use service_kit::{ApiError, ApiResult, Json, Path, Query};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run_metrics))
}

/// The columns of `training_metrics.csv`; dashboards and scripts know the first twelve by their place.
const EPISODE_COLUMNS: [&str; 16] = [
    "episode",
    "avg_reward",
    "fill_rate",
    "gpu_hours_fill",
    "avg_cost_usd",
    "avg_latency_ms",
    "epsilon",
    "q_table_size",
    "psi",
    "continuity",
    "prediction_error",
    "interventions",
    "cost_index",
    "cost_per_gpu_hour_usd",
    "deferred_share",
    "worst_tenant_gpu_hours_fill",
];

const WINDOW_COLUMNS: [&str; 14] = [
    "window",
    "episode",
    "step",
    "requests",
    "avg_reward",
    "seed_reward",
    "fill_rate",
    "gpu_hours_fill",
    "avg_cost_usd",
    "avg_latency_ms",
    "psi",
    "continuity",
    "prediction_error",
    "interventions",
];

/// Rows of one resolution.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Rows {
    /// One row an episode.
    Episodes(Page<EpisodeMetrics>),
    /// One row a window.
    Windows(Page<WindowMetrics>),
}

/// Read a run's metrics.
///
/// One row an episode (the columns of `training_metrics.csv`) or a window; a figure without data is null,
/// in CSV an empty field. JSON comes in pages: `next_cursor` is the next page's `from`. CSV has all rows
/// from `from` on. The last 100,000 windows are kept while the trainer runs; episodes are kept for ever.
#[utoipa::path(get, path = "/v1/runs/{id}/metrics", tag = "runs",
    params(("id" = Uuid, Path, description = "The run."), MetricsQuery),
    responses(
        (status = 200, description = "The rows, the oldest first.",
            content((Rows = "application/json"), (String = "text/csv"))),
        (status = 404, description = "`run_not_found`.")))]
async fn run_metrics(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(query): Query<MetricsQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let run = state.run(id)?;
    let csv = match query.format {
        Some(format) => format == Format::Csv,
        None => service_kit::preferred(&headers, &["application/json", "text/csv"]) == "text/csv",
    };
    let limit = if csv { usize::MAX } else { query.limit.unwrap_or(1000) as usize };
    let from = query.from.unwrap_or(0);
    let runs = state.runs()?;
    match query.resolution {
        Resolution::Episode => {
            let page = runs
                .with_history(&run, |history| page(&history.episodes, |row| row.episode.into(), from, limit))
                .await?;
            if csv {
                to_csv(&EPISODE_COLUMNS, &page.items)
            } else {
                Ok(Json(Rows::Episodes(page)).into_response())
            }
        }
        Resolution::Window => {
            let page = runs
                .with_history(&run, |history| page(&history.windows, |row| row.window, from, limit))
                .await?;
            if csv {
                to_csv(&WINDOW_COLUMNS, &page.items)
            } else {
                Ok(Json(Rows::Windows(page)).into_response())
            }
        }
    }
}

/// Rows are in the order of their numbers.
fn page<'a, T: Clone + 'a>(
    rows: impl IntoIterator<Item = &'a T>,
    number: impl Fn(&T) -> u64,
    from: u64,
    limit: usize,
) -> Page<T> {
    let mut rows = rows.into_iter().skip_while(|row| number(row) < from);
    let items: Vec<T> = rows.by_ref().take(limit).cloned().collect();
    Page { items, next_cursor: rows.next().map(|row| number(row).to_string()) }
}

fn to_csv<T: Serialize>(columns: &[&str], rows: &[T]) -> ApiResult<Response> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // Written by hand, so that a run without rows has its header too.
    writer.write_record(columns).map_err(ApiError::internal)?;
    for row in rows {
        writer.serialize(row).map_err(ApiError::internal)?;
    }
    let bytes = writer.into_inner().map_err(|error| ApiError::internal(error.into_error()))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns<T: serde::de::DeserializeOwned + Serialize>(json: &str) -> Vec<String> {
        let row: T = serde_json::from_str(json).unwrap();
        serde_json::to_value(row).unwrap().as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_header_names_the_fields_in_the_order_in_which_they_are_written() {
        let episode = r#"{"episode":0,"epsilon":0.1,"q_table_size":0,"interventions":0}"#;
        assert_eq!(columns::<EpisodeMetrics>(episode), EPISODE_COLUMNS);
        let window = r#"{"window":0,"episode":0,"step":0,"requests":0,"interventions":0}"#;
        assert_eq!(columns::<WindowMetrics>(window), WINDOW_COLUMNS);
    }

    #[test]
    fn a_page_starts_at_the_row_that_is_asked_for_also_when_older_rows_are_gone() {
        let rows = [5_u64, 6, 7, 8];
        let shown = |from, limit| {
            let page = page(&rows, |row| *row, from, limit);
            (page.items, page.next_cursor)
        };
        assert_eq!(shown(0, 2), (vec![5, 6], Some("7".into())));
        assert_eq!(shown(7, 2), (vec![7, 8], None));
        assert_eq!(shown(9, 2), (vec![], None));
    }
}
