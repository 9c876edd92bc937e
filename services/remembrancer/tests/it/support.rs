use api::{
    Hash, Problem,
    remembrancer::{Action, BatchReceipts, Decision},
};
use remembrancer::{Config, build};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service_kit::HttpConfig;
use sqlx::PgPool;
use tempfile::TempDir;
use test_support::TestDatabase;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running remembrancer on a free port.
pub(crate) struct Service {
    pub(crate) url: String,
    client: reqwest::Client,
    _stop: DropGuard,
}

/// A remembrancer with what lasts longer than it: its database and its data folder.
pub(crate) struct Fixture {
    pub(crate) service: Service,
    pub(crate) database: TestDatabase,
    pub(crate) data: TempDir,
}

impl std::ops::Deref for Fixture {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

/// A fresh log.
pub(crate) async fn fixture() -> Fixture {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let service = start(config(database.url(), &data)).await;
    Fixture { service, database, data }
}

impl Fixture {
    /// The same log behind a service that was started again.
    pub(crate) async fn restarted(self) -> Self {
        let Self { service, database, data } = self;
        drop(service);
        let service = start(config(database.url(), &data)).await;
        Self { service, database, data }
    }

    /// The database, past the service.
    pub(crate) async fn sql(&self) -> PgPool {
        PgPool::connect(self.database.url()).await.unwrap()
    }
}

pub(crate) fn config(database_url: &str, data: &TempDir) -> Config {
    Config {
        http: HttpConfig::on_port(0),
        database_url: database_url.into(),
        data_dir: data.path().join("remembrancer"),
        database_connections: 4,
        database_wait_seconds: 1,
        artifact_limit_bytes: 3 << 20,
        ..Config::default()
    }
}

pub(crate) async fn start(config: Config) -> Service {
    let listener = service_kit::listen(&config.http).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (deadlines, shutdown) = (config.http.deadlines(), CancellationToken::new());
    let app = build(config, shutdown.clone()).await.unwrap();
    let stop = shutdown.clone().drop_guard();
    tokio::spawn(service_kit::serve(listener, app, deadlines, shutdown));
    Service { url, client: test_support::http_client(), _stop: stop }
}

impl Service {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> T {
        json_of(self.get(path).await, StatusCode::OK).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Posts a batch that must be taken.
    pub(crate) async fn record(&self, decisions: &[Decision]) -> BatchReceipts {
        let answer = self.post("/v1/decisions", &json!({"decisions": decisions})).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// Posts a body that must be refused.
    pub(crate) async fn refused(&self, path: &str, body: &Value, status: StatusCode) -> Problem {
        json_of(self.post(path, body).await, status).await
    }
}

pub(crate) async fn json_of<T: DeserializeOwned>(answer: Response, status: StatusCode) -> T {
    let (actual, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(actual, status, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn run(number: u8) -> Hash {
    Hash([number; 32])
}

/// A plausible decision; every field differs from one to the next.
pub(crate) fn decision(run: Hash, sequence: u64) -> Decision {
    let routed = !sequence.is_multiple_of(3);
    let noise = (sequence as f64 * 0.618_033_988_749).fract();
    Decision {
        run,
        sequence,
        episode: (sequence / 100) as u32,
        step: (sequence / 10 % 10) as u32,
        agent: (sequence % 7) as u32,
        tenant: ["acme", "globex", "ünïcode \"quoted\""][sequence as usize % 3].into(),
        workload: "fine-tune".into(),
        gpu_type: "H100".into(),
        gpu_hours: 0.1 + noise,
        action: if routed { Action::Route } else { Action::Hold },
        reason: if routed { "ok" } else { "held" }.into(),
        provider: routed.then(|| ["aws", "gcp"][sequence as usize % 2].into()),
        price_usd_per_hour: routed.then_some(2.0 + noise),
        price_assumed: routed && sequence.is_multiple_of(13),
        latency_ms: routed.then_some(30.0 * noise),
        cost_usd: routed.then_some((2.0 + noise) * (0.1 + noise)),
        reward: -noise,
        explored: sequence.is_multiple_of(5),
        propensity: 1.0 - noise,
        value: (!sequence.is_multiple_of(4)).then_some(-0.5 - noise),
        policy_version: sequence / 10,
        deferred: sequence.is_multiple_of(11),
        wait_ms: if sequence.is_multiple_of(11) { 12.5 } else { 0.0 },
        arm: u32::from(sequence.is_multiple_of(13)),
    }
}

pub(crate) fn decisions(run: Hash, sequences: std::ops::Range<u64>) -> Vec<Decision> {
    sequences.map(|sequence| decision(run, sequence)).collect()
}
