//! A remembrancer in memory: identities, conflicts and sequences as in the real one, no proofs.

mod artifacts;
mod decisions;
mod leases;
mod log;
mod records;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use api::{
    Hash,
    remembrancer::{Artifact, Decision, Record},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post, put},
};
use merkle_log::Frontier;
use serde_json::json;

use crate::{Faults, faults::inject, serve};

/// A fake remembrancer on a port of its own.
#[derive(Debug)]
pub struct FakeRemembrancer {
    url: String,
    faults: Arc<Faults>,
    state: Arc<Shared>,
}

/// What its routes work on.
#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// Items a page, at most: few, so that callers have to turn pages.
    page_size: AtomicUsize,
    /// Records whose id ends so are refused.
    refused_records: Mutex<Option<String>>,
}

/// What it remembers.
#[derive(Debug, Default)]
struct Ledger {
    /// Over all leaves, records and decisions in the order of their coming.
    log: Frontier,
    /// The root after each of them.
    roots: Vec<Hash>,
    runs: BTreeMap<Hash, decisions::Run>,
    records: Vec<Record>,
    artifacts: BTreeMap<Hash, (Artifact, Bytes)>,
    leases: BTreeMap<String, leases::Entry>,
    /// The decisions of each batch that came, repetitions included.
    batches: Vec<(usize, Option<Vec<Hash>>)>,
}

impl FakeRemembrancer {
    /// Starts one that remembers nothing yet.
    pub async fn start() -> Self {
        let state = Arc::new(Shared {
            ledger: Mutex::default(),
            page_size: AtomicUsize::new(3),
            refused_records: Mutex::default(),
        });
        let faults = Arc::new(Faults::default());
        let routes = Router::new()
            .route("/readyz", get(async || Json(json!({"ready": true}))))
            .route("/v1/decisions", post(decisions::append).get(decisions::list))
            .route("/v1/log/runs/{digest}", get(decisions::head))
            .route("/v1/log/key", get(log::key))
            .route("/v1/log/checkpoint", get(log::checkpoint))
            .route("/v1/log/proofs/consistency", get(log::consistency))
            .route("/v1/log/evidence", get(decisions::evidence))
            .route("/v1/records", post(records::append).get(records::list))
            .route("/v1/records/{id}", get(records::get))
            .route("/v1/leases", get(leases::list))
            .route("/v1/leases/{name}", get(leases::get))
            .route("/v1/leases/{name}/claim", post(leases::claim))
            .route("/v1/leases/{name}/renew", post(leases::renew))
            .route("/v1/leases/{name}/release", post(leases::release))
            .route("/v1/artifacts/{sha256}", put(artifacts::put).get(artifacts::get))
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn_with_state(faults.clone(), inject))
            .with_state(state.clone());
        let url = format!("http://{}", serve(routes).await);
        Self { url, faults, state }
    }

    /// `http://<address>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Refuses records whose id ends so with 422.
    pub fn refuse_records(&self, ending: &str) {
        *lock(&self.state.refused_records) = Some(ending.to_owned());
    }

    /// How many items a page of a list has at most, whatever is asked for.
    pub fn set_page_size(&self, items: usize) {
        self.state.page_size.store(items, Ordering::SeqCst);
    }

    /// All records, the oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.ledger().records.clone()
    }

    /// The records of a kind, the oldest first.
    #[must_use]
    pub fn records_of(&self, kind: &str) -> Vec<Record> {
        self.ledger().records.iter().filter(|record| record.kind.as_str() == kind).cloned().collect()
    }

    #[must_use]
    pub fn record(&self, id: &str) -> Option<Record> {
        self.ledger().records.iter().find(|record| record.id == id).cloned()
    }

    /// Changes what stands in the ledger, as no caller can.
    pub fn tamper_records(&self, change: impl FnOnce(&mut Vec<Record>)) {
        change(&mut self.ledger().records);
    }

    /// An artifact's content.
    #[must_use]
    pub fn artifact(&self, sha256: Hash) -> Option<Vec<u8>> {
        self.ledger().artifacts.get(&sha256).map(|(_, content)| content.to_vec())
    }

    /// Stores an artifact, as `PUT` does, under its hash.
    pub fn put_artifact(&self, content: &[u8]) -> Hash {
        artifacts::store(&mut self.ledger(), Bytes::copy_from_slice(content), "application/json").sha256
    }

    /// Loses an artifact.
    pub fn forget_artifact(&self, sha256: Hash) {
        self.ledger().artifacts.remove(&sha256);
    }

    /// Lets the time of all leases be over: whoever comes first gets them.
    pub fn run_out_leases(&self) {
        self.ledger().leases.values_mut().for_each(leases::Entry::run_out);
    }

    /// A run's decisions in their order; none of an unknown run.
    #[must_use]
    pub fn decisions(&self, run: Hash) -> Vec<Decision> {
        self.ledger().runs.get(&run).map(|run| run.decisions().to_vec()).unwrap_or_default()
    }

    /// The first sequence that the ledger has of a run.
    ///
    /// # Panics
    /// When it has nothing of the run.
    #[must_use]
    pub fn first_sequence(&self, run: Hash) -> u64 {
        self.ledger().runs[&run].first_sequence()
    }

    /// Of each batch of decisions that came, repetitions included: how many it had, and its frontier.
    #[must_use]
    pub fn batches(&self) -> Vec<(usize, Option<Vec<Hash>>)> {
        self.ledger().batches.clone()
    }

    /// How many decisions came, repetitions included.
    #[must_use]
    pub fn posted(&self) -> u64 {
        self.ledger().batches.iter().map(|(count, _)| *count as u64).sum()
    }

    /// Appends a record of somebody else, unless the id is taken.
    ///
    /// # Panics
    /// The kind is none, or the body is no object.
    pub fn plant_record(&self, id: &str, kind: &str, subject: &str, body: serde_json::Value) {
        records::plant(&mut self.ledger(), id, kind, subject, body);
    }

    /// Writes a decision of somebody else at the end of its run, whatever sequence it has.
    pub fn plant(&self, decision: Decision) {
        let mut ledger = self.ledger();
        let next = ledger.runs.get(&decision.run).map_or(0, decisions::Run::next_sequence);
        ledger.extend(&[Decision { sequence: next, ..decision }], None);
    }

    /// Puts another decision in the place of one that it has, as no caller can.
    pub fn tamper_decision(&self, decision: Decision) {
        if let Some(run) = self.ledger().runs.get_mut(&decision.run) {
            run.replace(decision);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.state.ledger)
    }
}

/// A panic of one test's thread is no reason for another to fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Appends a leaf to the log and gives its index.
    fn push(&mut self, leaf: merkle_log::Hash) -> u64 {
        self.log.push(leaf);
        self.roots.push(Hash(self.log.root()));
        self.log.len() - 1
    }
}
