use api::{
    Page,
    trainer::{NewRun, Run, RunQuery},
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use service_kit::{ApiError, ApiResult, IdempotencyKey, Json, Parsed, Path, Query};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{run, run_config::RunPlan, state::AppState};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_run, list_runs))
        .routes(routes!(get_run))
        .routes(routes!(cancel_run))
}

/// Create a run
///
/// `{}` is a valid run. The answer comes as soon as the run is in the ledger; it starts when a place is
/// free. Follow it at its `Location`. With `resume_from` it resumes from a checkpoint: PUT the file to the
/// remembrancer first, and leave the other fields as they are in the checkpoint's `config`.
#[utoipa::path(post, path = "/v1/runs", tag = "runs", request_body = NewRun,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]+$",
        description = "1 to 200 visible ASCII characters. The same key and body again get the same run.")),
    responses(
        (status = 202, description = "Accepted; `Location` names the run.", body = Run,
            headers(("Location" = String, description = "Where the run is."))),
        (status = 409, description = "`checkpoint_of_another_run`, `checkpoint_not_forkable`, `run_already_complete`."),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer. `idempotency_key_reused`: for another \
            body."),
        (status = 429, description = "`too_many_runs`: wait for some to end."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn create_run(
    State(state): State<AppState>,
    IdempotencyKey(key): IdempotencyKey,
    Parsed(new, mut errors): Parsed<NewRun>,
) -> ApiResult<Response> {
    if !errors.is_empty() {
        let more = RunPlan::new(&new).err().unwrap_or_default();
        errors.extend(more.into_iter().filter(|one| new_place(one, &errors)).collect::<Vec<_>>());
        return Err(service_kit::invalid_request(errors));
    }
    let runs = state.runs().await?.clone();
    // A task of its own: a caller that hangs up must not leave a run that is recorded but not queued.
    let run =
        tokio::spawn(async move { runs.create(new, key).await }).await.map_err(ApiError::internal)??;
    Ok(accepted(&run))
}

/// List runs
///
/// The newest first. Labels are compared as they are now; a page continues after the last run of the page before, whatever was started or
/// changed in between.
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(RunQuery),
    responses((status = 200, description = "A page of runs.", body = Page<Run>)))]
async fn list_runs(
    State(state): State<AppState>,
    Query(query): Query<RunQuery>,
) -> ApiResult<Json<Page<Run>>> {
    let after = service_kit::cursor(query.cursor.as_deref(), |cursor| cursor.parse::<Uuid>().ok())?;
    let limit = query.limit.unwrap_or(100) as usize;
    let mut runs = state.runs().await?.list(&query, after, limit + 1);
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next_cursor = runs.last().filter(|_| more).map(|run| run.id.to_string());
    Ok(Json(Page { items: runs.iter().map(|run| run.to_wire()).collect(), next_cursor }))
}

/// Get a run
///
/// Its configuration, progress, last checkpoint and, once it has ended, what it leaves.
#[utoipa::path(get, path = "/v1/runs/{id}", tag = "runs",
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, description = "The run as it is now.", body = Run),
        (status = 404, description = "`run_not_found`.")))]
async fn get_run(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<Json<Run>> {
    Ok(Json(state.run(id).await?.to_wire()))
}

/// Cancel a run
///
/// It ends after the current episode, with a checkpoint that another run can resume from; a run that has not started
/// ends at once. A paused run continues to the end of its episode. The ledger has it before the answer: it is carried out
/// also when another trainer plays the run, or claims it later.
#[utoipa::path(post, path = "/v1/runs/{id}/cancel", tag = "runs",
    extensions(("x-scopes" = json!(["operate"]))),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 202, description = "It will end.", body = Run,
            headers(("Location" = String, description = "Where the run is."))),
        (status = 404, description = "`run_not_found`."),
        (status = 409, description = "`run_already_ended`."),
        (status = 503, description = "`remembrancer_unavailable`, `recovering`.")))]
async fn cancel_run(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<Response> {
    let run = state.run(id).await?;
    let (runs, cancelled) = (state.runs().await?.clone(), run.clone());
    // A task of its own: a caller that hangs up must not leave it recorded but not done.
    tokio::spawn(async move { runs.cancel(&cancelled).await }).await.map_err(ApiError::internal)??;
    Ok(accepted(&run))
}

/// Whether nothing is told of this field yet.
fn new_place(error: &api::FieldError, told: &[api::FieldError]) -> bool {
    told.iter().all(|known| known.pointer != error.pointer)
}

/// 202 with where the run is.
pub(super) fn accepted(run: &run::Run) -> Response {
    (StatusCode::ACCEPTED, [(header::LOCATION, format!("/v1/runs/{}", run.id))], Json(run.to_wire()))
        .into_response()
}
