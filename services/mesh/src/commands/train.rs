use std::{
    path::{Path, PathBuf},
    pin::pin,
};

use anyhow::{Context as _, anyhow, bail};
use api::{
    evaluator::NewEvaluation,
    trainer::{Recording, Run, RunStatus},
};
use clap::Args;
use client::{Remembrancer, Trainer};
use uuid::Uuid;

use crate::{
    commands::runs::deletion::BYTES_PER_DECISION,
    connection::{Connection, Needs, StackArgs, stack_failed},
    evaluation::{HeldOutArgs, evaluate, trainings_of},
    exit::{Answer, usage},
    hints,
    interrupts::Interrupts,
    output::{note, say, say_json},
    runtime,
    stack::going_on,
    training::{
        config::{RunArgs, Wanted},
        curve::policies_on_the_way,
        ending::Ending,
        folder::ready_for,
        follow::follow,
        outcome::{RunFiles, quoted, retrying},
        settings::by_algorithm,
        trainings::{self, Trainings},
    },
};

/// Train a swarm, record every decision, and compare it with the hand rules
///
/// Uses a running stack when its services are named; otherwise starts one and stops it at the end. The swarm is trained
/// several times, each time on seeds of its own, in runs of their own that the ledger records too: only so is known how much
/// of a result is the luck of a training. The evaluation compares with the hand rules, and with the same swarm never trained.
/// Writes to --output: training_metrics.csv, swarm_checkpoint.json, swarm_final.json, ledger_receipt.json and
/// decision_receipt.json; evaluation.json, evaluation.csv, evaluation_values.csv and evaluation_receipt.json; charts of both (.svg and
/// .png), training_report.html and report.html; the files of further trainings in training_2, training_3, …. Ctrl-C stops the run at the end of its episode with a checkpoint
/// and prints the command that resumes it (exit code 3).
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct Train {
    #[command(flatten)]
    run: RunArgs,
    /// Stop after this many episodes; nothing else about the run changes, and it can be resumed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stop_after: Option<u32>,
    /// Resume from a checkpoint (swarm_checkpoint.json), with the settings of its run
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// The folder for the files
    #[arg(long, value_name = "DIR", default_value = "out")]
    output: PathBuf,
    /// Write to the folder even though it has the files of another run
    #[arg(long)]
    overwrite: bool,
    /// The run's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A tag of the run; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Leave runs as they are that an earlier stack on the same data left; else they go on beside this one
    #[arg(long)]
    no_resume: bool,
    /// How often to train: training t has the episodes' seeds from --seed + (t − 1) · --episodes on. Of one training nobody
    /// knows what another would have come to. A hand rule is played once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TRAININGS, value_parser = clap::value_parser!(u32).range(1..=20))]
    training_seeds: u32,
    #[command(flatten)]
    held_out: HeldOutArgs,
    /// Also evaluate the policy of every checkpoint, and draw the learning curve (see --checkpoint-every)
    #[arg(long)]
    learning_curve: bool,
    /// Print all there is: every figure of every policy, and what the figures say in sentences
    #[arg(long, conflicts_with = "json")]
    details: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Services (a stack of its own is started when none is named)")]
    stack: StackArgs,
}

const EXAMPLES: &str = "Examples:
  mesh train
  mesh train --agents 50 --episodes 200 --seed 7 --output out
  mesh train --training-seeds 1 --seeds 20
  mesh train --episodes 100 --stop-after 40 --output out
  mesh train --name \"without psi-field\" --tag paper --psi-field off --output without
  mesh train --preset drifting --episodes 20 --checkpoint-every 1 --learning-curve
  mesh train --load out/swarm_checkpoint.json --output out
  mesh train --workloads workloads.json --providers providers.json --psi-field off --json
  mesh train --trainer http://127.0.0.1:8001 --remembrancer http://127.0.0.1:8002 \\
    --evaluator http://127.0.0.1:8003";

fn after_help() -> String {
    format!("{}\n\n{EXAMPLES}", by_algorithm())
}

/// Trainings when nobody says how many: the fewest of which the spread says something.
const DEFAULT_TRAININGS: u32 = 3;

