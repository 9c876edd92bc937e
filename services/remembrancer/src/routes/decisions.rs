use api::{
    Hash, Page,
    remembrancer::{
        BatchReceipts, DecisionBatch, DecisionExportQuery, DecisionQuery, DeletedDecisions, DeletionQuery,
        FenceQuery, RecordedDecision, RunHead,
    },
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use service_kit::{ApiResult, Json, Lines, Path, Query, Routine};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{export, leases, page};
use crate::{
    decisions::{self, Batch, Filter, Wish},
    error::LogError,
    state::AppState,
};

pub(super) fn routes(body_limit: usize) -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(
            OpenApiRouter::new().routes(routes!(record_decisions)).layer(service_kit::body_limit(body_limit)),
        )
        .routes(routes!(list_decisions))
        .routes(routes!(get_decisions_csv))
        .routes(routes!(get_decisions_ndjson))
        .routes(routes!(get_run_head))
        .routes(routes!(delete_decisions))
}

/// Record decisions
///
/// All decisions of the batch are recorded, or none. Sending the same decisions again, also cut into other
/// batches, gets the receipts of the first time. When the answer says that they are recorded they are on disk,
/// and can be proved.
#[utoipa::path(post, path = "/v1/decisions", tag = "decisions", params(FenceQuery),
    request_body(content = DecisionBatch, example = json!({"decisions": [{
        "run": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "sequence": 0, "episode": 0,
        "step": 0, "agent": 3, "tenant": "acme", "workload": "fine-tune", "gpu_type": "H100", "gpu_hours": 2.5,
        "action": "route", "reason": "ok", "provider": "aws", "price_usd_per_hour": 4.1, "latency_ms": 31.5,
        "cost_usd": 10.25, "reward": -0.12, "explored": false, "propensity": 0.91, "value": -0.2,
        "policy_version": 0, "deferred": false, "wait_ms": 0.0}]})),
    responses(
        (status = 201, description = "Recorded; what had been recorded before is not recorded twice.", body = BatchReceipts),
        (status = 200, description = "All of it had been recorded before.", body = BatchReceipts),
        (status = 409, description = "`decision_conflict`: another decision has this identity; `sequence_gap`: \
            decisions before these are missing; `frontier_mismatch`, `sequence_before_start`; `lease_lost`: the claim is \
            over; `lease_required`: the run is recorded under a lease. Nothing was written."),
        (status = 413, description = "`body_too_large`."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field."),
        (status = 503, description = "`database_unavailable`, `disk_full`: send it again.")))]
async fn record_decisions(
    State(state): State<AppState>,
    Query(fence): Query<FenceQuery>,
    Json(batch): Json<DecisionBatch>,
) -> ApiResult<(StatusCode, Extension<Routine>, Json<BatchReceipts>)> {
    let receipts = state.append_decisions(Batch::new(batch)?, leases::fence(fence)?).await?;
    let status = if receipts.recorded > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Extension(Routine), Json(receipts)))
}

/// List decisions
///
/// In the log's order, which within a run is that of its sequence numbers. With `format` or `Accept` all that matches can
/// be had as a stream here too, as `/v1/decisions.csv` and `/v1/decisions.ndjson` give it.
#[utoipa::path(get, path = "/v1/decisions", tag = "decisions", params(DecisionQuery),
    responses(
        (status = 200, description = "A page of decisions with their log indexes.", body = Page<RecordedDecision>),
        (status = 422, description = "`invalid_request`: a filter or the cursor is not valid."),
        (status = 503, description = "`database_unavailable`.")))]
async fn list_decisions(
    State(state): State<AppState>,
    Query(query): Query<DecisionQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let format = Lines::asked(query.format, &headers);
    if let Some(format) = format {
        export::check(&query)?;
        return all(&state, query, format).await;
    }
    let request = page::Request::new(query.limit, query.cursor.as_deref(), false)?;
    let filter = filter(query, request.after.map_or(0, |after| after.log_index + 1));
    let rows = decisions::list(state.db()?, &filter, request.fetch()).await?;
    let items = rows.into_iter().map(decisions::Row::into_api);
    Ok(Json(request.page(items.collect(), |item| item.log_index.into())).into_response())
}

