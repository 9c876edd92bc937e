//! The whole pipeline with every decision recorded: simulator, learner, windows to psi-field and back,
//! decisions through HTTP into a durable PostgreSQL, roots compared at the end.
//!
//! Every iteration is a run of two `contended` episodes with 10 agents on a stack that stays up; divan
//! prints the rate in items (decisions) a second.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail by panicking")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use api::trainer::{AlgorithmSpec, NewRun, Run, RunStatus};
use client::{Endpoint, Trainer};
use divan::{Bencher, counter::ItemsCount};
use serde_json::json;

fn main() {
    divan::main();
}

/// `mesh up` in a folder of its own.
struct Stack {
    process: Child,
    trainer: Trainer,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Stack {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // as root the database runs as another user, who must reach the folder
        Command::new("chmod").arg("755").arg(folder.path()).status().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_mesh"))
            .args(["up", "--port-base", "0", "--data-dir"])
            .arg(folder.path().join("data"))
            .env("MESH_KNOWN_LOGS", folder.path().join("known_logs.json"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.trim_start().starts_with("trainer")).unwrap();
        let url = line.split_whitespace().nth(1).unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { process, trainer: Trainer::new(Endpoint::new(url)).unwrap(), runtime, _folder: folder }
    }

    /// Plays a run to its end.
    fn play(&self, seed: u64) -> Run {
        let run = NewRun {
            episodes: 2,
            seed,
            algorithm: Some(AlgorithmSpec::new("q-learning", json!({"replay": {"enabled": false}}))),
            ..NewRun::default()
        };
        self.runtime.block_on(async {
            let id = self.trainer.create_run(&run, None).await.unwrap().id;
            loop {
                let run = self.trainer.run(id).await.unwrap();
                if run.status.is_final() {
                    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
                    assert_eq!(run.progress.decisions_recorded, run.progress.decisions);
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn train_and_record(bencher: Bencher<'_, '_>) {
    let stack = Stack::start();
    let decisions = stack.play(1).progress.decisions;
    let mut seed = 1;
    bencher.counter(ItemsCount::new(decisions)).bench_local(|| {
        seed += 2;
        stack.play(seed)
    });
}
