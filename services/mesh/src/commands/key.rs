use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use client::Endpoint;
use merkle_log::{checkpoint::Checkpoint, note::VerifierKey};
use remembrancer::signing::KeyFolder;
use serde::Serialize;

use crate::{
    exit::{Answer, usage},
    output::{note, say, say_json},
    remote::ledger_error,
    runtime,
    stack::{IdleLedger, data_folder},
};

/// Show the key that a ledger signs its checkpoints with, or change it
///
/// The secret key is the file `log-key` in the data folder, and beside it lies the last checkpoint that it signed. The
/// database knows both. Without the key nobody can sign for the ledger: keep a copy of the data folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh key show
  mesh key rotate")]
pub(crate) struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(Show),
    Rotate(Rotate),
}

/// Show the verifier key, and what was signed with it last
///
/// Also the key of the witness, when this ledger is one of others. Give the verifier key to those who are to check what the ledger proves (`mesh verify EVIDENCE --key KEY`). It is no secret. The
/// folder is only read, also while its stack is up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh key show
  mesh key show --data-dir /srv/ai-mesh --json
  mesh key show --remembrancer http://127.0.0.1:8002")]
struct Show {
    /// The folder with the log's signing key [default: ai-mesh in the user's data folder; /var/lib/ai-mesh as root]
    #[arg(long, value_name = "DIR", env = "MESH_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Ask a running remembrancer instead
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    remembrancer: Option<String>,
    /// The API key of the running remembrancer
    #[arg(long, value_name = "KEY", env = "MESH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Give the ledger another key, and record the change with the signatures of both
///
/// The new key takes the place of the file `log-key`; the former one is gone then. The ledger gets a record of the kind
/// `log.key-rotated` with a checkpoint that names both keys and that both signed, so that whoever trusts the former key
/// can follow. `mesh up` must be down, for its database is used; a remembrancer that runs on a database of its own may
/// stay up, and goes on with the new key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh key rotate
  mesh key rotate --data-dir /srv/ai-mesh --json
  mesh key rotate --accept-loss
  docker compose exec remembrancer mesh key rotate")]
struct Rotate {
    /// The folder with the database and the log's signing key [default: ai-mesh in the user's data folder;
    /// /var/lib/ai-mesh as root]
    #[arg(long, value_name = "DIR", env = "MESH_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A database of a running PostgreSQL, instead of the one in the folder
    #[arg(long, value_name = "URL", env = "MESH_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Go on although the key, or a part of what it signed, is lost for good. The record says so, and who verifies with
    /// the former key has to be told
    #[arg(long)]
    accept_loss: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer of `mesh key show --json`.
#[derive(Serialize)]
struct Shown {
    verifier_key: String,
    /// The key of the witness; absent when it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    witness_key: Option<String>,
    /// What was signed last; absent before anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<Signed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Signed {
    tree_size: u64,
    root_hash: api::Hash,
}

/// The answer of `mesh key rotate --json`.
#[derive(Serialize)]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    former_key: Option<String>,
    verifier_key: String,
    record_id: String,
    log_index: u64,
    /// What the former key signed and the database does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Signed>,
}

impl Key {
    /// Does it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match self.what {
            What::Show(show) => show.run(),
            What::Rotate(rotate) => rotate.run(),
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<Answer> {
        let shown = match &self.remembrancer {
            Some(url) => runtime::block_on("error", self.ask(url))?,
            None => self.read()?,
        };
        if self.json {
            say_json(&shown)?;
            return Ok(Answer::Yes);
        }
        let signed = shown.signed.as_ref().map_or_else(
            || "nothing yet".to_owned(),
            |signed| format!("{} leaves with the root {}", signed.tree_size, signed.root_hash),
        );
        let mut text = format!("verifier key  {}\nlast signed   {signed}", shown.verifier_key);
        if let Some(key) = &shown.witness_key {
            text.push_str(&format!("\nwitness key   {key}"));
        }
        if let Some(file) = &shown.file {
            text.push_str(&format!("\nsecret key    {}", file.display()));
        }
        say(&text)?;
        Ok(Answer::Yes)
    }

    fn read(&self) -> anyhow::Result<Shown> {
        let keys = KeyFolder::at(&data_folder(self.data_dir.clone())?);
        let file = keys.key_path();
        let key = keys.key()?.ok_or_else(|| {
            anyhow!(
                "there is no key at {}: a ledger makes one at its first start. Name its folder with --data-dir, or a \
                 running ledger with --remembrancer",
                file.display()
            )
        })?;
        let signed = keys.last_signed()?.map(Signed::from);
        let witness_key = keys.witness_key()?.map(|witness| witness.witness_key().to_string());
        Ok(Shown { verifier_key: key.verifier_key().to_string(), witness_key, signed, file: Some(file) })
    }

    async fn ask(&self, url: &str) -> anyhow::Result<Shown> {
        let endpoint = Endpoint::new(url).with_api_key(self.api_key.clone());
        let remembrancer =
            client::Remembrancer::new(endpoint).map_err(|error| usage(format!("--remembrancer: {error}")))?;
        let failed = |error| ledger_error(&remembrancer, error);
        let verifier_key = remembrancer.log_key().await.map_err(failed)?.verifier_key;
        let note = remembrancer.log_checkpoint().await.map_err(failed)?.note;
        let signed = Checkpoint::verify(&note, &VerifierKey::parse(&verifier_key)?)?;
        let witness_key = match remembrancer.witness().await {
            Ok(witness) => witness.verifier_key,
            Err(error) if error.is_not_found() => None, // of an earlier version
            Err(error) => return Err(failed(error)),
        };
        Ok(Shown { verifier_key, witness_key, signed: Some(signed.into()), file: None })
    }
}

impl From<Checkpoint> for Signed {
    fn from(Checkpoint { size, root, .. }: Checkpoint) -> Self {
        Self { tree_size: size, root_hash: api::Hash(root) }
    }
}

impl Rotate {
    fn run(self) -> anyhow::Result<Answer> {
        let rotated = runtime::block_on("warn", async {
            let ledger = IdleLedger::open(self.data_dir.clone(), self.database_url.clone()).await?;
            let rotated = ledger.rotate_key(self.accept_loss).await;
            ledger.close().await;
            rotated
        })?;
        let changed = Changed {
            former_key: rotated.former.map(|key| key.to_string()),
            verifier_key: rotated.new.to_string(),
            record_id: rotated.record_id,
            log_index: rotated.log_index,
            lost: rotated.lost.map(|lost| Signed { tree_size: lost.size, root_hash: api::Hash(lost.root) }),
        };
        if self.json {
            say_json(&changed)?;
            return Ok(Answer::Yes);
        }
        if let Some(lost) = &changed.lost {
            note(&format!(
                "The former key signed {} leaves with the root {}: that log is given up.",
                lost.tree_size, lost.root_hash
            ));
        }
        say(&format!(
            "verifier key  {}\nformer key    {}\nrecorded      {} (log index {})\nTell the new key to those who verify.",
            changed.verifier_key,
            changed.former_key.as_deref().unwrap_or("unknown"),
            changed.record_id,
            changed.log_index
        ))?;
        Ok(Answer::Yes)
    }
}
