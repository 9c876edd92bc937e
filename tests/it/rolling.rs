//! Trainers come and go while runs are played on one real ledger. `tests/rolling` does the same with processes and
//! signals.

use std::time::Duration;

use serde_json::{Value, json};
use service_kit::{Deadlines, HttpConfig};
use test_support::database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::Stack;

const RUNS: u64 = 6;

/// One more trainer beside the stack's own.
struct Trainer {
    url: String,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

impl Trainer {
    async fn start(stack: &Stack) -> Self {
        let config = trainer::Config {
            http: HttpConfig::on_port(0),
            remembrancer_url: stack.remembrancer.url(),
            psi_field_url: stack.psi_field.url(),
            ..trainer::Config::default()
        };
        let shutdown = CancellationToken::new();
        let listener = service_kit::listen(&config.http).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = trainer::build(config, shutdown.clone()).await.unwrap();
        let deadlines = Deadlines { grace: Duration::from_millis(100), ..Deadlines::default() };
        let server = tokio::spawn(service_kit::serve(listener, app, deadlines, shutdown.clone()));
        stack.until(&format!("{url}/readyz"), |answer| answer["ready"] == true).await;
        Self { url, shutdown, server }
    }

    async fn restart(self, stack: &Stack) -> Self {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
        Self::start(stack).await
    }
}

fn run(seed: u64) -> Value {
    json!({"agents": 3, "episodes": 9, "steps_per_episode": 6, "checkpoint_every": 3, "seed": seed,
        "algorithm": "q-learning", "environment": {"preset": "contended"}})
}

async fn create(stack: &Stack, trainer: &str, seed: u64) -> String {
    let (status, run) = stack.post(&format!("{trainer}/v1/runs"), &run(seed)).await;
    assert_eq!(status, 202, "{run}");
    run["id"].as_str().unwrap().to_owned()
}

/// Root and number of decisions of a completed run.
async fn completed(stack: &Stack, id: &str) -> (Value, u64) {
    let run = stack.ended(&format!("{}/v1/runs/{id}", stack.trainer)).await;
    (run["run_root"].clone(), run["progress"]["decisions"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_end_as_if_undisturbed_however_trainers_come_and_go() {
    let mut expected = Vec::new();
    {
        let stack = Stack::start(&database().await).await;
        for seed in 0..RUNS {
            let id = create(&stack, &stack.trainer, seed).await;
            expected.push(completed(&stack, &id).await);
        }
    }

    let database = database().await;
    let stack = Stack::start(&database).await;
    let mut others = vec![Trainer::start(&stack).await, Trainer::start(&stack).await];
    let mut runs = Vec::new();
    for seed in 0..RUNS {
        runs.push(create(&stack, &others[seed as usize % 2].url.clone(), seed).await);
        if seed % 3 == 1 {
            // As if everybody had stood still for too long: whoever is first has the run, and the others find out.
            database.execute("UPDATE leases SET expires_at = now() - interval '1 minute'").await;
        }
        let restarted = others.remove(0).restart(&stack).await;
        others.push(restarted);
    }
    let changed_hands = database.count("leases WHERE name LIKE 'run:%' AND token > 1").await;
    assert!(changed_hands >= 2, "{changed_hands} runs were disturbed");
    let mut decisions = 0;
    for (id, expected) in runs.iter().zip(&expected) {
        assert_eq!(&completed(&stack, id).await, expected);
        decisions += expected.1;
    }
    assert_eq!(database.count("decisions").await, i64::try_from(decisions).unwrap(), "none twice, none lost");
    let failed = stack.get(&format!("{}/v1/runs?status=failed", stack.trainer)).await;
    assert_eq!(failed["items"], json!([]));
    stack.assert_intact().await;
}
