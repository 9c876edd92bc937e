use api::trainer::{EnvironmentTurn, NewEnvironment, NewTurn, PlayedEnvironment};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use service_kit::{ApiResult, Json, Path};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{environments::TurnError, state::AppState};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_environment))
        .routes(routes!(get_environment, delete_environment))
        .routes(routes!(play_turn))
}

/// Create an environment to play
///
/// `n` episodes with the seeds `seed`, `seed` + 1 and so on, for learners of your own. `{}` is a valid one. The answer says
/// what each entry of an observation and each action means, and what is to be decided first. It lives in this trainer's
/// process, is not recorded, and is deleted when it was not used for `idle_seconds`. Its reward is `excess-cost`.
#[utoipa::path(post, path = "/v1/environments", tag = "environments", request_body = NewEnvironment,
    responses(
        (status = 201, description = "Made; `Location` names it.", body = PlayedEnvironment,
            headers(("Location" = String, description = "Where the environment is."))),
        (status = 422, description = "`invalid_request`: each wrong field by its JSON pointer."),
        (status = 429, description = "`too_many_environments`: delete one, or wait until one was idle for too long.")))]
async fn create_environment(
    State(state): State<AppState>,
    Json(new): Json<NewEnvironment>,
) -> ApiResult<Response> {
    let made = state.environments().make(new).await?;
    let location = format!("/v1/environments/{}", made.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(made)).into_response())
}

/// Get an environment
///
/// With what is to be decided in it now: for whoever has lost the answer to a turn.
#[utoipa::path(get, path = "/v1/environments/{id}", tag = "environments",
    params(("id" = Uuid, Path, description = "The environment.")),
    responses(
        (status = 200, description = "The environment.", body = PlayedEnvironment),
        (status = 404, description = "`environment_not_found`.")))]
async fn get_environment(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<PlayedEnvironment>> {
    Ok(Json(state.environments().get(id).await?))
}

/// Delete an environment
///
/// Its episodes end where they are, and there is room for another one.
#[utoipa::path(delete, path = "/v1/environments/{id}", tag = "environments",
    // what a caller made for itself is no matter of operation
    extensions(("x-scopes" = json!(["write"]))),
    params(("id" = Uuid, Path, description = "The environment.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "`environment_not_found`.")))]
async fn delete_environment(State(state): State<AppState>, Path(id): Path<Uuid>) -> ApiResult<StatusCode> {
    if state.environments().delete(id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(TurnError::NotFound(id).into())
}

/// Play a turn
///
/// One choice for each episode, all or none. The answer has what each has earned, and what is to be decided next. An
/// episode that has ended is followed by that of the next seed that no episode here has had.
#[utoipa::path(post, path = "/v1/environments/{id}/turns", tag = "environments", request_body = NewTurn,
    params(("id" = Uuid, Path, description = "The environment.")),
    responses(
        (status = 200, description = "What the choices came to.", body = EnvironmentTurn),
        (status = 404, description = "`environment_not_found`."),
        (status = 409, description = "`another_turn`: the turn was answered before; GET the environment."),
        (status = 422, description = "`invalid_request`: each choice that is not allowed by its JSON pointer; none was \
            played.")))]
async fn play_turn(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Json(turn): Json<NewTurn>,
) -> ApiResult<Json<EnvironmentTurn>> {
    Ok(Json(state.environments().play(id, turn).await?))
}
