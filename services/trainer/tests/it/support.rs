//! A trainer in process, between a fake remembrancer and a fake psi-field.

use std::{path::PathBuf, time::Duration};

use api::trainer::{EnvironmentSpec, Interventions, NewRun, Run, RunStatus};
use client::{Endpoint, Trainer};
use service_kit::{Deadlines, HttpConfig};
use test_support::{FakePsiField, FakeRemembrancer, Fault, eventually};
use tokio_util::sync::CancellationToken;
use trainer::Config;
use uuid::Uuid;

/// The three of them.
pub(crate) struct Stack {
    pub(crate) ledger: FakeRemembrancer,
    pub(crate) field: FakePsiField,
    pub(crate) max_concurrent_runs: usize,
    pub(crate) max_environments: usize,
    pub(crate) environment_idle_seconds: u64,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) promise_buffer: u64,
    pub(crate) checkpoint_decisions: u64,
    trainer: Option<Running>,
}

/// A trainer at work.
pub(crate) struct Running {
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
        let (ledger, field) = (FakeRemembrancer::start().await, FakePsiField::start().await);
        let Config {
            max_environments, environment_idle_seconds, promise_buffer, checkpoint_decisions, ..
        } = Config::default();
        Self {
            ledger,
            field,
            max_concurrent_runs: 2,
            max_environments,
            environment_idle_seconds,
            data_dir: None,
            promise_buffer,
            checkpoint_decisions,
            trainer: None,
        }
    }

    pub(crate) async fn start_trainer(&mut self) {
        self.trainer = Some(self.run_trainer().await);
    }

    /// One more, on the same ledger and the same field.
    pub(crate) async fn another_trainer(&self) -> Running {
        let trainer = self.run_trainer().await;
        eventually("the other trainer is ready", async || trainer.client().ready().await).await;
        trainer
    }

    async fn run_trainer(&self) -> Running {
        let config = Config {
            http: HttpConfig::on_port(0),
            remembrancer_url: self.ledger.url().to_owned(),
            psi_field_url: self.field.url().to_owned(),
            max_concurrent_runs: self.max_concurrent_runs,
            max_environments: self.max_environments,
            environment_idle_seconds: self.environment_idle_seconds,
            data_dir: self.data_dir.clone(),
            promise_buffer: self.promise_buffer,
            checkpoint_decisions: self.checkpoint_decisions,
            ..Config::default()
        };
        let shutdown = CancellationToken::new();
        let listener = service_kit::listen(&config.http).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = trainer::build(config, shutdown.clone()).await.unwrap();
        let stop = shutdown.clone();
        let deadlines = Deadlines { grace: Duration::from_millis(100), ..Deadlines::default() };
        let server = tokio::spawn(async move {
            service_kit::serve(listener, app, deadlines, stop).await.unwrap();
        });
        Running { url, shutdown, server }
    }

    /// Ends the trainer where it is: runs under way leave nothing behind but what the ledger has.
    pub(crate) async fn kill_trainer(&mut self) {
        self.trainer.take().unwrap().stop().await;
    }

    pub(crate) fn url(&self) -> &str {
        &self.trainer.as_ref().unwrap().url
    }

    pub(crate) fn client(&self) -> Trainer {
        Trainer::new(Endpoint::new(self.url())).unwrap()
    }

    pub(crate) async fn ready(&self) {
        eventually("the trainer is ready", async || self.client().ready().await).await;
    }

    /// Starts a run and waits for its end.
    pub(crate) async fn play(&self, run: &NewRun) -> Run {
        let run = self.client().create_run(run, None).await.unwrap();
        self.ended(run.id).await
    }

    pub(crate) async fn ended(&self, id: Uuid) -> Run {
        self.until(id, "has ended", |run| run.status.is_final()).await
    }

    /// Waits until this holds of a run.
    pub(crate) async fn until(&self, id: Uuid, what: &str, holds: impl Fn(&Run) -> bool) -> Run {
        eventually(&format!("the run {what}"), async || {
            let run = self.run(id).await;
            if holds(&run) { Ok(run) } else { Err(run) }
        })
        .await
    }

    /// Waits until the field has so many windows of a run.
    pub(crate) async fn has_windows(&self, id: Uuid, windows: u64) {
        eventually(&format!("the field has {windows} windows"), async || {
            match self.field.next_window(&id.to_string()) {
                Some(next) if next >= windows => Ok(()),
                other => Err(other),
            }
        })
        .await;
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

impl Running {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn client(&self) -> Trainer {
        Trainer::new(Endpoint::new(&self.url)).unwrap()
    }

    pub(crate) async fn run(&self, id: Uuid) -> Run {
        self.client().run(id).await.unwrap()
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.server).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A run of 4 episodes with 5 steps each, checkpointed after every second. It obeys the stand-in, so that what psi-field
/// commands changes its decisions.
pub(crate) fn small_run() -> NewRun {
    NewRun {
        agents: 3,
        episodes: 4,
        steps_per_episode: 5,
        checkpoint_every: 2,
        seed: 7,
        algorithm: Some("q-learning".into()),
        environment: EnvironmentSpec::default(),
        interventions: Some(Interventions::Obeyed),
        ..NewRun::default()
    }
}

/// Calls take so many ms.
pub(crate) fn slow(ms: u64) -> Fault {
    Fault::Slow(Duration::from_millis(ms))
}
