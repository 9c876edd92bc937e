use std::path::PathBuf;

use clap::Args;
use remembrancer::fsck::FsckError;
use serde_json::json;

use crate::{
    exit::Answer,
    output::{say, say_json},
    runtime,
    stack::IdleLedger,
};

/// Compute the whole ledger again from its rows, while its stack is down
///
/// Every leaf, tile and root, and every run's and receipt's. The exit code is 1, with the first difference, when what is
/// stored is not what was recorded. A remembrancer with a database of its own is checked with `remembrancer fsck`, also while
/// it serves.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh fsck
  mesh fsck --data-dir /srv/ai-mesh --json")]
pub(crate) struct Fsck {
    /// The folder with the database and the log's signing key [default: ai-mesh in the user's data folder;
    /// /var/lib/ai-mesh as root]
    #[arg(long, value_name = "DIR", env = "MESH_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A database of a running PostgreSQL, instead of the one in the folder
    #[arg(long, value_name = "URL", env = "MESH_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Fsck {
    /// Checks it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let checked = runtime::block_on("warn", async {
            let ledger = IdleLedger::open(self.data_dir, self.database_url).await?;
            let checked = ledger.fsck().await;
            ledger.close().await;
            checked
        })?;
        let (text, json, answer) = match checked {
            Ok(report) => (
                format!(
                    "intact: {} leaves ({} decisions of {} runs{}, {} records), {} tiles, {} artifacts",
                    report.leaves,
                    report.decisions,
                    report.runs,
                    report.deleted_in_words(),
                    report.records,
                    report.tiles,
                    report.artifacts
                ),
                json!({
                    "intact": true,
                    "leaves": report.leaves,
                    "decisions": report.decisions,
                    "deleted_decisions": report.deleted,
                    "records": report.records,
                    "tiles": report.tiles,
                    "runs": report.runs,
                    "artifacts": report.artifacts,
                }),
                Answer::Yes,
            ),
            Err(FsckError::Difference(difference)) => (
                format!("NOT intact: {difference}"),
                json!({"intact": false, "difference": difference}),
                Answer::No,
            ),
            Err(error) => return Err(error.into()),
        };
        if self.json {
            say_json(&json)?
        } else {
            say(&text)?
        }
        Ok(answer)
    }
}
