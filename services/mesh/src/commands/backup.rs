use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use api::Hash;
use chrono::{DateTime, Utc};
use clap::Args;
use remembrancer::signing::KeyFolder;
use serde::{Deserialize, Serialize};
use trainer::digest::sha256;

use crate::{
    exit::{Answer, usage},
    files::{read, write},
    output::{say, say_json},
    runtime,
    stack::IdleLedger,
};

/// What says what a backup holds.
const MANIFEST: &str = "backup.json";

/// The database.
const DUMP: &str = "database.dump";

const FORMAT: &str = "ai-mesh-backup/1";

/// The files of the data folder that go with the database: keys, and what was signed with them. Not all are always there.
const KEYS: [&str; 5] = ["log-key", "log-key.next", "log-checkpoint", "witness-key", "trainer/promise-key"];

/// The folder of what deployments have promised and the database may not have yet.
const JOURNALS: &str = "trainer/journals";

/// Write a ledger's database and keys, and what was promised and is not in it yet, to a folder, while its stack is down
///
/// Both belong together: a database without its key, or with an older one, is refused at the start. The folder holds a secret;
/// whoever has it can sign for the ledger. It needs PostgreSQL's client programs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh backup /mnt/backup/2026-03-01
  mesh backup /mnt/backup/2026-03-01 --data-dir /srv/ai-mesh --json")]
pub(crate) struct Backup {
    /// The folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    ledger: LedgerPlace,
}

/// Make a ledger of a backup
///
/// The new ledger has the same leaves, root and key, so that proofs of before are valid. What was recorded after the backup is
/// lost: restore it only where the former ledger is gone, because two that sign with one key contradict each other.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh restore /mnt/backup/2026-03-01 --data-dir /srv/ai-mesh
  mesh restore /mnt/backup/2026-03-01 --json")]
pub(crate) struct Restore {
    /// The backup's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    ledger: LedgerPlace,
}

#[derive(Debug, Args)]
struct LedgerPlace {
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

/// What a backup holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    format: String,
    /// The program that wrote it.
    version: String,
    created_at: DateTime<Utc>,
    /// The log's.
    tree_size: u64,
    root_hash: Hash,
    verifier_key: String,
    /// SHA-256 of each file.
    files: BTreeMap<String, Hash>,
}

impl Backup {
    /// Writes it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let json = self.ledger.json;
        let manifest = runtime::block_on("warn", async {
            make_private(&self.folder)?;
            let ledger = IdleLedger::open(self.ledger.data_dir, self.ledger.database_url).await?;
            let written = backup(&ledger, &self.folder).await;
            ledger.close().await;
            written
        })?;
        tell(&manifest, json, &format!("backed up to {}", self.folder.display()))
    }
}

impl Restore {
    /// Makes the ledger.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let json = self.ledger.json;
        let manifest = Manifest::read(&self.folder)?;
        runtime::block_on("warn", async {
            let ledger = IdleLedger::open(self.ledger.data_dir, self.ledger.database_url).await?;
            let restored = restore(&ledger, &self.folder, &manifest).await;
            ledger.close().await;
            restored
        })?;
        tell(&manifest, json, &format!("restored from {}", self.folder.display()))
    }
}

async fn backup(ledger: &IdleLedger, folder: &Path) -> anyhow::Result<Manifest> {
    let key = KeyFolder::at(ledger.data_dir()).key()?.ok_or_else(|| {
        anyhow!("{} has no key: a ledger makes one at its first start", ledger.data_dir().display())
    })?;
    let mut files = BTreeMap::new();
    // keys first: whatever they signed is in the database by now
    for name in beside_the_database(ledger.data_dir())? {
        let bytes = read(&ledger.data_dir().join(&name))?;
        write_private(&folder.join(&name), &bytes)?;
        files.insert(name, sha256(&bytes));
    }
    let head = ledger.head().await?;
    ledger.dump(&folder.join(DUMP)).await?;
    files.insert(DUMP.to_owned(), sha256(&read(&folder.join(DUMP))?));
    let manifest = Manifest {
        format: FORMAT.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        created_at: Utc::now(),
        tree_size: head.size,
        root_hash: Hash(head.root),
        verifier_key: key.verifier_key().to_string(),
        files,
    };
    // last, so that a folder that has it is whole
    write(&folder.join(MANIFEST), &serde_json::to_vec_pretty(&manifest).context("the backup's manifest")?)?;
    Ok(manifest)
}

