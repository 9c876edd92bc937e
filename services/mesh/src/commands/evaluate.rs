use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::{
    evaluator::{EvaluationResult, NewEvaluation},
    remembrancer::LeafQuery,
};
use clap::Args;
use policy::PolicyFile;
use serde::Serialize;
use trainer::checkpoint::CheckpointDocument;
use uuid::Uuid;

use crate::{
    connection::{Connection, Needs, StackArgs, stack_failed},
    environment::EnvironmentArgs,
    evaluation::{evaluate, tables},
    exit::{Answer, usage},
    files::{read, writable_folder},
    interrupts::Interrupts,
    output::{say, say_json},
    runtime,
    training::outcome::{retrying, write_evaluation},
};

/// Compare a learned policy with the hand rules on held-out seeds
///
/// All policies play the same episodes, on seeds that nobody was trained on, and are compared with the physical limit, an
/// upper bound that no policy can exceed. The result is recorded in the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh evaluate --ai-agents out/swarm_final.json
  mesh evaluate --ai-agents out/swarm_final.json --preset overloaded --seeds 50 --output out
  mesh evaluate --ai-agents one/swarm_final.json two/swarm_final.json
  mesh evaluate --ai-agents out/swarm_final.json --baseline-config workloads.json --steps 1000 --json")]
pub(crate) struct Evaluate {
    /// Policy files (swarm_final.json) or checkpoints (swarm_checkpoint.json), at most 20
    #[arg(long, value_name = "FILE", required = true, num_args = 1..=20)]
    ai_agents: Vec<PathBuf>,
    /// Tenants and their demand (workloads.json) [default: the built-in ones]
    #[arg(long, value_name = "FILE")]
    baseline_config: Option<PathBuf>,
    /// A named setting [default: the one that the first policy was trained on; default when --baseline-config is
    /// given]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// A catalog of providers (providers.json) [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    providers: Option<PathBuf>,
    /// Steps of an episode
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// Held-out seeds to evaluate on
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1000))]
    seeds: u32,
    /// Steps of each episode for which the physical limit is solved; 0 for none [default: all of 20 episodes of 120
    /// steps, a sample of more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    limit_steps: Option<u32>,
    /// Write evaluation.json, evaluation.csv, evaluation_receipt.json, charts (.svg, .png) and report.html to this
    /// folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackArgs,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    result: &'a EvaluationResult,
    evaluation_id: Uuid,
    record_id: Option<&'a str>,
}

impl Evaluate {
    /// Evaluates and tells the result.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        self.stack.check(Needs::Evaluation)?;
        let files =
            self.ai_agents.iter().map(|path| policy_file(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let first = files.first().map(|(file, _)| file.training.preset.clone());
        let trained_on = first.filter(|_| self.baseline_config.is_none());
        let environment = EnvironmentArgs {
            preset: self.preset.clone().or(trained_on),
            providers: self.providers.clone(),
            workloads: self.baseline_config.clone(),
        };
        let request = NewEvaluation {
            environment: environment.spec()?,
            seeds: self.seeds,
            steps: Some(self.steps),
            limit_steps: self.limit_steps,
            ..NewEvaluation::default()
        };
        if let Some(folder) = &self.output {
            writable_folder(folder)?;
        }
        runtime::block_on("warn", async {
            let mut interrupts = Interrupts::watch()?;
            let mut connection = tokio::select! {
                connection = self.stack.connect(Needs::Evaluation, None) => connection?,
                () = interrupts.next() => anyhow::bail!("interrupted before the evaluation began"),
            };
            let mut stack = connection.stack.take();
            let told = tokio::select! {
                told = self.evaluate(&connection, files, request) => told,
                error = stack_failed(&mut stack) => Err(error),
                () = interrupts.next() => Err(anyhow::anyhow!("interrupted during the evaluation")),
            };
            connection.stack = stack;
            connection.close().await;
            told
        })
    }

    async fn evaluate(
        &self,
        connection: &Connection,
        files: Vec<(PolicyFile, Vec<u8>)>,
        mut request: NewEvaluation,
    ) -> anyhow::Result<Answer> {
        for (_, bytes) in files {
            let put = retrying(|| connection.remembrancer.put_artifact("application/json", bytes.clone()));
            request.policies.push(put.await.context("storing the policy")?.sha256);
        }
        let evaluation = evaluate(&connection.evaluator, &request).await?;
        if let Some(folder) = &self.output {
            write_evaluation(connection, &evaluation, folder).await?;
        } else if let Some(record) = &evaluation.record_id {
            // what is said to be recorded is in the log
            let leaf = LeafQuery { record: Some(record.clone()), ..LeafQuery::default() };
            connection.ledger.evidence(&leaf).await.context("the evaluation's record")?;
        }
        let result = evaluation.result.as_ref().context("a completed evaluation has a result")?;
        if self.json {
            let record_id = evaluation.record_id.as_deref();
            say_json(&Output { result, evaluation_id: evaluation.id, record_id })?;
        } else {
            say(&tables(result))?;
            if let Some(record) = &evaluation.record_id {
                say(&format!("Recorded in the ledger as {record}."))?;
            }
        }
        Ok(Answer::Yes)
    }
}

/// A policy with its bytes, of its own file or of a checkpoint.
fn policy_file(path: &Path) -> anyhow::Result<(PolicyFile, Vec<u8>)> {
    let wrong = |why: &dyn std::fmt::Display| usage(format!("--ai-agents {}: {why}", path.display()));
    let bytes = read(path)?;
    // most files are policies: what is no checkpoint is told of as a policy
    if let Ok(checkpoint) = CheckpointDocument::parse(&bytes) {
        let file = checkpoint.policy().map_err(|error| wrong(&error))?;
        let bytes = serde_json::to_vec(&file).context("writing the checkpoint's policy")?;
        return Ok((file, bytes));
    }
    let file = PolicyFile::parse(&bytes).map_err(|error| wrong(&error))?;
    Ok((file, bytes))
}
