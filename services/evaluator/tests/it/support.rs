//! An evaluator on a free port, and a stand-in for the remembrancer that keeps everything in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    Hash, Page,
    evaluator::{Evaluation, EvaluationStatus},
    remembrancer::{NewRecord, Record, RecordKind, RecordReceipt},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use policy::{PolicyFile, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Environment, Episode, Reward};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the stand-in remembers.
#[derive(Default)]
pub(crate) struct Stub {
    pub(crate) artifacts: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) records: Mutex<Vec<Record>>,
    /// While true it answers 503.
    pub(crate) away: AtomicBool,
    /// Records that it refused because it was away.
    pub(crate) refused: AtomicUsize,
}

impl Stub {
    /// Stores an artifact as `PUT` would.
    pub(crate) fn put(&self, content: Vec<u8>) -> Hash {
        let hash = Hash(Sha256::digest(&content).into());
        self.artifacts.lock().unwrap().insert(hash.to_string(), content);
        hash
    }

    /// The records of a kind, the oldest first.
    pub(crate) fn of_kind(&self, kind: RecordKind) -> Vec<Record> {
        self.records.lock().unwrap().iter().filter(|record| record.kind == kind).cloned().collect()
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

/// A running evaluator.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    _stop: DropGuard,
}

/// Starts the stand-in; it lives as long as the test.
pub(crate) async fn remembrancer() -> (Arc<Stub>, String) {
    let stub = Arc::new(Stub::default());
    let app = Router::new()
        .route("/readyz", get(async |State(stub): State<Arc<Stub>>| ready(&stub)))
        .route("/v1/artifacts/{sha256}", get(artifact))
        .route("/v1/records", post(append).get(list))
        .route("/v1/records/{id}", get(record))
        .with_state(stub.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (stub, url)
}

/// Starts an evaluator.
pub(crate) async fn evaluator(remembrancer_url: &str) -> Service {
    let stop = CancellationToken::new();
    let config =
        evaluator::Config { remembrancer_url: remembrancer_url.into(), ..evaluator::Config::default() };
    let app = evaluator::build(config, stop.clone()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(service_kit::serve(listener, app, Duration::from_secs(1), stop.clone()));
    Service { url, http: reqwest::Client::new(), _stop: stop.drop_guard() }
}

impl Service {
    pub(crate) async fn post(&self, body: &Value, key: Option<&str>) -> reqwest::Response {
        let mut request = self.http.post(format!("{}/v1/evaluations", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.unwrap()
    }

    /// Posts an evaluation that must be accepted.
    pub(crate) async fn accepted(&self, body: &Value) -> Evaluation {
        let answer = self.post(body, None).await;
        assert_eq!(answer.status(), 202);
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let evaluation: Evaluation = answer.json().await.unwrap();
        assert_eq!(location, format!("/v1/evaluations/{}", evaluation.id));
        evaluation
    }

    /// Posts an evaluation that must be refused: its status and problem.
    pub(crate) async fn refused(&self, body: &Value) -> (u16, api::Problem) {
        let answer = self.post(body, None).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// The evaluation once it has ended.
    pub(crate) async fn ended(&self, id: uuid::Uuid) -> Evaluation {
        for _ in 0..600 {
            let evaluation: Evaluation =
                self.get(&format!("/v1/evaluations/{id}")).await.json().await.unwrap();
            if evaluation.status != EvaluationStatus::Running {
                return evaluation;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("evaluation {id} did not end within 30 s");
    }

    /// Posts an evaluation and waits for its result.
    pub(crate) async fn completed(&self, body: &Value) -> Evaluation {
        let id = self.accepted(body).await.id;
        let evaluation = self.ended(id).await;
        assert_eq!(evaluation.status, EvaluationStatus::Completed, "{:?}", evaluation.error);
        evaluation
    }
}

/// A small policy, trained for one short episode.
pub(crate) fn policy_file(environment: &Environment, first_seed: u64) -> PolicyFile {
    let config = SwarmConfig {
        algorithm: "q-learning".into(),
        agents: 2,
        learning_rate: 0.1,
        discount: 0.9,
        epsilon: 0.1,
        replay: None,
        feasibility_mask: true,
        merge_every: 0,
    };
    let mut swarm = Swarm::new(config, environment).unwrap();
    let mut episode = Episode::new(environment, first_seed, Reward::EXCESS_COST);
    let mut report = StepReport::new(environment);
    swarm.begin_episode(first_seed);
    while swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {}
    swarm.end_episode();
    let training = Training {
        preset: environment.preset().name().into(),
        reward: "excess-cost".into(),
        first_seed,
        episodes: 1,
        decisions: 1,
    };
    PolicyFile::new(&swarm, environment, training)
}

fn ready(stub: &Stub) -> StatusCode {
    if stub.is_away() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn artifact(State(stub): State<Arc<Stub>>, Path(sha256): Path<String>) -> Response {
    if stub.is_away() {
        return problem(503);
    }
    match stub.artifacts.lock().unwrap().get(&sha256) {
        Some(content) => content.clone().into_response(),
        None => problem(404),
    }
}

async fn append(State(stub): State<Arc<Stub>>, body: Bytes) -> Response {
    if stub.is_away() {
        stub.refused.fetch_add(1, Ordering::Relaxed);
        return problem(503);
    }
    let new: NewRecord = serde_json::from_slice(&body).unwrap();
    let id = new.id.expect("the evaluator names its records");
    let mut records = stub.records.lock().unwrap();
    let log_index = match records.iter().find(|r| r.id == id) {
        Some(known) if known.body == new.body => known.log_index,
        Some(_) => return problem(409),
        None => {
            let log_index = records.len() as u64;
            let (kind, subject, recorded_at) = (new.kind, new.subject, chrono::Utc::now());
            records.push(Record { log_index, id: id.clone(), kind, subject, recorded_at, body: new.body });
            log_index
        }
    };
    let hash = Hash([0; 32]);
    let receipt = RecordReceipt { id, log_index, leaf_hash: hash, tree_size: log_index + 1, root_hash: hash };
    Json(receipt).into_response()
}

async fn record(State(stub): State<Arc<Stub>>, Path(id): Path<String>) -> Response {
    match stub.records.lock().unwrap().iter().find(|r| r.id == id) {
        Some(record) => Json(record).into_response(),
        None => problem(404),
    }
}

/// All evaluations, the newest first: as much of the query as the tests need.
async fn list(State(stub): State<Arc<Stub>>) -> Response {
    if stub.is_away() {
        return problem(503);
    }
    let items = stub.of_kind(RecordKind::Evaluation).into_iter().rev().collect();
    Json(Page::<Record> { items, next_cursor: None }).into_response()
}

fn problem(status: u16) -> Response {
    let problem = api::Problem { status, code: "stub".into(), ..api::Problem::default() };
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/problem+json")], serde_json::to_vec(&problem).unwrap())
        .into_response()
}
