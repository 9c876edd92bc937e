use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use api::{
    Hash,
    evaluator::{Evaluation, EvaluationResult, NewEvaluation, PolicyName, Trainings},
    remembrancer::LeafQuery,
};
use clap::Args;
use policy::PolicyFile;
use serde::Serialize;
use serde_json::json;
use trainer::{checkpoint::CheckpointDocument, digest::sha256};
use uuid::Uuid;

use crate::{
    connection::{Connection, Needs, StackArgs, stack_failed},
    environment::EnvironmentArgs,
    evaluation::{HeldOutArgs, evaluate, told, trainings_of},
    exit::{Answer, usage},
    files::{read, writable_folder, write},
    interrupts::Interrupts,
    output::{say, say_json},
    policy_command::{PolicyArgs, Unrecorded, evaluate_here},
    preference::{ConstraintArgs, PreferenceArgs},
    runtime,
    training::outcome::{retrying, write_evaluation},
    visualization::{EvaluationFiles, draw_evaluation},
};

/// Compare a learned policy with the hand rules on held-out seeds
///
/// All policies play the same episodes, on seeds that nobody was trained on, and are compared with the physical limit, an
/// upper bound that no policy can exceed. The result is recorded in the ledger; with --policy-command no service is asked and it
/// is not, because what a program played is known to this process alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh evaluate --ai-agents out/swarm_final.json
  mesh evaluate --ai-agents out/swarm_final.json --preset overloaded --seeds 200 --output out
  mesh evaluate --ai-agents out/swarm_final*.json --first-seed 5000000000
  mesh evaluate --ai-agents out/swarm_final*.json --final
  mesh evaluate --ai-agents out/swarm_final.json --baseline-config workloads.json --steps 1000 --json
  mesh evaluate --ai-agents out/swarm_final.json --seeds 20 --at-most avg_latency_ms=305
  mesh evaluate --logged gateway --policies cheapest,bid-price
  mesh evaluate --preset contended --policy-command 'python clients/python/examples/greedy.py'")]
pub(crate) struct Evaluate {
    /// Policy files (swarm_final.json) or checkpoints (swarm_checkpoint.json), at most 60. Those that were trained alike
    /// (same algorithm, settings, agents, episodes, catalog, tenants, preset and reward) on seeds of their own are the
    /// trainings of one policy, whose intervals then cover the luck of training too
    #[arg(long, value_name = "FILE", required_unless_present_any = ["policy_command", "logged"], num_args = 1..=60)]
    ai_agents: Vec<PathBuf>,
    #[command(flatten)]
    programs: PolicyArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Judge each file and each program as a policy of its own, also those that were trained alike or have one name
    #[arg(long)]
    apart: bool,
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
    #[command(flatten)]
    preference: PreferenceArgs,
    #[command(flatten)]
    constraints: ConstraintArgs,
    #[command(flatten)]
    held_out: HeldOutArgs,
    /// Steps of each episode for which the physical limit is solved; 0 for none [default: all of 20 episodes of 120
    /// steps, a sample of more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    limit_steps: Option<u32>,
    /// Write evaluation.json, evaluation.csv, evaluation_receipt.json, charts (.svg, .png) and report.html to this
    /// folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print all there is: every figure of every policy, and what the figures say in sentences
    #[arg(long, conflicts_with = "json")]
    details: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Services (a stack of its own is started when none is named)")]
    stack: StackArgs,
}

/// Flags that say which deployment's log policies are judged from.
#[derive(Debug, Args)]
struct LogArgs {
    /// Judge --policies from the decisions of this deployment and what was told of them, in place of a simulation: what a
    /// decision would have earned on average if they had made it
    #[arg(long, value_name = "NAME", requires = "policies", conflicts_with_all = [
        "ai_agents", "policy_command", "apart", "baseline_config", "preset", "providers", "steps", "preference",
        "at_most", "at_least", "seeds", "first_seed", "is_final", "limit_steps", "output"])]
    logged: Option<String>,
    /// With --logged: hand rules by their names, policies by their ids or by the SHA-256 of their files
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "logged", num_args = 1)]
    policies: Vec<String>,
    /// With --logged: read as many leaves of the log, as an earlier report says, to get its figures again [default: all]
    #[arg(long, value_name = "N", requires = "logged", value_parser = clap::value_parser!(u64).range(1..))]
    log_size: Option<u64>,
}

