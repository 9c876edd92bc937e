//! An evaluator on a free port, and what it is asked.

use std::time::Duration;

use api::evaluator::{Evaluation, EvaluationStatus};
use policy::{PolicyFile, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Environment, Episode, Reward};
use serde_json::{Value, json};
use test_support::eventually;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running evaluator.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    _stop: DropGuard,
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
    let config =
        SwarmConfig::new("q-learning", &json!({"discount": 0.9, "replay": {"enabled": false}}), 2).unwrap();
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
