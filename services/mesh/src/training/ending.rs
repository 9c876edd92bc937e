//! What `mesh train` says at its end.

use std::path::{Path, PathBuf};

use api::trainer::{Run, RunStatus};

use super::outcome::{RunFiles, quoted};
use crate::{evaluation, hints, stack::disk::size};

/// How a run has ended, for people.
pub(crate) struct Ending<'a> {
    pub(crate) run: &'a Run,
    pub(crate) files: &'a RunFiles,
    /// The data folder of a stack of its own.
    pub(crate) data_dir: Option<&'a Path>,
    /// The command that resumes a run that has not completed.
    pub(crate) resume: &'a str,
    /// All there is, not what it comes to.
    pub(crate) details: bool,
}

impl Ending<'_> {
    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.files.result().map(|result| evaluation::told(result, self.details)));
        let mut lines = self.run_lines();
        if self.details {
            lines.extend(self.detail_lines());
        }
        lines.extend(self.place_lines());
        parts.push(lines.join("\n"));
        parts.join("\n\n")
    }

    fn run_lines(&self) -> Vec<String> {
        let Run { id, status, progress, config, .. } = self.run;
        let mut lines = vec![format!(
            "Run {id} {} after {} of {} episodes.",
            words(*status),
            progress.episodes_done,
            config.episodes
        )];
        lines.extend(self.run.run_root.map(|root| line("run root", &root.to_string())));
        if !self.run.reproducible {
            lines.push("  not reproducible: it ran without psi-field for some time".into());
        }
        lines
    }

    fn detail_lines(&self) -> Vec<String> {
        let progress = &self.run.progress;
        let rate =
            progress.decisions_per_second.map_or_else(String::new, |rate| format!(", {rate:.0} a second"));
        let mut lines = vec![line(
            "decisions",
            &format!("{}, {} of them recorded{rate}", progress.decisions, progress.decisions_recorded),
        )];
        lines.extend(self.files.anomalies.map(|anomalies| {
            let interventions = self.files.interventions();
            line("psi-field", &format!("anomalies: {anomalies}, interventions: {interventions}"))
        }));
        lines.extend(self.files.further.iter().map(|training| {
            line("training", &format!("run {}, seeds from {}", training.run_id, training.seed))
        }));
        lines.push(line("files", &shown(&self.files.folder)));
        lines
    }

    /// Where everything is, and what can be done with it.
    fn place_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.data_dir.map(|folder| {
            let size =
                size(folder).map_or_else(String::new, |bytes| format!(", {:.1} GB", bytes as f64 / 1e9));
            line("data", &format!("{}{size}", folder.display()))
        }));
        lines.extend(self.files.report().map(|report| line("report", &shown(&report))));
        let receipts: Vec<&PathBuf> = self.files.receipt.iter().chain(&self.files.decision_receipt).collect();
        let verified =
            if self.details { &receipts[..] } else { &receipts[receipts.len().saturating_sub(1)..] };
        for receipt in verified {
            lines.push(line("verify", &hints::command(&format!("verify {}", quoted(&shown(receipt))))));
        }
        match (self.run.status, &self.files.checkpoint) {
            (RunStatus::Completed, _) => {}
            (_, Some(_)) => lines.push(line("resume", self.resume)),
            (_, None) => lines.push("  It had no checkpoint yet: start again.".into()),
        }
        lines
    }
}

fn line(what: &str, is: &str) -> String {
    format!("  {what:<10} {is}")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn words(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "is queued",
        RunStatus::Running => "is running",
        RunStatus::Paused => "is paused",
        RunStatus::Completed => "completed",
        RunStatus::Stopped => "stopped",
        RunStatus::Cancelled => "was cancelled",
        RunStatus::Failed => "failed",
    }
}
