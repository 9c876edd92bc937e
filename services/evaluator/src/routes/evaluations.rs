use api::{
    Page,
    evaluator::{Evaluation, EvaluationQuery, EvaluationStatus, EvaluationValues, NewEvaluation},
};
use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use service_kit::{ApiResult, IdempotencyKey, Json, Path, Query, Routine};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    error::EvaluationError, results_csv::results_csv, routes::completed, state::AppState,
    values_csv::values_csv,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_evaluation, list_evaluations))
        .routes(routes!(get_evaluation))
        .routes(routes!(get_evaluation_results_csv))
        .routes(routes!(get_evaluation_values))
        .routes(routes!(get_evaluation_values_csv))
}

/// Create an evaluation
///
/// Every policy and every hand rule plays the same held-out episodes. Fields, policies and seeds are checked, and the
/// evaluation is recorded, before the answer. The work is done after it, by whichever evaluator of the ledger is free, and
/// started again when that one dies: follow `Location`. The result is recorded in the ledger.
///
/// With `logged`, as in `{"logged": "gateway", "policies": ["cheapest", "fastest"]}`, nothing is simulated: the policies are judged
/// from the decisions of a deployment that explores, and from what was told of them.
#[utoipa::path(post, path = "/v1/evaluations", tag = "evaluations", request_body = NewEvaluation,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]+$",
        description = "The same key with the same request gets the same evaluation, from every evaluator of the ledger.")),
    responses(
        (status = 202, description = "Accepted: it is queued, or already in progress.", body = Evaluation,
            headers(("Location" = String, description = "Where the evaluation stands."))),
        (status = 404, description = "`policy_not_found`: PUT the policy to the remembrancer first; `deployment_not_found`."),
        (status = 409, description = "`policy_mismatch`: trained for other providers or tenants; `seeds_overlap`: \
            trained on test seeds; `idempotency_key_reused`."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field; `invalid_policy`."),
        (status = 429, description = "`too_many_evaluations`: too many are queued."),
        (status = 503, description = "`remembrancer_unavailable`.")))]
async fn create_evaluation(
    State(state): State<AppState>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<NewEvaluation>,
) -> ApiResult<impl IntoResponse> {
    let evaluation = state.evaluations.accept(request, key.as_deref()).await?;
    let location = format!("/v1/evaluations/{}", evaluation.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(evaluation)))
}

/// List evaluations
///
/// The newest first, whichever evaluator of the ledger accepted them.
#[utoipa::path(get, path = "/v1/evaluations", tag = "evaluations", params(EvaluationQuery),
    responses((status = 200, description = "A page of evaluations.", body = Page<Evaluation>)))]
async fn list_evaluations(
    State(state): State<AppState>,
    Query(query): Query<EvaluationQuery>,
) -> ApiResult<Json<Page<Evaluation>>> {
    Ok(Json(state.evaluations.list(query.limit.unwrap_or(100), query.cursor).await?))
}

/// Get an evaluation
///
/// Its progress, as far as this evaluator works on it, and its result once it is recorded.
#[utoipa::path(get, path = "/v1/evaluations/{id}", tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation's id.")),
    responses(
        (status = 200, description = "The evaluation.", body = Evaluation),
        (status = 404, description = "`evaluation_not_found`.")))]
async fn get_evaluation(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<(Option<Extension<Routine>>, Json<Evaluation>)> {
    let evaluation = state.evaluations.get(id).await?;
    // whoever waits for it asks all the time
    let routine = (evaluation.status == EvaluationStatus::Running).then_some(Extension(Routine));
    Ok((routine, Json(evaluation)))
}

/// Get an evaluation's result as CSV
///
/// One row per policy and metric: its mean over the seeds with the 95 % interval, and the paired
/// differences to the baseline and to the best hand rule. Under many preferences one row per policy and preference, then one of
/// the limit per preference (`policy` is `limit`). From a deployment's log one row per policy. A cell without data is empty.
#[utoipa::path(get, path = "/v1/evaluations/{id}/results.csv", tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation's id.")),
    responses(
        (status = 200, description = "The result.", body = String, content_type = "text/csv"),
        (status = 404, description = "`evaluation_not_found`."),
        (status = 409, description = "`evaluation_not_completed`.")))]
async fn get_evaluation_results_csv(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<impl IntoResponse> {
    let (_, result) = completed(&state, id).await?;
    let csv = results_csv(&result).map_err(EvaluationError::from)?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv))
}

/// Get what every policy achieved on every seed
///
/// Every metric of each training of each policy, and of the physical limit, seed by seed: whoever has it can compute each
/// figure of the result again. The ledger keeps the same as the artifact `values_sha256`, which the result's record names.
#[utoipa::path(get, path = "/v1/evaluations/{id}/values", tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation's id.")),
    responses(
        (status = 200, description = "The values.", body = EvaluationValues),
        (status = 404, description = "`evaluation_not_found`; `values_not_kept`: it is of an earlier version, or of fronts."),
        (status = 409, description = "`evaluation_not_completed`.")))]
async fn get_evaluation_values(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<EvaluationValues>> {
    let (_, result) = completed(&state, id).await?;
    Ok(Json(state.evaluations.values(id, &result).await?))
}

/// Get what every policy achieved on every seed as CSV
///
/// One row per policy, training and seed, and one of the physical limit per seed (`policy` is `limit`); one column per
/// metric. A cell without data is empty.
#[utoipa::path(get, path = "/v1/evaluations/{id}/values.csv", tag = "evaluations",
    params(("id" = Uuid, Path, description = "The evaluation's id.")),
    responses(
        (status = 200, description = "The values.", body = String, content_type = "text/csv"),
        (status = 404, description = "`evaluation_not_found`; `values_not_kept`: it is of an earlier version, or of fronts."),
        (status = 409, description = "`evaluation_not_completed`.")))]
async fn get_evaluation_values_csv(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<impl IntoResponse> {
    let (_, result) = completed(&state, id).await?;
    let values = state.evaluations.values(id, &result).await?;
    let csv = values_csv(&values).map_err(EvaluationError::from)?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv))
}
