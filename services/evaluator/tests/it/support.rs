//! An evaluator on a free port, and what it is asked.

use api::evaluator::{Evaluation, EvaluationStatus};
use policy::{PolicyFile, Swarm, SwarmConfig, Training};
use routing_env::{Environment, Reward};
use serde_json::{Value, json};
use test_support::eventually;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running evaluator.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    _stop: DropGuard,
}

/// Starts an evaluator whose leases last for an hour, so that they end by being given back, or by the test's will.
pub(crate) async fn evaluator(remembrancer_url: &str) -> Service {
    let stop = CancellationToken::new();
    let config = evaluator::Config {
        remembrancer_url: remembrancer_url.into(),
        lease_seconds: 3600,
        ..evaluator::Config::default()
    };
    let app = evaluator::build(config, stop.clone()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(service_kit::serve(listener, app, service_kit::Deadlines::default(), stop.clone()));
    Service { url, http: test_support::http_client(), _stop: stop.drop_guard() }
}

/// An evaluator in a runtime of its own, which ends as a killed process does: nothing is said, nothing given back.
pub(crate) struct Killable {
    runtime: Option<tokio::runtime::Runtime>,
    service: Service,
}

impl Killable {
    pub(crate) async fn start(remembrancer_url: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = remembrancer_url.to_owned();
        let service = runtime.spawn(async move { evaluator(&url).await }).await.unwrap();
        Self { runtime: Some(runtime), service }
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // a runtime may not be dropped within another
        }
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        self.end();
    }
}

impl Service {
    /// The figure of a metric, all labels together.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let figures = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        figures.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// An evaluation once this service works on it.
    pub(crate) async fn under_way(&self, id: uuid::Uuid) -> Evaluation {
        eventually("the evaluation is under way", async || {
            let evaluation: Evaluation =
                self.get(&format!("/v1/evaluations/{id}")).await.json().await.unwrap();
            if evaluation.episodes_done > 0 { Ok(evaluation) } else { Err(evaluation) }
        })
        .await
    }

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
        eventually("the evaluation has ended", async || {
            let evaluation: Evaluation =
                self.get(&format!("/v1/evaluations/{id}")).await.json().await.unwrap();
            let running = evaluation.status == EvaluationStatus::Running;
            if running { Err(evaluation) } else { Ok(evaluation) }
        })
        .await
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
    let settings = json!({"discount": 0.9, "replay": {"enabled": false}});
    policy_file_of("q-learning", &settings, environment, first_seed)
}

/// The same of another algorithm.
pub(crate) fn policy_file_of(
    algorithm: &str,
    settings: &Value,
    environment: &Environment,
    first_seed: u64,
) -> PolicyFile {
    let config = SwarmConfig::new(algorithm, settings, 2).unwrap();
    let mut swarm = Swarm::new(config, environment).unwrap();
    swarm.play(environment, first_seed, Reward::EXCESS_COST);
    let training = Training {
        preset: environment.preset().name().into(),
        reward: "excess-cost".into(),
        preference: None,
        prior: None,
        first_seed,
        episodes: 1,
        decisions: 1,
    };
    PolicyFile::new(&swarm, environment, training)
}
