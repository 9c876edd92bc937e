//! What a person can do to a run.

use api::trainer::{NewRewind, Run, RunPatch, RunStatus};
use clap::{Args, Subcommand};
use client::Trainer;
use uuid::Uuid;

use super::{
    compare::Compare,
    deletion::{Delete, Prune},
};
use crate::{
    exit::{Answer, usage},
    hints,
    output::{say, say_json},
    remote::{RemoteArgs, RunName, trainer_error},
    runtime,
};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Pause a run at the end of its step, until it is resumed
    Pause(One),
    /// Resume a paused run
    Resume(One),
    /// End a run after its episode, with a checkpoint
    Cancel(One),
    /// Start a new run from a checkpoint of an old one, which stays as it is
    Rewind(Rewind),
    /// Change a run's name, tags or notes
    Label(Label),
    /// Compare two runs: configuration, metrics, and where their decisions part
    Compare(Compare),
    /// Delete what ended runs decided, for good; their hashes, figures, checkpoints and policies stay, and so does every proof
    /// of what remains
    Delete(Delete),
    /// Delete what the oldest runs decided: those that ended long ago, or as many as it takes until what is left is small enough
    Prune(Prune),
}

/// One run.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The run's id or its first digits, or `last`
    #[arg(value_name = "RUN")]
    run: RunName,
    /// Print the run as one JSON object, as the API shows it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// A setting that is not given stays as in the old run.
#[derive(Debug, Args)]
pub(super) struct Rewind {
    #[command(flatten)]
    one: One,
    /// The checkpoint to start from: the one made after this many episodes
    #[arg(long, value_name = "N")]
    episodes_done: u32,
    /// The branch: another number makes another run, even with the same settings
    #[arg(long, value_name = "N", default_value_t = 0)]
    branch: u32,
    /// Episodes of the whole run, including those before the checkpoint
    #[arg(long, value_name = "N")]
    episodes: Option<u32>,
    /// Learning rate α, above 0 and at most 1
    #[arg(long, value_name = "A", value_parser = positive_share)]
    learning_rate: Option<f64>,
    /// Discount γ, 0 to 1
    #[arg(long, value_name = "G", value_parser = share)]
    discount: Option<f64>,
    /// Exploration rate ε, 0 to 1
    #[arg(long, value_name = "E", value_parser = share)]
    epsilon: Option<f64>,
    /// Stop after this many episodes
    #[arg(long, value_name = "N")]
    stop_after: Option<u32>,
    /// The name of the new run
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A tag of the new run; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

/// A label that is not given stays as it is.
#[derive(Debug, Args)]
pub(super) struct Label {
    #[command(flatten)]
    one: One,
    /// The new name; an empty text removes it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A new tag; can be given several times. The old tags go; an empty text removes all
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The new notes; an empty text removes them
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
}

impl Action {
    pub(super) fn run(self) -> anyhow::Result<Answer> {
        match self {
            Self::Pause(one) => one.act(
                async |trainer, id| trainer.pause_run(id).await,
                |run| match run.status {
                    RunStatus::Paused => format!("run {} is paused", run.id),
                    _ => format!("run {} will be paused at the end of its step", run.id),
                },
            ),
            Self::Resume(one) => one.act(
                async |trainer, id| trainer.resume_run(id).await,
                |run| format!("run {} resumes as soon as there is a place for it", run.id),
            ),
            Self::Cancel(one) => one.act(
                async |trainer, id| trainer.cancel_run(id).await,
                |run| format!("run {} ends after its episode, with a checkpoint", run.id),
            ),
            Self::Rewind(rewind) => rewind.run(),
            Self::Label(label) => label.run(),
            Self::Compare(compare) => compare.run(),
            Self::Delete(delete) => delete.run(),
            Self::Prune(prune) => prune.run(),
        }
    }
}

impl One {
    fn act(
        self,
        act: impl AsyncFnOnce(&Trainer, Uuid) -> Result<Run, client::ClientError>,
        tell: impl FnOnce(&Run) -> String,
    ) -> anyhow::Result<Answer> {
        let trainer = self.remote.trainer()?;
        let run = runtime::block_on("error", async {
            let id = self.run.id(&trainer).await?;
            act(&trainer, id).await.map_err(|error| trainer_error(&trainer, error))
        })?;
        if self.json {
            say_json(&run)?
        } else {
            say(&tell(&run))?
        }
        Ok(Answer::Yes)
    }
}

impl Rewind {
    fn run(self) -> anyhow::Result<Answer> {
        let rewind = NewRewind {
            episodes_done: Some(self.episodes_done),
            branch: self.branch,
            episodes: self.episodes,
            learning_rate: self.learning_rate,
            discount: self.discount,
            epsilon: self.epsilon,
            stop_after: self.stop_after,
            name: self.name,
            tags: self.tags,
            ..NewRewind::default()
        };
        let key = Uuid::now_v7().to_string();
        self.one.act(
            async |trainer, id| trainer.rewind_run(id, &rewind, Some(&key)).await,
            |run| {
                let after = self.episodes_done;
                let watch = hints::command(&format!("watch {}", run.id));
                format!("run {} starts after episode {after}; follow it with: {watch}", run.id)
            },
        )
    }
}

impl Label {
    fn run(self) -> anyhow::Result<Answer> {
        if self.name.is_none() && self.tags.is_empty() && self.notes.is_none() {
            return Err(usage("nothing to change: give --name, --tag or --notes"));
        }
        let unless_empty = |text: String| (!text.is_empty()).then_some(text);
        let tags: Vec<String> = self.tags.iter().filter(|tag| !tag.is_empty()).cloned().collect();
        let patch = RunPatch {
            name: self.name.map(unless_empty),
            tags: (!self.tags.is_empty()).then_some(Some(tags)),
            notes: self.notes.map(unless_empty),
        };
        self.one.act(
            async |trainer, id| trainer.label_run(id, &patch).await,
            |run| {
                let tags =
                    if run.labels.tags.is_empty() { "none".into() } else { run.labels.tags.join(", ") };
                let name = run.labels.name.as_deref().unwrap_or("none");
                format!("run {}\n  name   {name}\n  tags   {tags}", run.id)
                    + &run.labels.notes.iter().map(|notes| format!("\n  notes  {notes}")).collect::<String>()
            },
        )
    }
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a number from 0 to 1".into())
}

/// A number above 0 and at most 1.
fn positive_share(text: &str) -> Result<f64, String> {
    share(text)
        .ok()
        .filter(|v| *v >= 1e-9)
        .ok_or_else(|| "expected a number above 0 (at least 1e-9) and at most 1".into())
}
