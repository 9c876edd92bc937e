use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use api::remembrancer::{Artifact, LeafQuery, NewRecord, RecordKind, RecordReceipt};
use clap::{Args, Subcommand};
use client::{ClientError, Deadline, Ledger, Remembrancer, watched_log::Proved};
use records::{
    Body,
    deployment::{Deployment, Evidence},
    note,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{Answer, usage},
    hints,
    known_ledger::KnownLedger,
    output::{say, say_json},
    remote::{LedgerArgs, ledger_error},
    runtime,
    training::outcome::{quoted, write_evidence},
};

/// How long a remembrancer that was there a moment ago is waited for.
const RECORD_DEADLINE: Duration = Duration::from_secs(10);

/// Record a deployment or a note in a running stack's ledger
///
/// Recording the same again returns the first receipt; nothing is recorded twice.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh record deploy --component ai-mesh-training --version 1.4.2 --evidence tests.log
  mesh record note --subject run:01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21 \"Prices of 1 March\"")]
pub(crate) struct Record {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Deploy(Deploy),
    Note(Note),
}

/// Record that a version of a component was deployed, with the evidence for it
///
/// The evidence (a test report, an approval, a build log) is stored under its SHA-256, and the record names it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh record deploy --component ai-mesh-training --version 1.4.2 --evidence tests.log
  mesh record deploy --component psi-field --version 2.0.0 --evidence approval.pdf --receipt receipt.json
  mesh verify receipt.json")]
struct Deploy {
    /// The component that was deployed
    #[arg(long, value_name = "NAME", value_parser = name)]
    component: String,
    /// The version of it
    #[arg(long, value_name = "VERSION", value_parser = name)]
    version: String,
    /// The evidence: a file of any kind
    #[arg(long, value_name = "FILE")]
    evidence: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Record anything else worth remembering
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh record note --subject run:01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21 \"Prices of 1 March\"")]
struct Note {
    /// The subject that the note is about
    #[arg(long, value_name = "SUBJECT", value_parser = name)]
    subject: String,
    /// The note
    #[arg(value_name = "TEXT", value_parser = text)]
    text: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Write the log's evidence for the record to this file, for `mesh verify`
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    receipt: &'a RecordReceipt,
    kind: &'a RecordKind,
    subject: &'a str,
    body: &'a Map<String, Value>,
    /// The log's evidence, which `mesh verify` reads.
    evidence_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt_file: Option<&'a Path>,
}

impl Record {
    /// Records it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match self.what {
            What::Deploy(deploy) => deploy.run(),
            What::Note(note) => note.run(),
        }
    }
}

impl Deploy {
    fn run(self) -> anyhow::Result<Answer> {
        let Self { component, version, evidence, common } = self;
        let remembrancer = common.ledger.remembrancer()?;
        let content = read_evidence(&evidence)?;
        let file_name = evidence.file_name().unwrap_or_default().to_string_lossy().into_owned();
        runtime::block_on("error", async {
            let ledger = common.ledger.meet(&remembrancer).await?;
            let Artifact { sha256, size_bytes, .. } = remembrancer
                .put_artifact(media_type(&evidence), content)
                .await
                .map_err(|error| refused(&remembrancer, &evidence, error))?;
            let evidence = Evidence { sha256, size_bytes, file_name };
            let deployment = Deployment { component, version, evidence };
            common.record(&remembrancer, &ledger, &deployment).await
        })
    }
}

impl Note {
    fn run(self) -> anyhow::Result<Answer> {
        let remembrancer = self.common.ledger.remembrancer()?;
        runtime::block_on("error", async {
            let note = note::Note { about: self.subject, text: self.text };
            let ledger = self.common.ledger.meet(&remembrancer).await?;
            self.common.record(&remembrancer, &ledger, &note).await
        })
    }
}