impl LogArgs {
    /// The evaluation that is asked for, if it is one of a log.
    fn request(&self) -> Option<NewEvaluation> {
        let logged = self.logged.clone()?;
        let policies = self.policies.iter().map(|name| match name.parse() {
            Ok(file) => Trainings::One(file),
            Err(_) => Trainings::Named(PolicyName(name.clone())),
        });
        Some(NewEvaluation {
            logged: Some(logged),
            log_size: self.log_size,
            policies: policies.collect(),
            ..NewEvaluation::default()
        })
    }
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
        if self.programs.policy_command.is_empty() {
            self.stack.check(Needs::Evaluation)?;
        } else {
            self.stack.refuse_all(
                "nothing of services with --policy-command: programs are judged in this process, and nothing is recorded",
            )?;
        }
        if let Some(request) = self.log.request() {
            return recorded(&self.stack, Vec::new(), false, request, &self.told());
        }
        let files =
            self.ai_agents.iter().map(|path| policy_file(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let first = files.first().map(|(file, _)| file.training.preset.clone());
        let trained_for =
            files.first().and_then(|(file, _)| file.training.preference.map(|wanted| json!(wanted)));
        let trained_on = first.filter(|_| self.baseline_config.is_none());
        let environment = EnvironmentArgs {
            preset: self.preset.clone().or(trained_on),
            providers: self.providers.clone(),
            workloads: self.baseline_config.clone(),
        };
        let request = NewEvaluation {
            environment: environment.spec()?,
            preference: self.constraints.on_the_wire(self.preference.on_the_wire().or(trained_for)),
            steps: Some(self.steps),
            limit_steps: self.limit_steps,
            ..self.held_out.request()
        };
        if let Some(folder) = &self.output {
            writable_folder(folder)?;
        }
        if !self.programs.policy_command.is_empty() {
            return self.evaluate_here(files, request);
        }
        recorded(&self.stack, files, self.apart, request, &self.told())
    }

    fn told(&self) -> Told<'_> {
        Told { output: self.output.as_deref(), json: self.json, details: self.details }
    }

    /// Evaluates without any service.
    fn evaluate_here(
        &self,
        files: Vec<(PolicyFile, Vec<u8>)>,
        request: NewEvaluation,
    ) -> anyhow::Result<Answer> {
        if request.is_final {
            return Err(usage(
                "--final: expected no --policy-command, because it is recorded when the final seeds are opened, and an \
                 evaluation with programs is not",
            ));
        }
        let why = "what a program played is known to this process alone";
        unrecorded(&self.programs, files, self.apart, request, &self.told(), why)
    }
}

/// How a command tells what was found.
pub(crate) struct Told<'a> {
    /// The folder for files.
    pub(crate) output: Option<&'a Path>,
    /// As one JSON object.
    pub(crate) json: bool,
    /// All there is, not what it comes to.
    pub(crate) details: bool,
}

impl Told<'_> {
    fn say(&self, evaluation: &Evaluation) -> anyhow::Result<()> {
        let result = evaluation.result.as_ref().context("a completed evaluation has a result")?;
        if self.json {
            let record_id = evaluation.record_id.as_deref();
            return say_json(&Output { result, evaluation_id: evaluation.id, record_id });
        }
        say(&told(result, self.details))
    }
}

/// Evaluates by services, which record it.
///
/// # Errors
/// Services cannot be reached or started, or refuse it.
pub(crate) fn recorded(
    stack: &StackArgs,
    files: Vec<(PolicyFile, Vec<u8>)>,
    apart: bool,
    request: NewEvaluation,
    told: &Told<'_>,
) -> anyhow::Result<Answer> {
    runtime::block_on("warn", async {
        let mut interrupts = Interrupts::watch()?;
        let mut connection = tokio::select! {
            connection = stack.connect(Needs::Evaluation) => connection?,
            () = interrupts.next() => anyhow::bail!("interrupted before the evaluation began"),
        };
        let mut stack = connection.stack.take();
        let told = tokio::select! {
            told = evaluate_there(&connection, files, apart, request, told) => told,
            error = stack_failed(&mut stack) => Err(error),
            () = interrupts.next() => Err(anyhow::anyhow!("interrupted during the evaluation")),
        };
        connection.stack = stack;
        connection.close().await;
        told
    })
}

