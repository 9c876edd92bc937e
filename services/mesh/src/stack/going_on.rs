//! The runs that an earlier stack left, and that a new one takes up by itself: nobody should have to find out from the
//! load of the machine.

use api::trainer::{Run, RunQuery, RunStatus};
use client::{ClientError, Trainer};

use crate::hints;

/// A line for each run that goes on by itself.
///
/// # Errors
/// The trainer does not say which there are.
pub(crate) async fn going_on(trainer: &Trainer) -> Result<Vec<String>, ClientError> {
    let mut runs: Vec<Run> = Vec::new();
    for status in [RunStatus::Running, RunStatus::Queued] {
        let query = RunQuery { status: Some(status), ..RunQuery::default() };
        runs.extend(trainer.runs(&query).await?.items);
    }
    let url = &trainer.endpoint().url;
    Ok(runs.iter().map(|run| line(run, url)).collect())
}

fn line(run: &Run, trainer: &str) -> String {
    let progress = &run.progress;
    format!(
        "run {} of {} UTC goes on by itself, {} of {} episodes done; to end it: {} {} --trainer {trainer}",
        run.id,
        run.created_at.format("%Y-%m-%d %H:%M"),
        progress.episodes_done,
        progress.episodes_total,
        hints::command("runs cancel"),
        run.id,
    )
}