/// From here on it is said how much a run will write.
const LARGE_RUN_BYTES: f64 = 5e9;

impl Train {
    /// Trains and tells what came of it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        self.stack.check(Needs::Training)?;
        let psi_field_url = self.run.psi_field_url();
        if psi_field_url.is_some() && self.stack.is_remote(Needs::Training) {
            return Err(usage(
                "--psi-field with a URL is for a stack of its own: the trainer at --trainer knows where its psi-field is",
            ));
        }
        if self.no_resume && self.stack.is_remote(Needs::Training) {
            return Err(usage(
                "--no-resume is for a stack of its own: which runs a running one takes up, it has decided already",
            ));
        }
        let wanted = self.labelled(self.run.wanted(self.load.as_deref(), self.stop_after)?);
        trainings::check(&wanted.run, self.training_seeds)?;
        ready_for(&self.output, wanted.plan.digest, self.overwrite)?;
        warn_of_size(&wanted, self.training_seeds);
        runtime::block_on("error", async {
            let mut interrupts = Interrupts::watch()?;
            let mut connection = tokio::select! {
                connection = self.stack.connect_resuming(Needs::Training, psi_field_url, !self.no_resume) => connection?,
                () = interrupts.next() => bail!("interrupted before the run began"),
            };
            let mut stack = connection.stack.take();
            let data_dir = stack.as_ref().map(|stack| stack.data_dir().to_owned());
            let trained = tokio::select! {
                trained = self.train(&connection, wanted, data_dir.as_deref(), &mut interrupts) => trained,
                error = stack_failed(&mut stack) => Err(error),
            };
            connection.stack = stack;
            connection.close().await;
            trained
        })
    }

    async fn train(
        &self,
        connection: &Connection,
        wanted: Wanted,
        data_dir: Option<&Path>,
        interrupts: &mut Interrupts,
    ) -> anyhow::Result<Answer> {
        let trainer = connection.trainer.as_ref().context("there is no trainer")?;
        if data_dir.is_some() && !self.no_resume {
            for line in going_on(trainer).await? {
                note(&format!("{line}; --no-resume leaves it"));
            }
        }
        let mut starting = pin!(start(trainer, &connection.remembrancer, wanted));
        // Once the run may be in the ledger it must be asked to stop: left alone, the next stack would resume it.
        let (started, interrupted) = tokio::select! {
            started = &mut starting => (started?, false),
            () = interrupts.next() => tokio::select! {
                started = &mut starting => (started?, true),
                () = interrupts.next() => bail!(
                    "interrupted again while the run was being started: if it is in the ledger, it resumes when a stack \
                     is started on the same data"
                ),
            },
        };
        let run = follow(trainer, started, interrupted, interrupts).await?;
        if run.status == RunStatus::Failed {
            let why = run.error.unwrap_or_else(|| "it did not say why".into());
            bail!("run {} failed: {why}", run.id);
        }
        let mut files = tokio::select! {
            fetched = RunFiles::fetch(trainer, connection, &run, &self.output) => fetched?,
            () = interrupts.next() => bail!("interrupted while the run's files were fetched"),
        };
        if run.status == RunStatus::Completed {
            let mut policies = Vec::new();
            if let Some(first) = run.policy_sha256 {
                let further = Trainings { connection, trainer, folder: &self.output };
                files.further = further.train(&run, self.training_seeds, interrupts).await?;
                let artifacts =
                    std::iter::once(first).chain(files.further.iter().map(|training| training.policy_sha256));
                policies.push(trainings_of(artifacts.collect()));
                if self.learning_curve {
                    let on_the_way = policies_on_the_way(trainer, &connection.remembrancer, &run).await?;
                    policies.extend(on_the_way.into_iter().map(|policy| trainings_of(vec![policy])));
                }
            }
            let request = NewEvaluation {
                policies,
                environment: run.config.environment.clone(),
                preference: run.config.preference.clone(),
                steps: Some(run.config.steps_per_episode),
                ..self.held_out.request()
            };
            let evaluation = tokio::select! {
                evaluation = evaluate(&connection.evaluator, &request) => evaluation?,
                () = interrupts.next() => bail!("interrupted during the evaluation; the run's files are in {}", self.output.display()),
            };
            files.add_evaluation(connection, evaluation).await?;
            files.prove(connection, &run).await?;
        }
        files.draw()?;
        self.tell(&run, &files, data_dir)
    }

    /// The same with the labels that were given.
    fn labelled(&self, mut wanted: Wanted) -> Wanted {
        if self.name.is_some() {
            wanted.run.name.clone_from(&self.name);
        }
        if !self.tags.is_empty() {
            wanted.run.tags.clone_from(&self.tags);
        }
        wanted
    }

    fn tell(&self, run: &Run, files: &RunFiles, data_dir: Option<&Path>) -> anyhow::Result<Answer> {
        let resume = self.resume_command(files);
        if self.json {
            say_json(&files.summary(run))?;
        } else {
            say(&Ending { run, files, data_dir, resume: &resume, details: self.details }.text())?;
        }
        if run.status != RunStatus::Cancelled {
            if self.json && run.status == RunStatus::Stopped {
                note(&format!("resume with: {resume}"));
            }
            return Ok(Answer::Yes);
        }
        let next = match files.checkpoint() {
            Some(_) => format!("resume with: {resume}"),
            None => "it had no checkpoint yet".into(),
        };
        Err(anyhow!("run {} was cancelled after {} episodes; {next}", run.id, run.progress.episodes_done))
    }

    fn resume_command(&self, files: &RunFiles) -> String {
        let checkpoint = files.checkpoint().map(|path| path.display().to_string()).unwrap_or_default();
        let mut words: Vec<String> = vec![checkpoint];
        words.extend(["--output".to_owned(), self.output.display().to_string()]);
        if let Some(url) = self.run.psi_field_url() {
            words.extend(["--psi-field".to_owned(), url]);
        }
        if let Some(prior) = self.run.prior() {
            words.extend(["--prior".to_owned(), prior.display().to_string()]);
        }
        if self.learning_curve {
            words.push("--learning-curve".into());
        }
        if self.training_seeds != DEFAULT_TRAININGS {
            words.extend(["--training-seeds".to_owned(), self.training_seeds.to_string()]);
        }
        words.extend(self.held_out.to_flags());
        words.extend(self.stack.to_flags());
        let words = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let command = hints::command(&format!("train --load {words}"));
        match self.stack.secrets().as_slice() {
            [] => command,
            // a comment, so that the line can be pasted as it is
            secrets => format!("{command} # with {} as before", secrets.join(" and ")),
        }
    }
}

