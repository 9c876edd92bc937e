use api::trainer::{Run, RunQuery, RunStatus};
use clap::Args;

use crate::{
    exit::Answer,
    output::{figure, say, say_json, table},
    remote::{RemoteArgs, told},
    runtime,
};

/// List the runs of a running stack, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh runs
  mesh runs --status running
  mesh runs --limit 5 --json
  mesh runs --trainer http://127.0.0.1:18001")]
pub(crate) struct Runs {
    /// Only runs that stand here: queued, running, paused, completed, stopped, cancelled or failed
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<RunStatus>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// The runs as the API shows them, as one JSON object on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl Runs {
    /// Lists them.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let trainer = self.remote.trainer()?;
        let query = RunQuery { status: self.status, limit: Some(self.limit), ..RunQuery::default() };
        let runs = runtime::block_on("error", async {
            trainer.runs(&query).await.map_err(|error| told(&trainer, error))
        })?;
        if self.json {
            say_json(&runs)?;
        } else if runs.items.is_empty() {
            say("no runs")?;
        } else {
            say(&table(&HEADER, runs.items.iter().map(row)))?;
        }
        Ok(Answer::Yes)
    }
}

const HEADER: [&str; 8] =
    ["run", "status", "algorithm", "agents", "episodes", "decisions", "decisions/s", "created (UTC)"];

fn row(run: &Run) -> Vec<String> {
    let progress = &run.progress;
    vec![
        run.id.to_string(),
        status_name(run.status),
        run.config.algorithm.clone(),
        run.config.agents.to_string(),
        format!("{}/{}", progress.episodes_done, progress.episodes_total),
        progress.decisions.to_string(),
        figure(progress.decisions_per_second, 0),
        run.created_at.format("%Y-%m-%d %H:%M:%S").to_string(),
    ]
}

/// The status as it stands on the wire.
pub(crate) fn status_name(status: RunStatus) -> String {
    match serde_json::to_value(status) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "-".into(),
    }
}

fn status(text: &str) -> Result<RunStatus, String> {
    serde_json::from_value(text.into()).map_err(|error: serde_json::Error| error.to_string())
}
