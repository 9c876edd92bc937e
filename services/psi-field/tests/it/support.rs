//! A psi-field in process, and the windows that it is told.

use std::collections::BTreeMap;

use api::psi_field::{AgentWindow, SwarmWindow, Window};
use psi_field::{Config, build};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;
use test_support::FakeRemembrancer;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running service on a free port. Dropped, it is as if killed.
pub(crate) struct Service {
    base: String,
    http: reqwest::Client,
    task: tokio::task::JoinHandle<()>,
    _stop: DropGuard,
}

impl Service {
    pub(crate) async fn start(config: Config) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let app = build(config, stop.clone()).await.unwrap();
        let served = service_kit::serve(listener, app, service_kit::Deadlines::default(), stop.clone());
        let task = tokio::spawn(async move { served.await.unwrap() });
        Self { base, http: test_support::http_client(), task, _stop: stop.drop_guard() }
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

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        read(self.http.delete(self.url(path))).await
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

/// The interventions that a ledger has, as `status kind window`.
pub(crate) fn interventions(ledger: &FakeRemembrancer) -> Vec<String> {
    let records = ledger.records_of("intervention").into_iter();
    records
        .map(|record| {
            let text = |name: &str| record.body[name].to_string().replace('"', "");
            format!("{} {} {}", text("status"), text("kind"), text("issued_at_window"))
        })
        .collect()
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
        time: None,
        channels: BTreeMap::new(),
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
        trials: Vec::new(),
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

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
