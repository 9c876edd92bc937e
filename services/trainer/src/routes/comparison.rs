use std::sync::Arc;

use api::trainer::{ComparisonFormat, ComparisonQuery, MetricDifference, RunComparison};
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
    OpenApiRouter::new().routes(routes!(compare_runs))
}

/// Compare two runs.
///
/// What was asked for (the differences of the configurations by JSON pointer), what was decided (digests, run
/// roots, and the first checkpoint at which the roots part), and what came of it: every column of
/// `training_metrics.csv` in the last common episode and as a mean over the last tenth of the common episodes.
/// These figures describe two runs; they are no test of which policy is better.
#[utoipa::path(get, path = "/v1/runs/compare", tag = "runs", params(ComparisonQuery),
    responses(
        (status = 200, description = "Both, side by side; as CSV the metrics alone.",
            content((RunComparison = "application/json"), (String = "text/csv"))),
        (status = 404, description = "`run_not_found`: `errors` says which. `checkpoint_not_found`: the figures of \
            one are lost."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn compare_runs(
    State(state): State<AppState>,
    Query(query): Query<ComparisonQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let runs = state.runs().await?;
    let (a, b) = match (runs.get(query.a), runs.get(query.b)) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return Err(unknown(&query, &a, &b)),
    };
    let comparison = compare(&side(runs, &a).await?, &side(runs, &b).await?);
    let csv = match query.format {
        Some(format) => format == ComparisonFormat::Csv,
        None => service_kit::preferred(&headers, &["application/json", "text/csv"]) == "text/csv",
    };
    if csv { to_csv(&comparison.metrics) } else { Ok(Json(comparison).into_response()) }
}

async fn side(runs: &Runs, run: &Run) -> ApiResult<Side> {
    let episodes = runs.with_history(run, |history| history.episodes.clone()).await?;
    let checkpoints = run.state().checkpoints.clone();
    Ok(Side { run: run.to_wire(), checkpoints, episodes })
}

fn unknown(query: &ComparisonQuery, a: &Option<Arc<Run>>, b: &Option<Arc<Run>>) -> ApiError {
    let missing = |name: &str, id: Uuid| api::FieldError {
        pointer: format!("?{name}"),
        detail: format!("there is no run `{id}` on this trainer"),
    };
    let errors: Vec<_> =
        [a.is_none().then(|| missing("a", query.a)), b.is_none().then(|| missing("b", query.b))]
            .into_iter()
            .flatten()
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
