//! What a run leaves behind: its files, and its summary for programs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::{
    Hash,
    evaluator::{Evaluation, EvaluationResult},
    remembrancer::{Evidence, LeafQuery, RecordQuery},
    trainer::{EpisodeMetrics, MetricsQuery, PsiFieldMode, Recording, Run, RunStatus},
};
use client::{ClientError, Remembrancer, Trainer, retry_while_transient};
use records::{
    Body as _,
    psi::{Anomaly, subject},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::trainings::Training;
use crate::{
    connection::Connection,
    files::write,
    known_ledger::KnownLedger,
    visualization::{EvaluationFiles, draw_evaluation, draw_training},
};

/// The files of a run in the output folder.
pub(crate) struct RunFiles {
    pub(super) folder: PathBuf,
    episodes: Vec<EpisodeMetrics>,
    /// What psi-field found in the run; absent where it was not asked.
    pub(super) anomalies: Option<usize>,
    pub(super) checkpoint: Option<PathBuf>,
    policy: Option<PathBuf>,
    pub(super) receipt: Option<PathBuf>,
    pub(super) decision_receipt: Option<PathBuf>,
    evaluation: Option<Evaluation>,
    /// The same swarm's other trainings.
    pub(crate) further: Vec<Training>,
}

/// The answer of `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    run_id: Uuid,
    run_digest: Hash,
    run_root: Option<Hash>,
    status: RunStatus,
    decisions: u64,
    decisions_recorded: u64,
    decisions_per_second: Option<f64>,
    anomalies: Option<usize>,
    interventions: u32,
    checkpoint: Option<&'a Path>,
    policy: Option<&'a Path>,
    output: &'a Path,
    further_trainings: &'a [Training],
    evaluation: Option<&'a EvaluationResult>,
}

impl RunFiles {
    /// Fetches everything that an ended run left behind, and writes it.
    ///
    /// # Errors
    /// A service refuses, or a file cannot be written.
    pub(crate) async fn fetch(
        trainer: &Trainer,
        connection: &Connection,
        run: &Run,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let remembrancer = &connection.remembrancer;
        let query = MetricsQuery::default();
        let metrics = retrying(|| trainer.metrics_csv(run.id, &query)).await.context("the run's metrics")?;
        write(&folder.join("training_metrics.csv"), metrics.as_bytes())?;
        // a run that was stopped in its first episode has a header alone
        let episodes = if run.progress.episodes_done == 0 {
            Vec::new()
        } else {
            plots::episodes("the run's metrics", metrics.as_bytes())?
        };
        let mut files = Self {
            folder: folder.to_owned(),
            episodes,
            anomalies: match run.config.psi_field {
                PsiFieldMode::Off => None,
                _ => Some(anomalies(remembrancer, run.id).await.context("the run's anomalies")?),
            },
            checkpoint: None,
            policy: None,
            receipt: None,
            decision_receipt: None,
            evaluation: None,
            further: Vec::new(),
        };
        if let Some(checkpoint) = &run.checkpoint {
            files.checkpoint =
                Some(artifact(remembrancer, &checkpoint.sha256, folder, "swarm_checkpoint.json").await?);
        }
        if let Some(sha256) = &run.policy_sha256 {
            files.policy = Some(artifact(remembrancer, sha256, folder, "swarm_final.json").await?);
        }
        files.prove(connection, run).await?;
        Ok(files)
    }

    /// Writes the proofs of the run's record and of its last decision. Once more at the end, they are of the whole log: one of a
    /// smaller log would leave open whether that only grew since.
    ///
    /// # Errors
    /// The ledger refuses, or a file cannot be written.
    pub(crate) async fn prove(&mut self, connection: &Connection, run: &Run) -> anyhow::Result<()> {
        let (ledger, folder) = (&connection.ledger, &self.folder);
        if let Some(record) = &run.record_id {
            let leaf = LeafQuery { record: Some(record.clone()), ..LeafQuery::default() };
            self.receipt = Some(evidence(ledger, &leaf, folder, "ledger_receipt.json").await?);
        }
        if run.config.recording == Recording::All && run.progress.decisions > 0 {
            let sequence = Some(run.progress.decisions - 1);
            let leaf = LeafQuery { run: Some(run.digest), sequence, ..LeafQuery::default() };
            self.decision_receipt = Some(evidence(ledger, &leaf, folder, "decision_receipt.json").await?);
        }
        Ok(())
    }

    /// Writes an evaluation beside the other files.
    ///
    /// # Errors
    /// A file cannot be written, or a service refuses.
    pub(crate) async fn add_evaluation(
        &mut self,
        connection: &Connection,
        evaluation: Evaluation,
    ) -> anyhow::Result<()> {
        write_evaluation(connection, &evaluation, &self.folder).await?;
        self.evaluation = Some(evaluation);
        Ok(())
    }