/// Puts the checkpoint and the prior, where there are any, and starts the run.
async fn start(trainer: &Trainer, remembrancer: &Remembrancer, wanted: Wanted) -> anyhow::Result<Run> {
    let mut run = wanted.run;
    if let Some(bytes) = wanted.checkpoint {
        let artifact = retrying(|| remembrancer.put_artifact("application/json", bytes.clone()))
            .await
            .context("storing the checkpoint")?;
        run.resume_from = Some(artifact.sha256);
    }
    if let Some(bytes) = wanted.prior {
        retrying(|| remembrancer.put_artifact("application/json", bytes.clone()))
            .await
            .context("storing the prior")?;
    }
    let key = Uuid::now_v7().to_string();
    Ok(retrying(|| trainer.create_run(&run, Some(&key))).await?)
}

fn warn_of_size(wanted: &Wanted, trainings: u32) {
    let env = &wanted.plan.environment;
    let requests_per_step = env.expected_requests_of_all();
    let episodes = wanted.plan.last_episode - wanted.episodes_done;
    let further = f64::from(trainings - 1) * f64::from(wanted.plan.last_episode);
    let decisions = requests_per_step * f64::from(env.steps()) * (f64::from(episodes) + further);
    let bytes = decisions * BYTES_PER_DECISION;
    if wanted.run.recording == Recording::All && bytes > LARGE_RUN_BYTES {
        note(&format!(
            "this will record about {:.0} million decisions, some {:.0} GB in the database; --record none records \
             none of them",
            decisions / 1e6,
            bytes / 1e9
        ));
    }
}
