use std::path::PathBuf;

use api::remembrancer::Evidence;
use clap::Args;
use merkle_log::{evidence, note::VerifierKey};
use serde::Serialize;

use crate::{
    exit::{Answer, usage},
    files::{read, read_text},
    output::{say, say_json},
};

/// Verify offline that a record or a decision is in the ledger
///
/// Checks the characters of the record, the inclusion proof and the signed checkpoint in an evidence file
/// (`ledger_receipt.json`, `decision_receipt.json`, or what the remembrancer answers at /v1/log/evidence). No service
/// is called. Exit code 0: the record is in the log; 1: it is not, or the file was changed; 3: the file cannot be
/// read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh verify out/ledger_receipt.json
  mesh verify out/decision_receipt.json --key \"$(cat log-key.pub)\"
  mesh verify out/ledger_receipt.json --record claimed-record.json --json")]
pub(crate) struct Verify {
    /// The evidence file
    file: PathBuf,
    /// The log's verifier key, `name+id+base64`, from a source that you trust. Without it the key in the file is
    /// used, which only proves that the file agrees with itself
    #[arg(long, value_name = "VERIFIER_KEY")]
    key: Option<String>,
    /// Verify this record instead of the one in the evidence
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Verdict {
    valid: bool,
    detail: String,
    /// `argument` or `file`.
    key_from: &'static str,
    verifier_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proved: Option<Proved>,
}

#[derive(Debug, Serialize)]
struct Proved {
    origin: String,
    log_index: u64,
    tree_size: u64,
    root_hash: api::Hash,
    leaf_hash: api::Hash,
}

impl Verify {
    /// Verifies and tells the verdict.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        if let Some(key) = &self.key {
            VerifierKey::parse(key.trim()).map_err(|error| usage(format!("--key: {error}")))?;
        }
        let bytes = read(&self.file)?;
        let record = self.record.as_deref().map(read_text).transpose()?;
        let verdict = verdict(&bytes, record.as_deref(), self.key.as_deref().map(str::trim));
        if self.json {
            say_json(&verdict)?;
        } else {
            say(&sentences(&verdict, &self.file.display().to_string()))?;
        }
        Ok(if verdict.valid { Answer::Yes } else { Answer::No })
    }
}

fn verdict(bytes: &[u8], record: Option<&str>, key: Option<&str>) -> Verdict {
    let key_from = if key.is_some() { "argument" } else { "file" };
    let no = |verifier_key: Option<String>, detail: String| Verdict {
        valid: false,
        detail,
        key_from,
        verifier_key,
        proved: None,
    };
    let parsed: Result<Evidence, String> = std::str::from_utf8(bytes)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str(text).map_err(|error| error.to_string()));
    let evidence = match parsed {
        Ok(evidence) => evidence,
        Err(error) => {
            return no(key.map(str::to_owned), format!("this is no evidence, or not any more: {error}"));
        }
    };
    let key = key.unwrap_or(&evidence.verifier_key).to_owned();
    let path: Vec<merkle_log::Hash> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
    let record = record.unwrap_or_else(|| evidence.record.get());
    match evidence::verify(record, evidence.log_index, &path, &evidence.checkpoint, &key) {
        Err(error) => no(Some(key), error.to_string()),
        Ok(verified) => Verdict {
            valid: true,
            detail: format!(
                "the record is leaf {} of the log {} with {} leaves",
                verified.log_index, verified.checkpoint.origin, verified.checkpoint.size
            ),
            key_from,
            verifier_key: Some(key),
            proved: Some(Proved {
                log_index: verified.log_index,
                tree_size: verified.checkpoint.size,
                root_hash: api::Hash(verified.checkpoint.root),
                leaf_hash: api::Hash(verified.leaf_hash),
                origin: verified.checkpoint.origin,
            }),
        },
    }
}

fn sentences(verdict: &Verdict, file: &str) -> String {
    let trusted = match (verdict.key_from, &verdict.verifier_key) {
        ("argument", _) => "The key was given with --key.".to_owned(),
        (_, Some(key)) => format!(
            "The key was taken from the file itself: {key}. Compare it with the log's key as you know it from \
             elsewhere, and give it with --key."
        ),
        (_, None) => "No key could be read from it.".to_owned(),
    };
    match &verdict.proved {
        None => format!("NOT VALID: {file}: {}. {trusted}", verdict.detail),
        Some(proved) => format!(
            "VALID: {file}: {}.\n  leaf  {}\n  root  {}\n{trusted}",
            verdict.detail, proved.leaf_hash, proved.root_hash
        ),
    }
}
