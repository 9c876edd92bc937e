//! Records: the same under the same id, and never another.

use std::sync::{Arc, atomic::Ordering};

use api::{
    Hash, Page,
    remembrancer::{FenceQuery, NewRecord, Record, RecordKind, RecordQuery, RecordReceipt},
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use merkle_log::{canonical_json, canonical_leaf_hash};
use records::same_kind;
use uuid::Uuid;

use super::{Ledger, Shared, lock};
use crate::problem;

pub(super) async fn append(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(fence): Query<FenceQuery>,
    Json(new): Json<NewRecord>,
) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let id = new.id.or(key).unwrap_or_else(|| Uuid::now_v7().to_string());
    if lock(&shared.refused_records).as_ref().is_some_and(|ending| id.ends_with(ending)) {
        return problem(422, "invalid_request", format!("The record {id} is refused: a test wants it so."));
    }
    // What comes back is canonical JSON, whose objects are sorted.
    let body = canonical_json(&new.body).expect("a body that came as JSON");
    let body = serde_json::from_slice(&body).expect("canonical JSON is JSON");
    let mut ledger = lock(&shared.ledger);
    if let Err(refusal) = ledger.check(&fence) {
        return refusal;
    }
    let (status, record) = match ledger.records.iter().find(|record| record.id == id) {
        Some(known)
            if same_kind(&known.kind, &new.kind) && known.subject == new.subject && known.body == body =>
        {
            (StatusCode::OK, known.clone())
        }
        Some(_) => {
            return problem(
                409,
                "record_conflict",
                format!("Another record is recorded under the id {id:?}."),
            );
        }
        None => {
            let mut record = Record {
                log_index: 0,
                id,
                kind: new.kind,
                subject: new.subject,
                recorded_at: chrono::Utc::now(),
                body,
            };
            record.log_index = ledger.push(leaf_hash(&record));
            ledger.records.push(record.clone());
            (StatusCode::CREATED, record)
        }
    };
    let leaf_hash = Hash(leaf_hash(&record));
    let (tree_size, root_hash) = (ledger.log.len(), Hash(ledger.log.root()));
    let receipt =
        RecordReceipt { id: record.id, log_index: record.log_index, leaf_hash, tree_size, root_hash };
    (status, Json(receipt)).into_response()
}

pub(super) fn plant(ledger: &mut Ledger, id: &str, kind: &str, subject: &str, body: serde_json::Value) {
    if ledger.records.iter().any(|record| record.id == id) {
        return;
    }
    let serde_json::Value::Object(body) = body else { panic!("a body is an object") };
    let mut record = Record {
        log_index: 0,
        id: id.to_owned(),
        kind: kind.parse().expect("a kind"),
        subject: subject.to_owned(),
        recorded_at: chrono::Utc::now(),
        body,
    };
    record.log_index = ledger.push(leaf_hash(&record));
    ledger.records.push(record);
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match lock(&shared.ledger).records.iter().find(|record| record.id == id) {
        Some(record) => Json(record).into_response(),
        None => problem(404, "record_not_found", format!("There is no record {id:?}.")),
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(query): Query<RecordQuery>) -> Response {
    let ledger = lock(&shared.ledger);
    let newest_first = query.newest_first.unwrap_or(query.q.is_some());
    let place = match query.cursor.as_deref().map(str::parse::<u64>).transpose() {
        Ok(place) => place,
        Err(_) => return problem(422, "invalid_request", "`?cursor` is not `next_cursor` of a page."),
    };
    let after = |record: &Record| match place {
        None => true,
        Some(place) if newest_first => record.log_index < place,
        Some(place) => record.log_index > place,
    };
    let mut found: Vec<_> =
        ledger.records.iter().filter(|record| matches(record, &query, &ledger.records)).collect();
    if newest_first {
        found.reverse();
    }
    let mut items: Vec<Record> = found.into_iter().filter(|record| after(record)).cloned().collect();
    let limit = query.limit.unwrap_or(100) as usize;
    let limit = limit.min(shared.page_size.load(Ordering::SeqCst));
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| last.log_index.to_string());
    Json(Page { items, next_cursor }).into_response()
}

/// Words are looked for as they are, in any order: the real one knows their inflections too.
fn matches(record: &Record, query: &RecordQuery, all: &[Record]) -> bool {
    let without = query.without.iter().flat_map(|kinds| kinds.split(','));
    let mut without = without.filter_map(|kind| kind.parse::<RecordKind>().ok());
    let text =
        || format!("{} {} {}", record.kind, record.subject, serde_json::json!(record.body)).to_lowercase();
    query.kind.as_ref().is_none_or(|kind| kind.includes(&record.kind))
        && query.subject.as_ref().is_none_or(|subject| *subject == record.subject)
        && query.after_log_index.is_none_or(|after| record.log_index > after)
        && without.all(|kind| {
            all.iter().all(|other| other.subject != record.subject || !kind.includes(&other.kind))
        })
        && query.from.is_none_or(|from| record.recorded_at >= from)
        && query.until.is_none_or(|until| record.recorded_at < until)
        && query.q.as_ref().is_none_or(|q| {
            let text = text();
            q.to_lowercase().split_whitespace().all(|word| text.contains(word))
        })
}

fn leaf_hash(record: &Record) -> merkle_log::Hash {
    let mut leaf = serde_json::to_value(record).expect("a record is JSON");
    leaf.as_object_mut().expect("a record is an object").remove("log_index");
    canonical_leaf_hash(&leaf).expect("what came as JSON is canonical JSON too")
}
