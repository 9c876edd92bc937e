use std::collections::HashSet;

use api::trainer::{EpisodeMetrics, Labels, MetricsQuery, Run, RunQuery, RunStatus};
use clap::Args;
use client::{Remembrancer, Trainer};

use crate::{
    exit::Answer,
    output::{figure, say, say_json, table},
    remote::{RemoteArgs, trainer_error},
    runtime,
};

mod actions;
mod compare;
pub(crate) mod deletion;

/// List the runs of a running stack, newest first, or act on one of them
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  mesh runs
  mesh runs --status running
  mesh runs --tag paper -q \"without replay\"
  mesh runs --sort reward
  mesh runs --limit 5 --json
  mesh runs --trainer http://127.0.0.1:18001
  mesh runs pause last
  mesh runs label last --name \"without replay\" --tag paper --tag ablation
  mesh runs rewind last --episodes-done 10 --learning-rate 0.05
  mesh runs compare 01936c1e-5f6a last
  mesh runs delete 01936c1e-5f6a --reason \"its disk is full\"
  mesh runs prune --older-than 30d --reason \"older than we keep\"
  mesh runs prune --keep-gb 20 --dry-run --reason \"its disk is full\""
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
    /// What the listed ones are sorted by
    #[arg(long, value_enum, value_name = "BY", default_value_t)]
    sort: Sort,
    /// Print the runs as one JSON object, as the API shows them
    #[arg(long)]
    json: bool,
    /// The address of the remembrancer, which knows whose decisions were deleted
    #[arg(long, value_name = "URL", env = "MESH_REMEMBRANCER_URL", default_value = "http://127.0.0.1:8002")]
    remembrancer: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// What the runs that are listed are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// The newest first
    #[default]
    Created,
    /// The highest reward of the last episode first
    Reward,
    /// The highest fill of the last episode first
    Fill,
    /// By name, those without one last
    Name,
}

/// A run with the figures of its last episode, once it has one, and whether its decisions were deleted from the ledger.
struct Listed {
    run: Run,
    last: Option<EpisodeMetrics>,
    is_deleted: bool,
}

impl Runs {
    /// Lists them, or acts.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        if let Some(action) = self.action {
            return action.run();
        }
        let (trainer, remembrancer) = (self.remote.trainer()?, self.remote.remembrancer(&self.remembrancer)?);
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
        let (mut runs, listed) = runtime::block_on("error", async {
            let mut runs = trainer.runs(&query).await.map_err(|error| trainer_error(&trainer, error))?;
            let mut listed = with_figures(&trainer, std::mem::take(&mut runs.items)).await;
            if !self.json {
                mark_deleted(&remembrancer, &mut listed).await;
            }
            sort(&mut listed, self.sort);
            Ok((runs, listed))
        })?;
        if self.json {
            runs.items = listed.into_iter().map(|listed| listed.run).collect();
            say_json(&runs)?;
        } else if listed.is_empty() {
            say("no runs")?;
        } else {
            say(&list(&listed))?;
        }
        Ok(Answer::Yes)
    }
}

/// The runs with their figures; what the trainer does not say of one is not known.
async fn with_figures(trainer: &Trainer, runs: Vec<Run>) -> Vec<Listed> {
    let mut listed = Vec::with_capacity(runs.len());
    for run in runs {
        let mut last = None;
        if let Some(episode) = run.progress.episodes_done.checked_sub(1) {
            let query =
                MetricsQuery { from: Some(episode.into()), limit: Some(1), ..MetricsQuery::default() };
            last = trainer.episode_metrics(run.id, &query).await.ok().and_then(|mut page| page.items.pop());
        }
        listed.push(Listed { run, last, is_deleted: false });
    }
    listed
}

/// Marks those whose decisions were deleted. A ledger that does not answer marks none, for runs are listed without it too.
async fn mark_deleted(remembrancer: &Remembrancer, runs: &mut [Listed]) {
    for listed in runs {
        // nothing of a run is deleted before it has ended
        if listed.run.status.is_final() && listed.run.progress.decisions_recorded > 0 {
            match remembrancer.run_head(&listed.run.digest).await {
                Ok(head) => listed.is_deleted = head.deletion.is_some(),
                Err(error) if error.problem().is_some() => {}
                Err(_) => return,
            }
        }
    }
}

fn sort(runs: &mut [Listed], by: Sort) {
    let highest = |of: fn(&EpisodeMetrics) -> Option<f64>| {
        move |listed: &Listed| listed.last.as_ref().and_then(of).unwrap_or(f64::NEG_INFINITY)
    };
    match by {
        Sort::Created => {}
        Sort::Reward => {
            let of = highest(|last| last.avg_reward);
            runs.sort_by(|a, b| of(b).total_cmp(&of(a)));
        }
        Sort::Fill => {
            let of = highest(|last| last.fill_rate);
            runs.sort_by(|a, b| of(b).total_cmp(&of(a)));
        }
        Sort::Name => runs.sort_by_key(|listed| {
            let name = listed.run.labels.name.clone();
            (name.is_none(), name)
        }),
    }
}