impl Common {
    async fn record(
        &self,
        remembrancer: &Remembrancer,
        ledger: &KnownLedger,
        body: &impl Body,
    ) -> anyhow::Result<Answer> {
        let record = body.to_record()?;
        // Under a spare id, when a stranger's record stands under its own.
        let deadline = Deadline::shutting_down(CancellationToken::new()).within(RECORD_DEADLINE);
        let receipt = Ledger::new(remembrancer.clone(), deadline).append_body(body).await?;
        let leaf = LeafQuery { record: Some(receipt.id.clone()), ..LeafQuery::default() };
        let proved =
            ledger.evidence(&leaf).await.context("the receipt that came for the record is not proved")?;
        check(&record, &receipt, &proved)?;
        if let Some(path) = &self.receipt {
            let written = write_evidence(path, &proved.evidence);
            written
                .with_context(|| format!("the record {} is in the log, but not its receipt", receipt.id))?;
        }
        let base = remembrancer.endpoint().url.trim_end_matches('/');
        let evidence_url = format!("{base}/v1/log/evidence?record={}", receipt.id);
        if self.json {
            say_json(&Output {
                receipt: &receipt,
                kind: &record.kind,
                subject: &record.subject,
                body: &record.body,
                evidence_url: &evidence_url,
                receipt_file: self.receipt.as_deref(),
            })?;
        } else {
            say(&sentences(&receipt, &record, &evidence_url, self.receipt.as_deref()))?;
        }
        Ok(Answer::Yes)
    }
}

/// Whether what is proved is what was to be recorded, where the receipt says.
fn check(record: &NewRecord, receipt: &RecordReceipt, proved: &Proved) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Leaf {
        subject: String,
        body: Map<String, Value>,
    }
    let leaf: Leaf =
        serde_json::from_str(&proved.verified.record).context("reading the record that the log proves")?;
    let place = (proved.verified.log_index, api::Hash(proved.verified.leaf_hash));
    ensure!(
        (leaf.subject.as_str(), &leaf.body) == (&record.subject, &record.body),
        "the log proves another record under the id {}: it was not recorded",
        receipt.id
    );
    ensure!(
        place == (receipt.log_index, receipt.leaf_hash),
        "the receipt of {} is not of its place in the log",
        receipt.id
    );
    Ok(())
}

fn sentences(receipt: &RecordReceipt, record: &NewRecord, evidence_url: &str, file: Option<&Path>) -> String {
    let mut lines = vec![
        format!("Recorded: {}", record.subject),
        format!("  id         {}", receipt.id),
        format!("  log index  {}", receipt.log_index),
    ];
    if let Some(evidence) = record.body.get("evidence") {
        lines.push(format!(
            "  evidence   {} ({}, {} bytes)",
            evidence["sha256"].as_str().unwrap_or_default(),
            evidence["file_name"].as_str().unwrap_or_default(),
            evidence["size_bytes"],
        ));
    }
    match file {
        Some(file) => lines.push(format!(
            "  verify     {}",
            hints::command(&format!("verify {}", quoted(&file.display().to_string())))
        )),
        None => lines.push(format!(
            "  verify     curl -s {} -o receipt.json && {}",
            quoted(evidence_url),
            hints::command("verify receipt.json")
        )),
    }
    lines.join("\n")
}

fn read_evidence(path: &Path) -> anyhow::Result<Vec<u8>> {
    let wrong = |what: String| usage(format!("--evidence {}: {what}", path.display()));
    let metadata =
        fs::metadata(path).map_err(|error| wrong(format!("cannot read it ({error}); expected a file")))?;
    if !metadata.is_file() {
        return Err(wrong("this is no file; expected one file: pack several into an archive".into()));
    }
    if metadata.len() == 0 {
        return Err(wrong("the file is empty and proves nothing; expected the evidence itself".into()));
    }
    fs::read(path).map_err(|error| wrong(format!("cannot read it ({error})")))
}

fn refused(remembrancer: &Remembrancer, path: &Path, error: ClientError) -> anyhow::Error {
    match error.problem() {
        Some(problem) if problem.status == 413 => {
            usage(format!("--evidence {}: {}", path.display(), problem.detail))
        }
        _ => ledger_error(remembrancer, error),
    }
}

fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json",
        "txt" | "log" | "md" => "text/plain; charset=utf-8",
        "csv" => "text/csv",
        "html" => "text/html",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "gz" | "tgz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits = (1..=150).contains(&text.len()) && text.trim() == text && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "expected 1 to 150 bytes of text without control characters and outer spaces".into())
}

fn text(text: &str) -> Result<String, String> {
    let fits = !text.trim().is_empty() && !text.contains('\0');
    fits.then(|| text.to_owned()).ok_or_else(|| "expected some text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_printable_and_not_endless() {
        assert!(name("ai-mesh training 1.4.2+a/b").is_ok());
        for wrong in ["", " a", "a\n", "a\0b", &"a".repeat(151)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }
}
