use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use api::{
    Hash, Page,
    psi_field::{AgentWindow, SwarmWindow, Window},
    remembrancer::{Artifact, NewRecord, Record, RecordKind, RecordQuery, RecordReceipt},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use psi_field::{Config, build};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

/// A running service on a free port. Dropped, it is as if killed.
pub(crate) struct Service {
    base: String,
    http: reqwest::Client,
    task: tokio::task::JoinHandle<()>,
}

impl Service {
    pub(crate) async fn start(config: Config) -> Self {
        let (address, task) = spawn(build(config).unwrap()).await;
        Self { base: format!("http://{address}"), http: reqwest::Client::new(), task }
    }

    pub(crate) async fn alone() -> Self {
        Self::start(Config::default()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        read(self.http.get(self.url(path))).await
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.http.get(self.url(path)).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> (u16, Value) {
        read(self.http.post(self.url(path)).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.http.put(self.url(path)).json(body)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Posts a window that must be taken.
    pub(crate) async fn window(&self, swarm: &str, window: &Window) -> Value {
        let (status, answer) = self.post(&format!("/v1/swarms/{swarm}/windows"), window).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a stand-in for the remembrancer holds.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) records: Vec<NewRecord>,
    pub(crate) artifacts: BTreeMap<String, Bytes>,
    pub(crate) away: bool,
}

/// A stand-in for the remembrancer that keeps its promise of identity: the same record again is the same, another
/// under its id is refused.
#[derive(Clone, Default)]
pub(crate) struct Remembrancer(Arc<Mutex<Held>>);

impl Remembrancer {
    pub(crate) async fn start() -> (Self, String) {
        let stub = Self::default();
        let app = Router::new()
            .route("/v1/records", post(append).get(list))
            .route("/v1/artifacts/{sha256}", put(store).get(fetch))
            .route("/readyz", get(|| async { Json(serde_json::json!({"ready": true})) }))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn_with_state(stub.clone(), maybe_away))
            .with_state(stub.clone());
        let (address, _) = spawn(app).await;
        (stub, format!("http://{address}"))
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    /// The interventions' records, as `status kind window`.
    pub(crate) fn interventions(&self) -> Vec<String> {
        let held = self.held();
        let records = held.records.iter().filter(|r| r.kind == RecordKind::Intervention);
        records
            .map(|r| {
                let text = |name: &str| r.body[name].to_string().replace('"', "");
                format!("{} {} {}", text("status"), text("kind"), text("issued_at_window"))
            })
            .collect()
    }
}

/// Settings with this remembrancer, which is waited for at most 0.8 s.
pub(crate) fn with(remembrancer: &str) -> Config {
    let mut config = Config { remembrancer_url: Some(remembrancer.into()), ..Config::default() };
    config.http.request_timeout_seconds = 1;
    config
}

/// A swarm's window by its number: always the same, with noise, and with an outage from window 60 to 69.
pub(crate) fn window(number: u64) -> Window {
    let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(number);
    let mut noise = move || -> f64 { StandardNormal.sample(&mut generator) };
    let out = if (60..70).contains(&number) { 1.0 } else { 0.0 };
    let common = noise();
    let agents: Vec<AgentWindow> = (0..5)
        .map(|agent| AgentWindow {
            agent,
            mean_reward: Some(40.0 - 12.0 * out + common + noise()),
            mean_abs_td_error: Some((3.0 + 4.0 * out + 0.2 * noise()).abs()),
            epsilon: 0.1,
            q_table_size: 100,
            decisions: 30,
        })
        .collect();
    let mean_reward = agents.iter().filter_map(|a| a.mean_reward).sum::<f64>() / 5.0;
    Window {
        number,
        repeated: false,
        agents,
        swarm: SwarmWindow {
            fill_rate: Some((0.95 - 0.2 * out + 0.01 * noise()).clamp(0.0, 1.0)),
            gpu_hours_fill: Some((0.9 - 0.2 * out + 0.01 * noise()).clamp(0.0, 1.0)),
            avg_cost: Some(3.0 + 0.8 * out + 0.05 * noise()),
            avg_latency_ms: Some(320.0 + 30.0 * out + 3.0 * noise()),
            mean_reward: Some(mean_reward),
            provider_shares: vec![0.5 - 0.4 * out, 0.3 + 0.2 * out, 0.2 + 0.2 * out],
        },
        acknowledged: Vec::new(),
    }
}

/// Plays a swarm as a trainer does: windows up to `end`, each acknowledging what the answer before it brought.
pub(crate) async fn play(
    service: &Service,
    swarm: &str,
    from: u64,
    end: u64,
    mut acknowledge: Value,
) -> Vec<Value> {
    let mut answers = Vec::new();
    for number in from..end {
        let mut window = window(number);
        window.acknowledged = ids(&acknowledge);
        acknowledge = service.window(swarm, &window).await;
        answers.push(acknowledge.clone());
    }
    answers
}

pub(crate) fn ids(answer: &Value) -> Vec<uuid::Uuid> {
    let interventions = answer["interventions"].as_array().cloned().unwrap_or_default();
    interventions.iter().map(|i| i["id"].as_str().unwrap().parse().unwrap()).collect()
}

async fn spawn(app: Router) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn maybe_away(State(stub): State<Remembrancer>, request: Request, next: Next) -> Response {
    if stub.held().away {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable");
    }
    next.run(request).await
}

async fn append(State(stub): State<Remembrancer>, Json(record): Json<NewRecord>) -> Response {
    let mut held = stub.held();
    let known = held.records.iter().position(|r| r.id == record.id);
    let index = match known {
        Some(index) if held.records[index] == record => index,
        Some(_) => return problem(StatusCode::CONFLICT, "record_conflict"),
        None => {
            held.records.push(record.clone());
            held.records.len() - 1
        }
    };
    let zero = Hash([0; 32]);
    let receipt = RecordReceipt {
        id: record.id.unwrap(),
        log_index: index as u64,
        leaf_hash: zero,
        tree_size: held.records.len() as u64,
        root_hash: zero,
    };
    (StatusCode::CREATED, Json(receipt)).into_response()
}

async fn list(State(stub): State<Remembrancer>, Query(query): Query<RecordQuery>) -> Json<Page<Record>> {
    let held = stub.held();
    let end = query.cursor.map_or(held.records.len(), |cursor| cursor.parse().unwrap());
    assert_eq!(query.newest_first, Some(true));
    // Two a page, so that whoever asks has to turn pages.
    let found: Vec<_> = (0..end)
        .rev()
        .filter(|i| query.kind.is_none_or(|kind| held.records[*i].kind == kind))
        .filter(|i| query.subject.as_ref().is_none_or(|subject| held.records[*i].subject == *subject))
        .take(2)
        .collect();
    let next_cursor = found.last().filter(|_| found.len() == 2).map(ToString::to_string);
    let items = found
        .into_iter()
        .map(|i| {
            let NewRecord { id, kind, subject, body } = held.records[i].clone();
            let recorded_at = "2026-01-01T00:00:00Z".parse().unwrap();
            Record { log_index: i as u64, id: id.unwrap(), kind, subject, recorded_at, body }
        })
        .collect();
    Json(Page { items, next_cursor })
}

async fn store(
    State(stub): State<Remembrancer>,
    Path(sha256): Path<String>,
    content: Bytes,
) -> Json<Artifact> {
    let size_bytes = content.len() as u64;
    stub.held().artifacts.insert(sha256.clone(), content);
    Json(Artifact { sha256: sha256.parse().unwrap(), size_bytes, media_type: "application/json".into() })
}

async fn fetch(State(stub): State<Remembrancer>, Path(sha256): Path<String>) -> Response {
    match stub.held().artifacts.get(&sha256) {
        Some(content) => content.clone().into_response(),
        None => problem(StatusCode::NOT_FOUND, "artifact_not_found"),
    }
}

fn problem(status: StatusCode, code: &str) -> Response {
    let problem = api::Problem {
        kind: format!("/problems/{code}"),
        title: code.into(),
        status: status.as_u16(),
        code: code.into(),
        detail: code.into(),
        ..api::Problem::default()
    };
    (status, [("content-type", "application/problem+json")], Json(problem)).into_response()
}
