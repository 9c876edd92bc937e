use api::trainer::{
    ComparisonExportQuery, ComparisonFormat, ComparisonQuery, MetricDifference, RunComparison,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use service_kit::{ApiError, ApiResult, Json, Query};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    comparison::{Side, compare},
    run::Run,
    runs::Runs,
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_run_comparison)).routes(routes!(get_run_comparison_csv))
}

/// Compare two runs
///
/// What was asked for (the differences of the configurations by JSON pointer), what was decided (digests, run
/// roots, and the first checkpoint at which the roots part), and what came of it: every column of
/// `training_metrics.csv` in the last common episode and as a mean over the last tenth of the common episodes.
/// These figures describe two runs; they are no test of which policy is better. With `format` or `Accept` the metrics can
/// be had as CSV here too.
#[utoipa::path(get, path = "/v1/runs/compare", tag = "runs", params(ComparisonQuery),
    responses(
        (status = 200, description = "Both, side by side.", body = RunComparison),
        (status = 404, description = "`run_not_found`: `errors` says which. `checkpoint_not_found`: the figures of \
            one are lost."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn get_run_comparison(
    State(state): State<AppState>,
    Query(query): Query<ComparisonQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let comparison = comparison(&state, query.a, query.b).await?;
    let csv = match query.format {
        Some(format) => format == ComparisonFormat::Csv,
        None => service_kit::preferred(&headers, &["application/json", "text/csv"]) == "text/csv",
    };
    if csv { to_csv(&comparison.metrics) } else { Ok(Json(comparison).into_response()) }
}

/// Compare the metrics of two runs as CSV
///
/// Every column of `training_metrics.csv` in the last common episode and as a mean over the last tenth of the common
/// episodes, of each run and their difference.
#[utoipa::path(get, path = "/v1/runs/compare.csv", tag = "runs", params(ComparisonExportQuery),
    responses(
        (status = 200, description = "One row a metric.", body = String, content_type = "text/csv"),
        (status = 404, description = "`run_not_found`: `errors` says which. `checkpoint_not_found`: the figures of \
            one are lost."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn get_run_comparison_csv(
    State(state): State<AppState>,
    Query(ComparisonExportQuery { a, b }): Query<ComparisonExportQuery>,
) -> ApiResult<Response> {
    to_csv(&comparison(&state, a, b).await?.metrics)
}

async fn comparison(state: &AppState, a: Uuid, b: Uuid) -> ApiResult<RunComparison> {
    let runs = state.runs().await?;
    match (runs.get(a), runs.get(b)) {
        (Some(a), Some(b)) => Ok(compare(&side(runs, &a).await?, &side(runs, &b).await?)),
        found => Err(unknown([("a", a), ("b", b)], [found.0.is_some(), found.1.is_some()])),
    }
}

async fn side(runs: &Runs, run: &Run) -> ApiResult<Side> {
    let episodes = runs.with_history(run, |history| history.episodes.clone()).await?;
    let checkpoints = run.state().checkpoints.clone();
    Ok(Side { run: run.to_wire(), checkpoints, episodes })
}

fn unknown(asked: [(&str, Uuid); 2], found: [bool; 2]) -> ApiError {
    let missing = asked.into_iter().zip(found).filter(|(_, found)| !found);
    let errors: Vec<_> = missing
        .map(|((name, id), _)| api::FieldError {
            pointer: format!("?{name}"),
            detail: format!("there is no run `{id}` on this trainer"),
        })
        .collect();
    let told: Vec<_> = errors.iter().map(|error| format!("`{}`: {}", error.pointer, error.detail)).collect();
    let detail = format!("{}; `GET /v1/runs` lists them.", told.join("; "));
    ApiError::new(StatusCode::NOT_FOUND, "run_not_found", detail).with_errors(errors)
}

const COLUMNS: [&str; 7] =
    ["metric", "last_a", "last_b", "last_difference", "mean_a", "mean_b", "mean_difference"];

fn to_csv(metrics: &[MetricDifference]) -> ApiResult<Response> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(ApiError::internal)?;
    for MetricDifference { metric, last, mean } in metrics {
        let row = (metric, last.a, last.b, last.difference, mean.a, mean.b, mean.difference);
        writer.serialize(row).map_err(ApiError::internal)?;
    }
    let bytes = writer.into_inner().map_err(|error| ApiError::internal(error.into_error()))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response())
}
