//! A remembrancer in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use api::{
    Hash, Page,
    remembrancer::{
        Artifact, BatchReceipts, Decision, DecisionBatch, Evidence, LeafQuery, NewRecord, Receipt, Record,
        RecordQuery, RecordReceipt, RunHead,
    },
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use merkle_log::{Frontier, canonical_leaf_hash};
use trainer::digest::sha256;

use super::problem;

#[derive(Default)]
pub(crate) struct LedgerStub {
    inner: Mutex<Inner>,
    /// Answers 503 to everything.
    pub(crate) away: AtomicBool,
    /// After so many calls it goes away (0: never).
    pub(crate) away_after_calls: AtomicU64,
    /// Refuses records whose id ends so.
    pub(crate) refuse_records: Mutex<Option<String>>,
    calls: AtomicU64,
}

#[derive(Default)]
struct Inner {
    runs: BTreeMap<Hash, RunLog>,
    records: Vec<Record>,
    artifacts: BTreeMap<Hash, Vec<u8>>,
    posted: u64,
}

/// A run's decisions on this log.
struct RunLog {
    first_sequence: u64,
    decisions: Vec<Decision>,
    frontier: Frontier,
}

impl LedgerStub {
    pub(crate) fn decisions(&self, run: Hash) -> Vec<Decision> {
        self.inner.lock().unwrap().runs.get(&run).map(|log| log.decisions.clone()).unwrap_or_default()
    }

    pub(crate) fn first_sequence(&self, run: Hash) -> u64 {
        self.inner.lock().unwrap().runs[&run].first_sequence
    }

    /// Decisions that were posted, repetitions included.
    pub(crate) fn posted(&self) -> u64 {
        self.inner.lock().unwrap().posted
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.inner.lock().unwrap().records.clone()
    }

    pub(crate) fn record(&self, id: &str) -> Option<Record> {
        self.records().into_iter().find(|record| record.id == id)
    }

    pub(crate) fn artifact(&self, name: Hash) -> Option<Vec<u8>> {
        self.inner.lock().unwrap().artifacts.get(&name).cloned()
    }

    pub(crate) fn forget_artifact(&self, name: Hash) {
        self.inner.lock().unwrap().artifacts.remove(&name);
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> Hash {
        let name = sha256(bytes);
        self.inner.lock().unwrap().artifacts.insert(name, bytes.to_vec());
        name
    }

    /// Writes a decision of somebody else under a run's identity.
    pub(crate) fn plant(&self, decision: Decision) {
        let mut frontier = Frontier::new();
        frontier.push(canonical_leaf_hash(&decision).unwrap());
        let log = RunLog { first_sequence: 0, decisions: vec![decision.clone()], frontier };
        self.inner.lock().unwrap().runs.insert(decision.run, log);
    }

    /// Writes somebody else's decision at the end of a run.
    pub(crate) fn append(&self, run: Hash, decision: Decision) {
        let mut inner = self.inner.lock().unwrap();
        let log = inner.runs.get_mut(&run).unwrap();
        let decision = Decision { sequence: log.frontier.len(), ..decision };
        log.frontier.push(canonical_leaf_hash(&decision).unwrap());
        log.decisions.push(decision);
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away_after_calls.store(0, Ordering::SeqCst);
        self.away.store(away, Ordering::SeqCst);
    }

    pub(crate) fn goes_away_after(&self, calls: u64) {
        self.away_after_calls.store(self.calls.load(Ordering::SeqCst) + calls, Ordering::SeqCst);
    }

    pub(crate) fn is_away(&self) -> bool {
        let after = self.away_after_calls.load(Ordering::SeqCst);
        self.away.load(Ordering::SeqCst) || (after > 0 && self.calls.load(Ordering::SeqCst) > after)
    }
}

type Stub = State<Arc<LedgerStub>>;

pub(crate) fn router(stub: Arc<LedgerStub>) -> Router {
    Router::new()
        .route("/v1/decisions", post(post_decisions))
        .route("/v1/log/runs/{digest}", get(run_head))
        .route("/v1/records", post(post_record).get(list_records))
        .route("/v1/records/{id}", get(get_record))
        .route("/v1/log/evidence", get(evidence))
        .route("/v1/artifacts/{name}", put(put_artifact).get(get_artifact))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(stub.clone(), availability))
        .with_state(stub)
}

async fn availability(State(stub): Stub, request: Request, next: Next) -> Response {
    stub.calls.fetch_add(1, Ordering::SeqCst);
    if stub.is_away() {
        return problem(503, "away", "The ledger is away.");
    }
    next.run(request).await
}

