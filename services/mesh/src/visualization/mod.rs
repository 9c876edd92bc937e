//! Charts and pages of what a run or an evaluation left.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::{evaluator::Evaluation, trainer::EpisodeMetrics};
use plots::{Figure, evaluation_figures, training_figures};

use crate::files::write;

mod training_page;

/// The names of an evaluation's files. Those of fronts have others, so that both can be in one folder.
pub(crate) struct EvaluationFiles {
    pub(crate) json: &'static str,
    pub(crate) csv: &'static str,
    pub(crate) receipt: &'static str,
    report: &'static str,
}

impl EvaluationFiles {
    /// Of this one.
    pub(crate) fn of(evaluation: &Evaluation) -> Self {
        match evaluation.config.preferences {
            None => Self {
                json: "evaluation.json",
                csv: "evaluation.csv",
                receipt: "evaluation_receipt.json",
                report: "report.html",
            },
            Some(_) => Self {
                json: "pareto.json",
                csv: "pareto.csv",
                receipt: "pareto_receipt.json",
                report: "pareto_report.html",
            },
        }
    }
}

/// Writes a run's charts as SVG and PNG, and `training_report.html`, which also shows the evaluation. The page comes
/// last.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn draw_training(
    folder: &Path,
    episodes: &[EpisodeMetrics],
    evaluation: Option<&Evaluation>,
) -> anyhow::Result<Vec<PathBuf>> {
    let result = evaluation.and_then(|evaluation| evaluation.result.as_ref());
    let mut files = draw(folder, &training_figures(episodes, result))?;
    let page = training_page::page(episodes, result)?;
    let path = folder.join("training_report.html");
    write(&path, page.html()?.as_bytes())?;
    files.push(path);
    Ok(files)
}

/// Writes an evaluation's charts as SVG and PNG, and its report. The page comes last.
///
/// # Errors
/// It has no result, or a file cannot be written.
pub(crate) fn draw_evaluation(folder: &Path, evaluation: &Evaluation) -> anyhow::Result<Vec<PathBuf>> {
    let result = evaluation.result.as_ref().context("an evaluation without a result cannot be drawn")?;
    let mut files =
        draw(folder, &evaluation_figures(result, &evaluator::conversion::from_wire(result).titles()))?;
    let page = evaluator::report_page::report_page(evaluation, result)?;
    let path = folder.join(EvaluationFiles::of(evaluation).report);
    write(&path, page.html()?.as_bytes())?;
    files.push(path);
    Ok(files)
}

fn draw(folder: &Path, figures: &[Figure]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::with_capacity(figures.len() * 2 + 1);
    for figure in figures {
        for (ending, content) in [("svg", figure.svg()?.into_bytes()), ("png", figure.png()?)] {
            let path = folder.join(format!("{}.{ending}", figure.name));
            write(&path, &content)?;
            files.push(path);
        }
    }
    Ok(files)
}
