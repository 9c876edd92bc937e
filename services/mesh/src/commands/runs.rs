use api::trainer::{Labels, Run, RunQuery, RunStatus};
use clap::Args;

use crate::{
    exit::Answer,
    output::{figure, say, say_json, table},
    remote::{RemoteArgs, trainer_error},
    runtime,
};

mod actions;
mod compare;

/// List the runs of a running stack, newest first, or act on one of them
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  mesh runs
  mesh runs --status running
  mesh runs --tag paper -q \"without replay\"
  mesh runs --limit 5 --json
  mesh runs --trainer http://127.0.0.1:18001
  mesh runs pause last
  mesh runs label last --name \"without replay\" --tag paper --tag ablation
  mesh runs rewind last --episodes-done 10 --learning-rate 0.05
  mesh runs compare 01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21 last"
)]
pub(crate) struct Runs {
    #[command(subcommand)]
    action: Option<actions::Action>,
    /// Only runs with this status: queued, running, paused, completed, stopped, cancelled or failed
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<RunStatus>,
    /// Only runs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only runs with exactly this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only runs with this algorithm
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Only runs in this preset
    #[arg(long, value_name = "PRESET")]
    preset: Option<String>,
    /// Only runs with all these words in their name, tags or notes, or whose id or digest begins with them
    #[arg(short, long, value_name = "WORDS")]
    query: Option<String>,
    /// At most this many, the newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the runs as one JSON object, as the API shows them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl Runs {
    /// Lists them, or acts.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        if let Some(action) = self.action {
            return action.run();
        }
        let trainer = self.remote.trainer()?;
        let query = RunQuery {
            status: self.status,
            tag: self.tag,
            name: self.name,
            algorithm: self.algorithm,
            preset: self.preset,
            q: self.query,
            limit: Some(self.limit),
            ..RunQuery::default()
        };
        let runs = runtime::block_on("error", async {
            trainer.runs(&query).await.map_err(|error| trainer_error(&trainer, error))
        })?;
        if self.json {
            say_json(&runs)?;
        } else if runs.items.is_empty() {
            say("no runs")?;
        } else {
            say(&list(&runs.items))?;
        }
        Ok(Answer::Yes)
    }
}

const HEADER: [&str; 8] =
    ["run", "status", "algorithm", "agents", "episodes", "decisions", "decisions/s", "created (UTC)"];

/// Names and tags have a column where one of the runs has some.
fn list(runs: &[Run]) -> String {
    let mut header = HEADER.to_vec();
    let (named, tagged) = (
        runs.iter().any(|run| run.labels.name.is_some()),
        runs.iter().any(|run| !run.labels.tags.is_empty()),
    );
    header.extend(named.then_some("name"));
    header.extend(tagged.then_some("tags"));
    let rows = runs.iter().map(|run| {
        let Labels { name, tags, .. } = &run.labels;
        let mut row = row(run);
        row.extend(named.then(|| name.clone().unwrap_or_default()));
        row.extend(tagged.then(|| tags.join(", ")));
        row
    });
    table(&header, rows)
}

fn row(run: &Run) -> Vec<String> {
    let progress = &run.progress;
    vec![
        run.id.to_string(),
        run.status.name().to_owned(),
        run.config.algorithm_name().to_owned(),
        run.config.agents.to_string(),
        format!("{}/{}", progress.episodes_done, progress.episodes_total),
        progress.decisions.to_string(),
        figure(progress.decisions_per_second, 0),
        run.created_at.format("%Y-%m-%d %H:%M:%S").to_string(),
    ]
}

fn status(text: &str) -> Result<RunStatus, String> {
    json_input::from_value(&text.into()).map_err(|mistake| mistake.to_string())
}