/// The most important columns first; names and tags have one where one of the runs has some.
fn list(runs: &[Listed]) -> String {
    let (named, tagged) = (
        runs.iter().any(|listed| listed.run.labels.name.is_some()),
        runs.iter().any(|listed| !listed.run.labels.tags.is_empty()),
    );
    let mut header = vec!["run", "status"];
    header.extend(named.then_some("name"));
    header.extend(["algorithm", "episodes", "reward", "fill", "created (UTC)", "agents", "decisions"]);
    header.extend(tagged.then_some("tags"));
    let digits = digits(runs);
    let rows = runs.iter().map(|Listed { run, last, is_deleted }| {
        let (progress, Labels { name, tags, .. }) = (&run.progress, &run.labels);
        let mut row = vec![run.id.to_string()[..digits].to_owned(), run.status.name().to_owned()];
        row.extend(named.then(|| name.clone().unwrap_or_default()));
        row.extend([
            run.config.algorithm_name().to_owned(),
            format!("{}/{}", progress.episodes_done, progress.episodes_total),
            figure(last.as_ref().and_then(|last| last.avg_reward), 2),
            figure(last.as_ref().and_then(|last| last.fill_rate), 4),
            run.created_at.format("%m-%d %H:%M:%S").to_string(),
            run.config.agents.to_string(),
            format!("{}{}", progress.decisions, if *is_deleted { " (deleted)" } else { "" }),
        ]);
        row.extend(tagged.then(|| tags.join(", ")));
        row
    });
    table(&header, rows)
}

/// How much of an id tells each of the runs from the others; the beginning of an id is the time, which those that were
/// started together share.
fn digits(runs: &[Listed]) -> usize {
    let ids: Vec<String> = runs.iter().map(|listed| listed.run.id.to_string()).collect();
    let tells = |digits: usize| {
        let beginnings: HashSet<&str> = ids.iter().map(|id| &id[..digits]).collect();
        beginnings.len() == ids.len()
    };
    [8, 13, 18, 23].into_iter().find(|digits| tells(*digits)).unwrap_or(36)
}

fn status(text: &str) -> Result<RunStatus, String> {
    json_input::from_value(&text.into()).map_err(|mistake| mistake.to_string())
}

#[cfg(test)]
mod tests {
    use api::trainer::NewRun;
    use serde_json::{Value, json};

    use super::*;

    fn listed(id: &str, reward: Option<f64>, name: Option<&str>) -> Listed {
        let progress = json!({"episodes_done": 0, "episodes_total": 1, "step": 0, "decisions": 0, "decisions_recorded": 0});
        let mut run: Value = json!({
            "id": id, "digest": "0".repeat(64), "status": "completed", "config": NewRun::default(),
            "created_at": "2026-03-01T00:00:00Z", "progress": progress, "reproducible": true, "tags": []});
        if let Some(name) = name {
            run["name"] = name.into();
        }
        let last = |reward| EpisodeMetrics { avg_reward: Some(reward), ..EpisodeMetrics::default() };
        let run = serde_json::from_value(run).unwrap();
        Listed { run, last: reward.map(last), is_deleted: false }
    }

    #[test]
    fn runs_that_began_together_are_told_apart_by_more_of_their_ids() {
        let one = listed("01a224db-67b6-73fc-9843-0ed3ef1b36de", None, None);
        let later = listed("01a224dc-0000-73fc-9843-0ed3ef1b36de", None, None);
        let at_once = listed("01a224db-67b6-7444-9843-0ed3ef1b36de", None, None);
        assert_eq!(digits(&[]), 8);
        let two = [one, later];
        assert_eq!(digits(&two), 8);
        let [one, later] = two;
        assert_eq!(digits(&[one, later, at_once]), 18);
    }

    #[test]
    fn a_run_whose_decisions_were_deleted_is_marked() {
        let kept = listed("01a224db-67b6-73fc-9843-0ed3ef1b36de", None, None);
        let deleted =
            Listed { is_deleted: true, ..listed("01a224dc-67b6-73fc-9843-0ed3ef1b36de", None, None) };
        let text = list(&[kept, deleted]);
        let rows = text.lines().filter(|line| line.starts_with("│ 01a224d"));
        let marks: Vec<bool> = rows.map(|row| row.contains("0 (deleted)")).collect();
        assert_eq!(marks, [false, true], "{text}");
    }

    #[test]
    fn a_list_is_sorted_by_reward_or_by_name_and_what_has_none_comes_last() {
        let mut runs = [
            listed("01a224db-67b6-73fc-9843-0ed3ef1b36de", None, Some("b")),
            listed("01a224dc-67b6-73fc-9843-0ed3ef1b36de", Some(1.0), None),
            listed("01a224dd-67b6-73fc-9843-0ed3ef1b36de", Some(2.0), Some("a")),
        ];
        let order =
            |runs: &[Listed]| runs.iter().map(|l| l.run.id.to_string()[7..8].to_owned()).collect::<String>();
        sort(&mut runs, Sort::Reward);
        assert_eq!(order(&runs), "dcb");
        sort(&mut runs, Sort::Name);
        assert_eq!(order(&runs), "dbc");
    }
}