async fn restore(ledger: &IdleLedger, folder: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    if let Some(taken) = beside_the_database(ledger.data_dir())?.first() {
        return Err(usage(format!(
            "{} is there: a ledger is restored into a folder that has none; choose another one with --data-dir",
            ledger.data_dir().join(taken).display()
        )));
    }
    ledger.load(&folder.join(DUMP)).await?;
    for name in manifest.files.keys().filter(|name| *name != DUMP) {
        write_private(&ledger.data_dir().join(name), &read(&folder.join(name))?)?;
    }
    let head = ledger.head().await?;
    if (head.size, head.root) != (manifest.tree_size, manifest.root_hash.0) {
        return Err(anyhow!(
            "the log has {} leaves with the root {}, and the backup says {} with {}",
            head.size,
            Hash(head.root),
            manifest.tree_size,
            manifest.root_hash
        ));
    }
    Ok(())
}

impl Manifest {
    /// The manifest of a folder whose files are as they were written.
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let wrong = |why: &dyn std::fmt::Display| usage(format!("{} is no backup: {why}", folder.display()));
        let manifest: Self = serde_json::from_slice(&read(&path)?).map_err(|error| wrong(&error))?;
        if manifest.format != FORMAT {
            return Err(wrong(&format!("expected the format {FORMAT}, found {}", manifest.format)));
        }
        for (name, expected) in &manifest.files {
            if name != DUMP && !KEYS.contains(&name.as_str()) && !is_journal(name) {
                return Err(wrong(&format!("{name} is none of its files")));
            }
            if sha256(&read(&folder.join(name))?) != *expected {
                return Err(wrong(&format!("{name} was changed after it was written")));
            }
        }
        Ok(manifest)
    }
}

/// Which files there are that go with the database, by their names in the data folder.
fn beside_the_database(data_dir: &Path) -> anyhow::Result<Vec<String>> {
    let keys = KEYS.into_iter().filter(|name| data_dir.join(name).exists());
    let mut names: Vec<String> = keys.map(str::to_owned).collect();
    let folder = data_dir.join(JOURNALS);
    if folder.exists() {
        let cannot = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let name = entry.with_context(cannot)?.file_name();
            names.push(format!("{JOURNALS}/{}", name.to_string_lossy()));
        }
    }
    names.sort();
    Ok(names)
}

/// Whether that is the name of a file right in the folder of the journals.
fn is_journal(name: &str) -> bool {
    let file = name.strip_prefix(JOURNALS).and_then(|rest| rest.strip_prefix('/'));
    file.is_some_and(|file| !file.contains('/') && !["", ".", ".."].contains(&file))
}

fn tell(manifest: &Manifest, json: bool, what: &str) -> anyhow::Result<Answer> {
    if json {
        say_json(manifest)?;
    } else {
        say(&format!(
            "{what}\n  leaves  {}\n  root    {}\n  key     {}",
            manifest.tree_size, manifest.root_hash, manifest.verifier_key
        ))?;
    }
    Ok(Answer::Yes)
}

/// Makes a folder that is empty and that nobody else can read.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(usage(format!("{} is not empty: a backup has a folder of its own", folder.display())));
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// Writes a file that nobody else can read, in a folder that nobody else can.
fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    use std::{
        io::Write as _,
        os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    };
    if let Some(folder) = path.parent() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
