use api::evaluator::{Evaluation, EvaluationResult};
use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use plots::{Figure, PlotError, evaluation_figures};
use service_kit::{ApiResult, Path};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    conversion::from_wire, error::EvaluationError, report_page::report_page, routes::completed,
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(PlotDocument::openapi())
        .route("/v1/evaluations/{id}/plots/{file}", get(get_plot))
        .routes(routes!(get_evaluation_report))
}

/// The router takes a file's whole name for a parameter; documents have one operation for each media type, so that a
/// generated client knows what it gets.
#[derive(OpenApi)]
#[openapi(paths(get_plot_svg, get_plot_png))]
struct PlotDocument;

/// Get an evaluation's report
///
/// One page that needs no other file: findings, tables and charts, the command that makes it again, and how to verify its
/// ledger record. It loads nothing and runs no script. The same evaluation has the same bytes.
#[utoipa::path(get, path = "/v1/evaluations/{id}/report.html", tag = "reports",
    params(("id" = Uuid, Path, description = "The evaluation's id.")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 404, description = "`evaluation_not_found`."),
        (status = 409, description = "`evaluation_not_completed`.")))]
async fn get_evaluation_report(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<impl IntoResponse> {
    let (evaluation, result) = completed(&state, id).await?;
    Ok(Html(drawn(move || report_page(&evaluation, &result)?.html()).await?))
}

/// Get a chart of an evaluation as SVG
///
/// `policy_comparison` (every policy beside baseline and physical limit), `learning_curve` (where policies of the same
/// algorithm were trained for longer and shorter), `gain_over_time` (in each part of the episodes),
/// `reward_by_seed` (each seed's difference to the baseline), `fill_by_tenant` and `fill_by_job_size`; under many preferences
/// `pareto` alone (GPU-hours served against what one costs, with the latency as colour). A chart without data does not
/// exist.
#[utoipa::path(get, path = "/v1/evaluations/{id}/plots/{name}.svg", tag = "reports",
    params(
        ("id" = Uuid, Path, description = "The evaluation's id."),
        ("name" = String, Path, description = "The chart's name.", example = "policy_comparison")),
    responses(
        (status = 200, description = "The chart, 900 pixels wide.", body = String, content_type = "image/svg+xml"),
        (status = 404, description = "`evaluation_not_found`; `plot_not_found`: `detail` lists the charts that exist."),
        (status = 409, description = "`evaluation_not_completed`.")))]
#[expect(dead_code, reason = "a document of `get_plot`")]
fn get_plot_svg() {}

/// Get a chart of an evaluation as PNG
///
/// The same charts as with `.svg`, as pixels.
#[utoipa::path(get, path = "/v1/evaluations/{id}/plots/{name}.png", tag = "reports",
    params(
        ("id" = Uuid, Path, description = "The evaluation's id."),
        ("name" = String, Path, description = "The chart's name.", example = "policy_comparison")),
    responses(
        (status = 200, description = "The chart, 1800 pixels wide.", body = Vec<u8>, content_type = "image/png"),
        (status = 404, description = "`evaluation_not_found`; `plot_not_found`: `detail` lists the charts that exist."),
        (status = 409, description = "`evaluation_not_completed`.")))]
#[expect(dead_code, reason = "a document of `get_plot`")]
fn get_plot_png() {}

/// A chart by its name with `.svg` or `.png`.
async fn get_plot(
    State(state): State<AppState>,
    Path((id, file)): Path<(Uuid, String)>,
) -> ApiResult<impl IntoResponse> {
    let (_, result): (Evaluation, EvaluationResult) = completed(&state, id).await?;
    let figures = evaluation_figures(&result, &from_wire(&result).titles());
    let (name, format) = file.rsplit_once('.').unwrap_or((&file, ""));
    let found = figures.iter().find(|figure| figure.name == name).cloned();
    let Some((figure, format)) = found.zip(Format::of(format)) else {
        return Err(EvaluationError::PlotNotFound(file, files(&figures)).into());
    };
    let image = drawn(move || format.draw(&figure)).await?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], image))
}

/// How a chart is drawn.
#[derive(Clone, Copy)]
enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(ending: &str) -> Option<Self> {
        match ending {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
        }
    }

    fn draw(self, figure: &Figure) -> Result<Vec<u8>, PlotError> {
        match self {
            Self::Svg => figure.svg().map(String::into_bytes),
            Self::Png => figure.png(),
        }
    }
}

fn files(figures: &[Figure]) -> String {
    figures.iter().map(|f| format!("{0}.svg, {0}.png", f.name)).collect::<Vec<_>>().join(", ")
}

/// Drawing takes a core for some milliseconds, which those who only ask must not wait for.
async fn drawn<T: Send + 'static>(
    draw: impl FnOnce() -> Result<T, PlotError> + Send + 'static,
) -> Result<T, EvaluationError> {
    let drawn = tokio::task::spawn_blocking(draw).await;
    drawn.map_err(EvaluationError::DrawingBroke)?.map_err(EvaluationError::Drawing)
}