    /// Draws the run's charts and its page, with the evaluation when there is one.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn draw(&self) -> anyhow::Result<()> {
        if !self.episodes.is_empty() {
            draw_training(&self.folder, &self.episodes, self.evaluation.as_ref())?;
        }
        Ok(())
    }

    pub(super) fn result(&self) -> Option<&EvaluationResult> {
        self.evaluation.as_ref().and_then(|evaluation| evaluation.result.as_ref())
    }

    /// Interventions that were applied in the run.
    pub(super) fn interventions(&self) -> u32 {
        self.episodes.iter().map(|episode| episode.interventions).sum()
    }

    /// The answer of `--json`.
    pub(crate) fn summary<'a>(&'a self, run: &Run) -> Summary<'a> {
        Summary {
            run_id: run.id,
            run_digest: run.digest,
            run_root: run.run_root,
            status: run.status,
            decisions: run.progress.decisions,
            decisions_recorded: run.progress.decisions_recorded,
            decisions_per_second: run.progress.decisions_per_second,
            anomalies: self.anomalies,
            interventions: self.interventions(),
            checkpoint: self.checkpoint.as_deref(),
            policy: self.policy.as_deref(),
            output: &self.folder,
            further_trainings: &self.further,
            evaluation: self.result(),
        }
    }

    /// The page to read first: that of the evaluation, else that of the episodes; none of a run without any.
    pub(super) fn report(&self) -> Option<PathBuf> {
        let training = (!self.episodes.is_empty()).then_some("training_report.html");
        let page = if self.evaluation.is_some() { Some("report.html") } else { training };
        page.map(|page| self.folder.join(page))
    }

    /// Where the checkpoint is, if there is one.
    pub(crate) fn checkpoint(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }
}

/// Writes an evaluation as JSON, its results as CSV, its values as JSON and CSV where they are kept, its receipt, the charts and
/// the report.
///
/// # Errors
/// A file cannot be written, or a service refuses.
pub(crate) async fn write_evaluation(
    connection: &Connection,
    evaluation: &Evaluation,
    folder: &Path,
) -> anyhow::Result<()> {
    let files = EvaluationFiles::of(evaluation);
    let csv = retrying(|| connection.evaluator.results_csv(evaluation.id));
    let csv = csv.await.context("the evaluation's CSV")?;
    write(&folder.join(files.csv), csv.as_bytes())?;
    if evaluation.result.as_ref().is_some_and(|result| result.values_sha256.is_some()) {
        let values = retrying(|| connection.evaluator.values_csv(evaluation.id));
        write(
            &folder.join("evaluation_values.csv"),
            values.await.context("the evaluation's values")?.as_bytes(),
        )?;
        let values = retrying(|| connection.evaluator.values(evaluation.id));
        let values = values.await.context("the evaluation's values")?;
        let values = serde_json::to_vec(&values).context("the evaluation's values as JSON")?;
        write(&folder.join("evaluation_values.json"), &values)?;
    }
    let json = serde_json::to_vec_pretty(evaluation).context("the evaluation as JSON")?;
    write(&folder.join(files.json), &json)?;
    if let Some(record) = &evaluation.record_id {
        let leaf = LeafQuery { record: Some(record.clone()), ..LeafQuery::default() };
        evidence(&connection.ledger, &leaf, folder, files.receipt).await?;
    }
    draw_evaluation(folder, evaluation)?;
    Ok(())
}

/// Writes evidence as `mesh verify` reads it.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_evidence(path: &Path, evidence: &Evidence) -> anyhow::Result<()> {
    // without white space: then every byte of the file counts when it is verified
    write(path, &serde_json::to_vec(evidence).context("the evidence as JSON")?)
}

/// A word as the shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Repeats a call while the service is away: what was trained must not be lost for a moment's absence.
pub(crate) async fn retrying<T, Fut>(call: impl FnMut() -> Fut) -> Result<T, ClientError>
where
    Fut: Future<Output = Result<T, ClientError>>,
{
    let never = CancellationToken::new();
    retry_while_transient(&never, call, |wait| tracing::warn!(error = %wait.error, "trying again")).await
}

/// How many anomalies the ledger has of a run's swarm.
async fn anomalies(remembrancer: &Remembrancer, run: Uuid) -> anyhow::Result<usize> {
    let mut query = RecordQuery {
        kind: Some(Anomaly::KIND.record_kind()),
        subject: Some(subject(&run.to_string())),
        limit: Some(1000),
        ..RecordQuery::default()
    };
    let mut found = 0;
    loop {
        let page = retrying(|| remembrancer.records(&query)).await?;
        found += page.items.len();
        match page.next_cursor {
            None => return Ok(found),
            cursor => query.cursor = cursor,
        }
    }
}

async fn artifact(
    remembrancer: &Remembrancer,
    sha256: &Hash,
    folder: &Path,
    name: &str,
) -> anyhow::Result<PathBuf> {
    let content = retrying(|| remembrancer.artifact(sha256)).await.with_context(|| name.to_owned())?;
    let path = folder.join(name);
    write(&path, &content)?;
    Ok(path)
}

async fn evidence(
    ledger: &KnownLedger,
    leaf: &LeafQuery,
    folder: &Path,
    name: &str,
) -> anyhow::Result<PathBuf> {
    let proved = ledger.evidence(leaf).await.with_context(|| name.to_owned())?;
    let path = folder.join(name);
    write_evidence(&path, &proved.evidence)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_where_the_shell_needs_it() {
        assert_eq!(quoted("out/swarm_checkpoint.json"), "out/swarm_checkpoint.json");
        assert_eq!(quoted("my out"), "'my out'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
