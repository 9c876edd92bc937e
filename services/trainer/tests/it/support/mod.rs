//! A trainer in process, between a remembrancer and a psi-field that are small stand-ins with the same
//! rules: they refuse gaps and conflicts, and can go away, forget and move on.

pub(crate) mod field;
pub(crate) mod ledger;

use std::{sync::Arc, time::Duration};

use api::{
    Problem,
    trainer::{NewRun, Run, RunStatus},
};
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use client::{Endpoint, Trainer};
use service_kit::HttpConfig;
use tokio_util::sync::CancellationToken;
use trainer::Config;
use uuid::Uuid;

use self::{field::FieldStub, ledger::LedgerStub};

/// The three of them.
pub(crate) struct Stack {
    pub(crate) ledger: Arc<LedgerStub>,
    pub(crate) field: Arc<FieldStub>,
    ledger_url: String,
    field_url: String,
    pub(crate) max_concurrent_runs: usize,
    trainer: Option<Running>,
}

struct Running {
    url: String,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let mut stack = Self::without_trainer().await;
        stack.start_trainer().await;
        stack.ready().await;
        stack
    }

    pub(crate) async fn without_trainer() -> Self {
        let (ledger, field) = (Arc::new(LedgerStub::default()), Arc::new(FieldStub::default()));
        let ledger_url = listen(ledger::router(ledger.clone())).await;
        let field_url = listen(field::router(field.clone())).await;
        Self { ledger, field, ledger_url, field_url, max_concurrent_runs: 2, trainer: None }
    }

    pub(crate) async fn start_trainer(&mut self) {
        let config = Config {
            http: HttpConfig::on_port(0),
            remembrancer_url: self.ledger_url.clone(),
            psi_field_url: self.field_url.clone(),
            max_concurrent_runs: self.max_concurrent_runs,
            ..Config::default()
        };
        let shutdown = CancellationToken::new();
        let listener = service_kit::listen(&config.http).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = trainer::build(config, shutdown.clone()).await.unwrap();
        let stop = shutdown.clone();
        let server = tokio::spawn(async move {
            service_kit::serve(listener, app, Duration::from_millis(100), stop).await.unwrap();
        });
        self.trainer = Some(Running { url, shutdown, server });
    }

    /// Ends the trainer where it is: runs under way leave nothing behind but what the ledger has.
    pub(crate) async fn kill_trainer(&mut self) {
        let Running { shutdown, server, .. } = self.trainer.take().unwrap();
        shutdown.cancel();
        server.await.unwrap();
        // The threads of runs end at their next step; nothing may come from them any more.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    pub(crate) fn url(&self) -> &str {
        &self.trainer.as_ref().unwrap().url
    }

    pub(crate) fn client(&self) -> Trainer {
        Trainer::new(Endpoint::new(self.url())).unwrap()
    }

    pub(crate) async fn ready(&self) {
        until("the trainer is ready", async || self.client().ready().await.is_ok()).await;
    }

    /// Starts a run and waits for its end.
    pub(crate) async fn play(&self, run: &NewRun) -> Run {
        let run = self.client().create_run(run, None).await.unwrap();
        self.ended(run.id).await
    }

    pub(crate) async fn ended(&self, id: Uuid) -> Run {
        until("the run has ended", async || self.run(id).await.status.is_final()).await;
        self.run(id).await
    }

    pub(crate) async fn completed(&self, id: Uuid) -> Run {
        let run = self.ended(id).await;
        assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
        run
    }

    pub(crate) async fn run(&self, id: Uuid) -> Run {
        self.client().run(id).await.unwrap()
    }

    pub(crate) fn artifact(&self, name: Option<api::Hash>) -> Vec<u8> {
        self.ledger.artifact(name.unwrap()).unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(running) = &self.trainer {
            running.shutdown.cancel();
        }
    }
}

/// A run of 4 episodes with 5 steps each, checkpointed after every second.
pub(crate) fn small_run() -> NewRun {
    NewRun { agents: 3, episodes: 4, steps_per_episode: 5, checkpoint_every: 2, seed: 7, ..NewRun::default() }
}

/// Waits until something holds; 30 s at most.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited 30 s, but not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn problem(status: u16, code: &str, detail: impl Into<String>) -> Response {
    let body = Problem { status, code: code.into(), detail: detail.into(), ..Problem::default() };
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], serde_json::to_string(&body).unwrap())
        .into_response()
}

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