async fn evaluate_there(
    connection: &Connection,
    files: Vec<(PolicyFile, Vec<u8>)>,
    apart: bool,
    mut request: NewEvaluation,
    told: &Told<'_>,
) -> anyhow::Result<Answer> {
    let mut stored = Vec::with_capacity(files.len());
    for (file, bytes) in files {
        let put = retrying(|| connection.remembrancer.put_artifact("application/json", bytes.clone()));
        stored.push((file, put.await.context("storing the policy")?.sha256));
    }
    if request.logged.is_none() {
        request.policies = policies(stored, apart);
    }
    let evaluation = evaluate(&connection.evaluator, &request).await?;
    if let Some(folder) = told.output {
        write_evaluation(connection, &evaluation, folder).await?;
    } else if let Some(record) = &evaluation.record_id {
        // what is said to be recorded is in the log
        let leaf = LeafQuery { record: Some(record.clone()), ..LeafQuery::default() };
        connection.ledger.evidence(&leaf).await.context("the evaluation's record")?;
    }
    told.say(&evaluation)?;
    if let (false, Some(record)) = (told.json, &evaluation.record_id) {
        say(&format!("\nRecorded in the ledger as {record}."))?;
    }
    Ok(Answer::Yes)
}

/// Evaluates in this process, where nothing is recorded, for this reason.
///
/// # Errors
/// A program fails, or the request is wrong.
pub(crate) fn unrecorded(
    programs: &PolicyArgs,
    files: Vec<(PolicyFile, Vec<u8>)>,
    apart: bool,
    mut request: NewEvaluation,
    told: &Told<'_>,
    why: &str,
) -> anyhow::Result<Answer> {
    let mut contents = BTreeMap::new();
    let named = files.into_iter().map(|(file, bytes)| {
        let name = sha256(&bytes);
        contents.insert(name, bytes);
        (file, name)
    });
    request.policies = policies(named.collect(), apart);
    let Unrecorded { evaluation, csv } = evaluate_here(programs, apart, request, &contents)?;
    if let Some(folder) = told.output {
        let files = EvaluationFiles::of(&evaluation);
        write(&folder.join(files.csv), csv.as_bytes())?;
        let json = serde_json::to_vec_pretty(&evaluation).context("the evaluation as JSON")?;
        write(&folder.join(files.json), &json)?;
        draw_evaluation(folder, &evaluation)?;
    }
    told.say(&evaluation)?;
    if !told.json {
        say(&format!("\nNot recorded: {why}."))?;
    }
    Ok(Answer::Yes)
}

/// Policies of one training each, or those that were trained alike together, in the order of their first files.
fn policies(files: Vec<(PolicyFile, Hash)>, apart: bool) -> Vec<Trainings> {
    let mut policies: Vec<Vec<(PolicyFile, Hash)>> = Vec::new();
    for file in files {
        let alike = |policy: &&mut Vec<(PolicyFile, Hash)>| {
            policy.iter().all(|(training, _)| training.is_trained_like(&file.0))
        };
        match policies.iter_mut().find(alike).filter(|_| !apart) {
            Some(policy) => policy.push(file),
            None => policies.push(vec![file]),
        }
    }
    let named = |policy: Vec<(PolicyFile, Hash)>| {
        trainings_of(policy.into_iter().map(|(_, artifact)| artifact).collect())
    };
    policies.into_iter().map(named).collect()
}

/// A policy with its bytes, of its own file or of a checkpoint.
pub(crate) fn policy_file(path: &Path) -> anyhow::Result<(PolicyFile, Vec<u8>)> {
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

#[cfg(test)]
mod tests {
    use policy::{Fingerprint, SwarmConfig, Training};
    use serde_json::json;

    use super::*;

    fn file(agents: u32, first_seed: u64) -> (PolicyFile, Hash) {
        let file = PolicyFile {
            format: policy::POLICY_FORMAT.into(),
            swarm: SwarmConfig::new("q-learning", &json!({}), agents).unwrap(),
            trained_for: Fingerprint { providers: vec![], tenants: vec![] },
            training: Training {
                preset: "contended".into(),
                reward: "excess-cost".into(),
                preference: None,
                prior: None,
                first_seed,
                episodes: 10,
                decisions: 0,
            },
            agents: vec![],
        };
        (file, Hash([first_seed as u8 + 100 * agents as u8; 32]))
    }

    #[test]
    fn files_that_were_trained_alike_on_seeds_of_their_own_are_trainings_of_one_policy() {
        let hash = |byte| Hash([byte; 32]);
        let files = || vec![file(1, 1), file(2, 1), file(1, 11), file(1, 15)];
        // the last one shares seeds with the one before it
        let together = [
            Trainings::Several(vec![hash(101), hash(111)]),
            Trainings::One(hash(201)),
            Trainings::One(hash(115)),
        ];
        assert_eq!(policies(files(), false), together);
        assert_eq!(policies(files(), true), [101, 201, 111, 115].map(|byte| Trainings::One(hash(byte))));
        let mut with_prior = file(1, 31);
        with_prior.0.training.prior = Some("00".into());
        let apart = [101, 131].map(|byte| Trainings::One(hash(byte)));
        assert_eq!(policies(vec![file(1, 1), with_prior], false), apart);
    }
}
