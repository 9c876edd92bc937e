use api::{
    Page,
    remembrancer::{
        FenceQuery, InvalidRecordKind, NewRecord, Record, RecordKind, RecordQuery, RecordReceipt,
    },
};
use axum::{Extension, extract::State, http::StatusCode};
use service_kit::{ApiResult, IdempotencyKey, Json, Path, Query, Routine};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{leases, page};
use crate::{
    error::{LogError, Result},
    records::{self, Draft, Filter, ListPosition, Order},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(append_record, list_records)).routes(routes!(get_record))
}

/// Append a record
///
/// Its id is the one in the body, else the `Idempotency-Key`, else a new one. The same id with the same content
/// gets the same receipt again.
#[utoipa::path(post, path = "/v1/records", tag = "records",
    request_body(content = NewRecord, example = json!({"id": "deploy-2026-03-01", "kind": "deployment",
        "subject": "component:ai-mesh-training", "body": {"version": "1.4.2", "evidence": "all tests passed"}})),
    params(FenceQuery, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]+$", description = "The record's id when the body has none.")),
    responses(
        (status = 201, description = "Recorded.", body = RecordReceipt),
        (status = 200, description = "It had been recorded before.", body = RecordReceipt),
        (status = 409, description = "`record_conflict`: another record has this id; `lease_lost`: the claim is \
            over. Nothing was written."),
        (status = 413, description = "`body_too_large`."),
        (status = 422, description = "`invalid_request`, with a pointer to each wrong field."),
        (status = 503, description = "`database_unavailable`, `disk_full`: send it again with the same id.")))]
async fn append_record(
    State(state): State<AppState>,
    IdempotencyKey(key): IdempotencyKey,
    Query(fence): Query<FenceQuery>,
    Json(mut record): Json<NewRecord>,
) -> ApiResult<(StatusCode, Json<RecordReceipt>)> {
    let id = match record.id.take() {
        Some(id) => id,
        None => key.unwrap_or_else(|| Uuid::now_v7().to_string()),
    };
    let recorded = state.append_record(Draft::new(record, id)?, leases::fence(fence)?).await?;
    let status = if recorded.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(recorded.receipt)))
}

/// List or search records
///
/// The oldest first, unless `newest_first`. With `q` it is a full-text search in English: every word must be there,
/// in any inflection, in the kind (and what it stands for: `routing decisions` finds the training runs that made
/// them), the subject, or the names and values in the body; of a body above 100 kB only the beginning is searched.
/// The best match comes first, judged by how often and how near to each other the words are, with more weight on kind
/// and subject; of equal matches the newest comes first. `newest_first` with `q` puts the log's order in its place.
#[utoipa::path(get, path = "/v1/records", tag = "records", params(RecordQuery),
    responses(
        (status = 200, description = "A page of records.", body = Page<Record>),
        (status = 422, description = "`invalid_request`: a filter or the cursor is not valid, or `q` has no word \
            that can be looked for."),
        (status = 503, description = "`database_unavailable`.")))]
async fn list_records(
    State(state): State<AppState>,
    Query(query): Query<RecordQuery>,
) -> ApiResult<(Option<Extension<Routine>>, Json<Page<Record>>)> {
    if let (Some(from), Some(until)) = (query.from, query.until)
        && from >= until
    {
        return Err(LogError::invalid("?until", format!("expected a time after `from`, {from}")).into());
    }
    let order = match query.newest_first {
        Some(true) => Order::Newest,
        None if query.q.is_some() => Order::BestMatch,
        Some(false) | None => Order::Oldest,
    };
    let ranked = order == Order::BestMatch;
    let request = page::Request::new(query.limit, query.cursor.as_deref(), ranked)?;
    let after = request
        .after
        .map(|after| ListPosition { rank: after.rank.unwrap_or_default(), log_index: after.log_index });
    let filter = Filter {
        text: query.q,
        kind: query.kind,
        without: kinds(query.without.as_deref().unwrap_or_default())?,
        subject: query.subject,
        from: query.from,
        until: query.until,
        after_log_index: query.after_log_index,
        order,
        after,
    };
    let found = records::list(state.db()?, &filter, request.fetch()).await?;
    let page = request.page(found, |found| page::Cursor {
        log_index: found.place.log_index,
        rank: ranked.then_some(found.place.rank),
    });
    let items = page.items.iter().map(|found| found.record.to_api()).collect::<Result<Vec<_>>>()?;
    // services ask all the time what is new
    let routine = items.is_empty().then_some(Extension(Routine));
    Ok((routine, Json(Page { items, next_cursor: page.next_cursor })))
}

fn kinds(text: &str) -> Result<Vec<RecordKind>> {
    let kinds = text.split(',').filter(|kind| !kind.is_empty()).map(str::parse);
    kinds
        .collect::<std::result::Result<_, InvalidRecordKind>>()
        .map_err(|error| LogError::invalid("?without", error.to_string()))
}

/// Get a record
///
/// As it was appended, with its index in the log.
#[utoipa::path(get, path = "/v1/records/{id}", tag = "records",
    params(("id" = String, Path, description = "The record's id.", example = "deploy-2026-03-01")),
    responses(
        (status = 200, description = "The record.", body = Record),
        (status = 404, description = "`record_not_found`."),
        (status = 503, description = "`database_unavailable`.")))]
async fn get_record(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<Json<Record>> {
    Ok(Json(records::get(state.db()?, &id).await?.to_api()?))
}