/// Get decisions as CSV
///
/// All that match as of the call, in the log's order, read from the database as fast as they are taken: a header, then
/// whole lines, in which an absent value is an empty field. A stream that cannot be ended, and one of which nothing is
/// taken for a minute, breaks off without the end that HTTP asks for.
#[utoipa::path(get, path = "/v1/decisions.csv", tag = "decisions", params(DecisionExportQuery),
    responses(
        (status = 200, description = "The decisions.", body = String, content_type = "text/csv"),
        (status = 422, description = "`invalid_request`: a filter is not valid."),
        (status = 503, description = "`database_unavailable`; `overloaded`: the highest number of concurrent exports is reached.")))]
async fn get_decisions_csv(
    State(state): State<AppState>,
    Query(query): Query<DecisionExportQuery>,
) -> ApiResult<Response> {
    all(&state, query.into(), Lines::Csv).await
}

/// Get decisions as lines of JSON
///
/// All that match as of the call, in the log's order, read from the database as fast as they are taken: each is a JSON
/// object on a line of its own. A stream that cannot be ended, and one of which nothing is taken for a minute, breaks off
/// without the end that HTTP asks for.
#[utoipa::path(get, path = "/v1/decisions.ndjson", tag = "decisions", params(DecisionExportQuery),
    responses(
        (status = 200, description = "The decisions.", body = RecordedDecision, content_type = "application/x-ndjson"),
        (status = 422, description = "`invalid_request`: a filter is not valid."),
        (status = 503, description = "`database_unavailable`; `overloaded`: the highest number of concurrent exports is reached.")))]
async fn get_decisions_ndjson(
    State(state): State<AppState>,
    Query(query): Query<DecisionExportQuery>,
) -> ApiResult<Response> {
    all(&state, query.into(), Lines::Ndjson).await
}

async fn all(state: &AppState, query: DecisionQuery, lines: Lines) -> ApiResult<Response> {
    let permit = state.begin_export()?;
    export::stream(state.db()?, &filter(query, 0), lines, permit).await
}

/// Get a run's head
///
/// How far the run's decisions are recorded here, and the Merkle root over all of them.
#[utoipa::path(get, path = "/v1/log/runs/{digest}", tag = "log",
    params(("digest" = Hash, Path, description = "The run's digest.",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")),
    responses(
        (status = 200, description = "The run's head.", body = RunHead),
        (status = 404, description = "`run_not_found`: no decision of it is recorded here."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_run_head(State(state): State<AppState>, Path(digest): Path<Hash>) -> ApiResult<Json<RunHead>> {
    Ok(Json(decisions::run_head(state.db()?, digest).await?))
}

/// Delete a run's decisions
///
/// Of a training run that has ended, as all others with its digest have: what its decisions say is gone for good, and the room
/// on the disk is given back soon after. Their hashes stay, so that the log's and the run's roots, every checkpoint and every
/// proof of what remains are as before; a record says who deleted them, when, and why. Whoever records the same decisions
/// again brings them back.
#[utoipa::path(delete, path = "/v1/log/runs/{digest}/decisions", tag = "decisions",
    params(("digest" = Hash, Path, description = "The run's digest.",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"), DeletionQuery),
    responses(
        (status = 200, description = "They are deleted, now or before.", body = DeletedDecisions),
        (status = 404, description = "`run_not_found`: no decision of it is recorded here."),
        (status = 409, description = "`run_not_ended`: a run with this digest has not ended, or it is none of a training run."),
        (status = 422, description = "`invalid_request`: the reason is missing or too long."),
        (status = 503, description = "`database_unavailable`, `disk_full`: send it again.")))]
async fn delete_decisions(
    State(state): State<AppState>,
    Path(run): Path<Hash>,
    Query(DeletionQuery { reason, by }): Query<DeletionQuery>,
) -> ApiResult<Json<DeletedDecisions>> {
    for (pointer, text) in [("?reason", Some(&reason)), ("?by", by.as_ref())] {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(LogError::invalid(pointer, "expected text without NUL characters").into());
        }
    }
    Ok(Json(state.delete_decisions(Wish { run, reason, by }).await?))
}

fn filter(query: DecisionQuery, from_index: u64) -> Filter {
    Filter {
        run: query.run,
        episode: query.episode,
        step: query.step,
        agent: query.agent,
        tenant: query.tenant,
        provider: query.provider,
        action: query.action,
        from_sequence: query.from_sequence,
        from_index,
    }
}
