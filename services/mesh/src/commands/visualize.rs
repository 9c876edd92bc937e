use std::path::{Path, PathBuf};

use api::evaluator::Evaluation;
use clap::Args;
use serde::Serialize;

use crate::{
    exit::{Answer, usage},
    files::{read, writable_folder},
    output::{note, say, say_json},
    visualization::{draw_evaluation, draw_training},
};

/// Draw a run's metrics or an evaluation as SVG, PNG and one HTML page
///
/// From training_metrics.csv: training_curves and swarm_consciousness (.svg and .png), and training_report.html, which
/// also shows the evaluation.json beside it if there is one. From evaluation.json: policy_comparison, learning_curve,
/// gain_over_time, reward_by_seed, fill_by_tenant and fill_by_job_size (.svg and .png), and report.html. From pareto.json:
/// pareto (.svg and .png), and pareto_report.html. The pages open offline. A chart without data is left out; a cell without data is a gap.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh visualize out/training_metrics.csv
  mesh visualize out/evaluation.json --output charts
  mesh visualize out/training_metrics.csv --json")]
pub(crate) struct Visualize {
    /// training_metrics.csv or evaluation.json, as `mesh train` writes them, or pareto.json of `mesh pareto`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder for the charts and the page [default: beside the file]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Output<'a> {
    report: &'a Path,
    files: &'a [PathBuf],
}

impl Visualize {
    /// Draws, and tells which files there are now.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let name = self.file.display().to_string();
        let content = read(&self.file)?;
        let beside = self.file.parent().unwrap_or(Path::new(""));
        let folder = self.output.as_deref().unwrap_or(beside);
        let files = if content.trim_ascii_start().starts_with(b"{") {
            let evaluation = evaluation(&content).map_err(|why| usage(format!("{name}: {why}")))?;
            self.make_folder()?;
            draw_evaluation(folder, &evaluation)?
        } else {
            let episodes = plots::episodes(&name, &content).map_err(|why| usage(why.to_string()))?;
            let evaluation = evaluation_beside(beside)?;
            self.make_folder()?;
            let mut files = match &evaluation {
                Some(evaluation) => draw_evaluation(folder, evaluation)?,
                None => Vec::new(),
            };
            files.extend(draw_training(folder, &episodes, evaluation.as_ref())?);
            files
        };
        if let (true, Some(report)) = (self.json, files.last()) {
            say_json(&Output { report, files: &files })?;
        } else {
            for file in &files {
                say(&file.display().to_string())?;
            }
        }
        Ok(Answer::Yes)
    }

    /// Only once it is known that there is something to draw.
    fn make_folder(&self) -> anyhow::Result<()> {
        self.output.as_deref().map_or(Ok(()), writable_folder)
    }
}

/// The evaluation of the run whose metrics are in this folder. One that cannot be read takes nothing from the
/// run's own charts.
fn evaluation_beside(folder: &Path) -> anyhow::Result<Option<Evaluation>> {
    let path = folder.join("evaluation.json");
    if !path.exists() {
        return Ok(None);
    }
    match evaluation(&read(&path)?) {
        Ok(evaluation) => Ok(Some(evaluation)),
        Err(why) => {
            note(&format!("{} is left out: {why}", path.display()));
            Ok(None)
        }
    }
}

fn evaluation(content: &[u8]) -> Result<Evaluation, String> {
    let evaluation: Evaluation = json_input::from_slice(content).map_err(|error| {
        format!(
            "this is no evaluation of this version: {error}; expected an evaluation.json as `mesh train` and \
             `mesh evaluate --output` write it"
        )
    })?;
    if evaluation.result.is_none() {
        let status = evaluation.error.unwrap_or_else(|| "it was still at work when this was written".into());
        return Err(format!("this evaluation has no result: {status}"));
    }
    Ok(evaluation)
}
