use api::{
    Page,
    psi_field::{Window, WindowAnswer, WindowQuery},
};
use axum::{Extension, extract::State};
use service_kit::{ApiResult, Json, Path, Query, Routine};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SwarmId;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(post_window, list_windows))
}

/// Post a window
///
/// Windows come in order, from 0 without gaps. The same window again gets the answer that it got before, as long
/// as that is kept: since the checkpoint before the last one.
#[utoipa::path(post, path = "/v1/swarms/{id}/windows", tag = "windows",
    params(SwarmId),
    request_body(content = Window, example = json!({
        "number": 0,
        "agents": [
            {"agent": 0, "mean_reward": 41.2, "mean_abs_td_error": 3.1, "epsilon": 0.1, "q_table_size": 120, "decisions": 29},
            {"agent": 1, "mean_reward": 39.8, "mean_abs_td_error": 2.9, "epsilon": 0.1, "q_table_size": 118, "decisions": 28}
        ],
        "swarm": {"fill_rate": 0.96, "gpu_hours_fill": 0.9, "avg_cost": 3.02, "avg_latency_ms": 318.0, "mean_reward": 40.5,
            "provider_shares": [0.4, 0.35, 0.25]}
    })),
    responses(
        (status = 200, description = "The field after the window, and what the swarm is to do.", body = WindowAnswer),
        (status = 409, description = "`window_gap`: windows before it are missing. `window_conflict`: another body came \
            under its number. `detail` and `errors` say which number is expected. `record_conflict`: the ledger has \
            another past of this swarm. `swarm_ended`: nobody expected it any more."),
        (status = 410, description = "`swarm_deleted`: it begins anew with window 0."),
        (status = 413, description = "`body_too_large`."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field; an agent twice is one. \
            `unknown_intervention`: what is acknowledged was never issued."),
        (status = 429, description = "`too_many_swarms`."),
        (status = 503, description = "`remembrancer_unavailable`: the window was not taken; send it again.")))]
async fn post_window(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
    Json(window): Json<Window>,
) -> ApiResult<(Extension<Routine>, Json<WindowAnswer>)> {
    Ok((Extension(Routine), Json(state.take(&id, &window).await?)))
}

/// List answers
///
/// Those that are kept, oldest first. `next_cursor` is the `from` of the next page.
#[utoipa::path(get, path = "/v1/swarms/{id}/windows", tag = "windows",
    params(SwarmId, WindowQuery),
    responses(
        (status = 200, description = "A page of answers.", body = Page<WindowAnswer>),
        (status = 404, description = "`swarm_not_found`."),
        (status = 410, description = "`swarm_deleted`."),
        (status = 422, description = "`invalid_request`.")))]
async fn list_windows(
    State(state): State<AppState>,
    Path(SwarmId(id)): Path<SwarmId>,
    Query(query): Query<WindowQuery>,
) -> ApiResult<Json<Page<WindowAnswer>>> {
    let length = query.limit.unwrap_or(100) as usize;
    let swarm = state.swarm(&id).await?;
    let mut answers = swarm.answers(query.from.unwrap_or(0));
    let items: Vec<WindowAnswer> = answers.by_ref().take(length).cloned().collect();
    let next_cursor = answers.next().map(|answer| answer.window.to_string());
    Ok(Json(Page { items, next_cursor }))
}
