use std::path::PathBuf;

use api::{
    Hash,
    remembrancer::{Evidence, LeafQuery},
};
use clap::Args;
use merkle_log::tlog_proof::TlogProof;
use serde_json::json;

use crate::{
    exit::{Answer, usage},
    files,
    output::{say, say_json},
    remote::LedgerArgs,
    runtime,
    training::outcome::write_evidence,
};

/// Get the evidence that a record or a decision is in a running stack's ledger, as a file
///
/// Whoever has the file can verify it offline (`mesh verify`). It is verified before it is written. With --witnessed it is
/// evidence in the last checkpoint that enough witnesses cosigned, for verifying with a trust policy; with --tlog-proof it
/// is a file of C2SP tlog-proof, which other tools read.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  written
  2  used wrongly
  3  there is no such record, decision or cosigned checkpoint, or the ledger cannot be asked or believed

Examples:
  mesh prove --record 01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21 --out evidence.json
  mesh prove --index 41 --witnessed --out evidence.json
  mesh prove --index 41 --witnessed --tlog-proof --out record.tlog-proof")]
pub(crate) struct Prove {
    /// The record's id
    #[arg(long, value_name = "ID", group = "leaf")]
    record: Option<String>,
    /// The digest of the decision's run, beside --sequence
    #[arg(long, value_name = "DIGEST", group = "leaf", requires = "sequence")]
    run: Option<Hash>,
    /// The decision's sequence number in its run
    #[arg(long, value_name = "N", requires = "run")]
    sequence: Option<u64>,
    /// The index in the log
    #[arg(long, value_name = "N", group = "leaf")]
    index: Option<u64>,
    /// In the last checkpoint that enough witnesses cosigned
    #[arg(long)]
    witnessed: bool,
    /// As a file of C2SP tlog-proof
    #[arg(long)]
    tlog_proof: bool,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl Prove {
    /// Writes it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        if self.record.is_none() && self.run.is_none() && self.index.is_none() {
            return Err(usage("name what to prove: --record, --run with --sequence, or --index"));
        }
        let remembrancer = self.ledger.remembrancer()?;
        let leaf = LeafQuery {
            log_index: self.index,
            record: self.record.clone(),
            run: self.run,
            sequence: self.sequence,
            tree_size: None,
            witnessed: self.witnessed.then_some(true),
        };
        let proved = runtime::block_on("error", async {
            self.ledger.meet(&remembrancer).await?.evidence(&leaf).await
        })?;
        let checkpoint = &proved.verified.checkpoint;
        if self.tlog_proof {
            files::write(&self.out, tlog_proof(&proved.evidence).to_text().as_bytes())?;
        } else {
            write_evidence(&self.out, &proved.evidence)?;
        }
        let (index, size) = (proved.verified.log_index, checkpoint.size);
        if self.json {
            let file = self.out.display().to_string();
            say_json(&json!({"log_index": index, "tree_size": size, "file": file}))?;
        } else {
            say(&format!(
                "leaf {index} of the {size} of the log {}: {}",
                checkpoint.origin,
                self.out.display()
            ))?;
        }
        Ok(Answer::Yes)
    }
}

fn tlog_proof(evidence: &Evidence) -> TlogProof {
    TlogProof {
        extra: Some(evidence.record.get().as_bytes().to_vec()),
        index: evidence.log_index,
        path: evidence.inclusion_path.iter().map(|hash| hash.0).collect(),
        checkpoint: evidence.checkpoint.clone(),
    }
}