async fn post_decisions(State(stub): Stub, Json(batch): Json<DecisionBatch>) -> Response {
    let mut inner = stub.inner.lock().unwrap();
    inner.posted += batch.decisions.len() as u64;
    let first = &batch.decisions[0];
    let (run, first_sequence, count) = (first.run, first.sequence, batch.decisions.len() as u64);
    let log = match (&batch.frontier, inner.runs.contains_key(&run)) {
        (Some(hashes), false) => {
            let hashes = hashes.iter().map(|hash| hash.0).collect();
            let frontier = Frontier::from_parts(first_sequence, hashes).unwrap();
            inner.runs.entry(run).or_insert(RunLog { first_sequence, decisions: vec![], frontier })
        }
        _ => inner.runs.entry(run).or_insert(RunLog {
            first_sequence: 0,
            decisions: vec![],
            frontier: Frontier::new(),
        }),
    };
    let mut recorded = 0;
    for decision in batch.decisions {
        let next = log.first_sequence + log.decisions.len() as u64;
        match decision.sequence {
            sequence if sequence > next => {
                return problem(409, "sequence_gap", format!("expected sequence {next}"));
            }
            sequence if sequence == next => {
                log.frontier.push(canonical_leaf_hash(&decision).unwrap());
                log.decisions.push(decision);
                recorded += 1;
            }
            sequence => {
                if sequence >= log.first_sequence
                    && log.decisions[(sequence - log.first_sequence) as usize] != decision
                {
                    return problem(409, "decision_conflict", format!("sequence {sequence} is another"));
                }
            }
        }
    }
    let receipt = Receipt {
        run,
        first_sequence,
        count,
        first_log_index: first_sequence,
        tree_size: 0,
        root_hash: Hash([0; 32]),
    };
    Json(BatchReceipts { recorded, receipts: vec![receipt] }).into_response()
}

async fn run_head(State(stub): Stub, Path(digest): Path<String>) -> Response {
    let inner = stub.inner.lock().unwrap();
    let run: Hash = digest.parse().unwrap();
    match inner.runs.get(&run) {
        None => problem(404, "run_not_found", "no such run"),
        Some(log) => Json(RunHead {
            run,
            first_sequence: log.first_sequence,
            next_sequence: log.frontier.len(),
            run_root: Hash(log.frontier.root()),
        })
        .into_response(),
    }
}

async fn post_record(State(stub): Stub, Json(new): Json<NewRecord>) -> Response {
    let id = new.id.unwrap();
    if stub.refuse_records.lock().unwrap().as_ref().is_some_and(|end| id.ends_with(end)) {
        return problem(422, "invalid_request", "refused");
    }
    let mut inner = stub.inner.lock().unwrap();
    // As from the real one: what comes back is canonical JSON, whose objects are sorted.
    let body = merkle_log::canonical_json(&new.body).unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    let there = inner.records.iter().position(|record| record.id == id);
    let log_index = match there {
        Some(index) if inner.records[index].body != body => {
            return problem(409, "record_conflict", format!("{id} is another"));
        }
        Some(index) => index as u64,
        None => {
            let log_index = inner.records.len() as u64;
            let recorded_at = chrono::Utc::now();
            let record =
                Record { log_index, id: id.clone(), kind: new.kind, subject: new.subject, recorded_at, body };
            inner.records.push(record);
            log_index
        }
    };
    let receipt =
        RecordReceipt { id, log_index, leaf_hash: Hash([0; 32]), tree_size: 0, root_hash: Hash([0; 32]) };
    Json(receipt).into_response()
}

async fn get_record(State(stub): Stub, Path(id): Path<String>) -> Response {
    match stub.record(&id) {
        Some(record) => Json(record).into_response(),
        None => problem(404, "record_not_found", "no such record"),
    }
}

/// Of a decision, without a proof.
async fn evidence(State(stub): Stub, Query(leaf): Query<LeafQuery>) -> Response {
    let (run, sequence) = (leaf.run.unwrap(), leaf.sequence.unwrap());
    let Some(decision) = stub.decisions(run).into_iter().find(|d| d.sequence == sequence) else {
        return problem(404, "decision_not_found", "no such decision");
    };
    let record = serde_json::value::to_raw_value(&decision).unwrap();
    let (inclusion_path, checkpoint, verifier_key) = (vec![], String::new(), String::new());
    Json(Evidence { record, log_index: sequence, inclusion_path, checkpoint, verifier_key }).into_response()
}

/// In pages of three, so that callers have to turn them.
async fn list_records(State(stub): Stub, Query(query): Query<RecordQuery>) -> Json<Page<Record>> {
    let from: usize = query.cursor.map_or(0, |cursor| cursor.parse().unwrap());
    let mut records = stub.records();
    if query.newest_first == Some(true) {
        records.reverse();
    }
    let items: Vec<_> = records
        .iter()
        .filter(|r| query.kind.is_none_or(|k| k == r.kind))
        .filter(|r| query.subject.as_ref().is_none_or(|subject| *subject == r.subject))
        .skip(from)
        .take(3)
        .cloned()
        .collect();
    let next_cursor = (items.len() == 3).then(|| (from + 3).to_string());
    Json(Page { items, next_cursor })
}

async fn put_artifact(State(stub): Stub, Path(name): Path<String>, bytes: Bytes) -> Response {
    let sha256 = stub.put(&bytes);
    if sha256.to_string() != name {
        return problem(422, "hash_mismatch", "another content");
    }
    let (size_bytes, media_type) = (bytes.len() as u64, "application/json".to_owned());
    Json(Artifact { sha256, size_bytes, media_type }).into_response()
}

async fn get_artifact(State(stub): Stub, Path(name): Path<String>) -> Response {
    match stub.artifact(name.parse().unwrap()) {
        Some(bytes) => bytes.into_response(),
        None => problem(404, "artifact_not_found", "no such artifact"),
    }
}
