//! Two runs side by side, for people.

use api::trainer::{ComparedRun, RunComparison, SideBySide};
use clap::Args;

use crate::{
    exit::Answer,
    hints,
    output::{figure, say, say_json, table},
    remote::{RemoteArgs, RunName, trainer_error},
    runtime,
};

/// Which ones.
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The first run's id or its first digits, or `last`
    #[arg(value_name = "A")]
    a: RunName,
    /// The second run's id or its first digits, or `last`
    #[arg(value_name = "B")]
    b: RunName,
    /// Print the comparison as one JSON object, as the API shows it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl Compare {
    /// Compares them.
    pub(super) fn run(self) -> anyhow::Result<Answer> {
        let trainer = self.remote.trainer()?;
        let comparison = runtime::block_on("error", async {
            let (a, b) = (self.a.id(&trainer).await?, self.b.id(&trainer).await?);
            trainer.compare_runs(a, b).await.map_err(|error| trainer_error(&trainer, error))
        })?;
        if self.json {
            say_json(&comparison)?
        } else {
            say(&text(&comparison))?
        }
        Ok(Answer::Yes)
    }
}

fn text(comparison: &RunComparison) -> String {
    let RunComparison { a, b, configuration, metrics, .. } = comparison;
    let mut lines = vec![run_line("a", a), run_line("b", b), roots(comparison), String::new()];
    for difference in configuration {
        let value = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or_else(|| "-".to_owned(), |value| value.to_string())
        };
        lines.push(format!("  {}: {} | {}", difference.pointer, value(&difference.a), value(&difference.b)));
    }
    if configuration.is_empty() {
        lines.push("  the configurations are the same".into());
    }
    if metrics.is_empty() {
        lines.push("  no episode that both have done yet".into());
        return lines.join("\n");
    }
    lines.push(String::new());
    let last = format!("episode {}", comparison.common_episodes);
    let mean = format!("mean of {}", comparison.episodes_in_mean);
    let header = ["metric", &format!("{last}: a"), "b", "b - a", &format!("{mean}: a"), "b", "b - a"];
    let figures = |side: &SideBySide| [side.a, side.b, side.difference].map(|value| figure(value, 4));
    let rows = metrics.iter().map(|metric| {
        let mut row = vec![metric.metric.clone()];
        row.extend(figures(&metric.last).into_iter().chain(figures(&metric.mean)));
        row
    });
    lines.push(table(&header, rows));
    lines.push(hints::with_commands(
        "These figures describe two runs; `mesh evaluate` says with intervals which policy is better.",
    ));
    lines.join("\n")
}

fn run_line(letter: &str, run: &ComparedRun) -> String {
    let name = run.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    format!("{letter}: {}{name}, {} after {} episodes", run.id, run.status.name(), run.episodes_done)
}

fn roots(comparison: &RunComparison) -> String {
    match (comparison.same_run_root, &comparison.parted, comparison.same_until_episode) {
        (None, ..) => "No run root of both yet.".into(),
        (Some(true), ..) => "Both decided the same: their run roots are equal.".into(),
        (Some(false), Some(parted), None) => {
            format!(
                "Their run roots differ at the first checkpoint of both, after episode {}.",
                parted.episodes_done
            )
        }
        (Some(false), Some(parted), Some(same)) => format!(
            "Their run roots are equal after episode {same} and differ after episode {}.",
            parted.episodes_done
        ),
        (Some(false), None, _) => "Their run roots differ after the checkpoints that both have.".into(),
    }
}
