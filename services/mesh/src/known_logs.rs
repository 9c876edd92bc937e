//! The logs that this user knows: a key each, and the last checkpoint that was trusted. What a log or its evidence says
//! of itself counts only against this file.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, SubsecRound as _, Utc};
use merkle_log::{checkpoint::Checkpoint, note::VerifierKey};
use serde::{Deserialize, Serialize};

use crate::files;

/// The flag that names the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct KnownLogsArgs {
    /// The file of the logs that you know: their keys, and the last checkpoint of each that was trusted [default:
    /// ai-mesh/known_logs.json in the user's configuration folder]
    #[arg(long, value_name = "FILE", env = "MESH_KNOWN_LOGS", help_heading = "Trust")]
    pub(crate) known_logs: Option<PathBuf>,
}

/// The file, which need not be there yet.
#[derive(Clone, Debug)]
pub(crate) struct KnownLogsFile {
    path: PathBuf,
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownLogs {
    format: Format,
    logs: Vec<KnownLog>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "ai-mesh-known-logs/1")]
    V1,
}

/// A log that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownLog {
    /// `name+id+base64`.
    pub(crate) verifier_key: String,
    /// Why it is trusted.
    pub(crate) trusted: Trusted,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// The address at which it was met, of one that was met there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// The largest checkpoint of which it is certain that it goes on from all before it, as a signed note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
}

/// Why a key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trusted {
    /// A stack of this user's own has it.
    Own,
    /// It was the first that was met of a log of this name: anywhere, or at that address.
    FirstUse,
    /// The user gave it.
    Given,
    /// The key before it, which was trusted, vouched for it when it was rotated.
    Rotated,
}

/// How a key stands to what is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It is known.
    Known(KnownLog),
    /// Logs of this name are known, with these other keys.
    Changed(Vec<String>),
    /// Nothing is known of a log of this name.
    Unknown,
}

impl KnownLogsArgs {
    /// The file.
    ///
    /// # Errors
    /// There is no folder for it.
    pub(crate) fn file(&self) -> anyhow::Result<KnownLogsFile> {
        if let Some(path) = &self.known_logs {
            return Ok(KnownLogsFile { path: path.clone() });
        }
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder =
            absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let path = folder.map(|folder| folder.join("ai-mesh/known_logs.json"));
        let path = path
            .ok_or_else(|| anyhow!("there is no HOME to remember logs in: give a file with --known-logs"))?;
        Ok(KnownLogsFile { path })
    }
}

impl KnownLogsFile {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known. A file that is not there knows nothing; one that is damaged is an error, since forgetting would be
    /// trusting whoever comes next.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(crate) fn read(&self) -> anyhow::Result<KnownLogs> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KnownLogs::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let damaged = || {
            format!(
                "{} is not what `mesh` wrote there: mend it, or remove it and forget which logs were trusted",
                self.path.display()
            )
        };
        let known: KnownLogs = serde_json::from_slice(&bytes).with_context(damaged)?;
        for log in &known.logs {
            let key = VerifierKey::parse(&log.verifier_key).with_context(damaged)?;
            log.head(&key).with_context(damaged)?;
        }
        Ok(known)
    }

    /// Changes what is known, alone: another command that does so at the same time waits.
    ///
    /// # Errors
    /// It cannot be read or written, or is damaged.
    pub(crate) fn update(&self, change: impl FnOnce(&mut KnownLogs)) -> anyhow::Result<()> {
        let cannot = || {
            format!("cannot remember logs in {}: give another file with --known-logs", self.path.display())
        };
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(cannot)?;
        }
        let lock = self.path.with_extension("lock");
        let lock =
            File::options().write(true).create(true).truncate(false).open(lock).with_context(cannot)?;
        lock.lock().with_context(cannot)?;
        let before = self.read()?;
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(());
        }
        let mut text = serde_json::to_vec_pretty(&after).with_context(cannot)?;
        text.push(b'\n');
        files::write(&self.path, &text).with_context(cannot)
    }
}

impl Default for KnownLogs {
    fn default() -> Self {
        Self { format: Format::V1, logs: Vec::new() }
    }
}

impl KnownLogs {
    /// How a key stands to what is known.
    pub(crate) fn standing(&self, key: &VerifierKey) -> Standing {
        let text = key.to_string();
        if let Some(log) = self.logs.iter().find(|log| log.verifier_key == text) {
            return Standing::Known(log.clone());
        }
        let others: Vec<_> = self.named(key.name()).map(|log| log.verifier_key.clone()).collect();
        if others.is_empty() { Standing::Unknown } else { Standing::Changed(others) }
    }

    /// The logs of a name.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &KnownLog> {
        self.logs.iter().filter(move |log| log.verifier_key.split('+').next() == Some(name))
    }

    /// The keys of the logs of a name that were met at an address.
    pub(crate) fn met_at(&self, address: &str, name: &str) -> Vec<String> {
        let met = self.named(name).filter(|log| log.address.as_deref() == Some(address));
        met.map(|log| log.verifier_key.clone()).collect()
    }

    /// Trusts a key from now on, if it is not trusted already.
    pub(crate) fn trust(&mut self, key: &VerifierKey, trusted: Trusted, address: Option<String>) {
        if let Standing::Known(_) = self.standing(key) {
            return;
        }
        let since = Utc::now().trunc_subsecs(0);
        let verifier_key = key.to_string();
        self.logs.push(KnownLog { verifier_key, trusted, since, address, checkpoint: None });
    }

    /// Remembers a checkpoint that goes on from the one that is remembered. A smaller one, of a command that took longer,
    /// changes nothing.
    pub(crate) fn remember(&mut self, key: &VerifierKey, note: &str) {
        let size = |note: &str| Checkpoint::verify(note, key).map(|checkpoint| checkpoint.size).ok();
        let text = key.to_string();
        let Some(log) = self.logs.iter_mut().find(|log| log.verifier_key == text) else { return };
        if size(note) > log.checkpoint.as_deref().and_then(size) {
            log.checkpoint = Some(note.to_owned());
        }
    }
}

impl KnownLog {
    /// The checkpoint that is remembered.
    ///
    /// # Errors
    /// It is not signed by the log's key: somebody has changed the file.
    pub(crate) fn head(&self, key: &VerifierKey) -> anyhow::Result<Option<Checkpoint>> {
        let verify = |note: &String| Checkpoint::verify(note, key);
        self.checkpoint.as_ref().map(verify).transpose().context("the remembered checkpoint")
    }
}

#[cfg(test)]
mod tests {
    use merkle_log::{EMPTY_ROOT, note::NoteSigner};

    use super::*;

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::new("ai-mesh/log", &[seed; 32]).unwrap()
    }

    fn note(seed: u8, size: u64) -> String {
        Checkpoint { origin: "ai-mesh/log".into(), size, root: EMPTY_ROOT }.sign(&signer(seed)).unwrap()
    }

    #[test]
    fn what_was_trusted_is_known_and_what_was_not_is_told_apart_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = KnownLogsFile { path: folder.path().join("a/b/known.json") };
        let key = signer(1).verifier_key();
        assert_eq!(file.read().unwrap().standing(&key), Standing::Unknown);
        file.update(|known| known.trust(&key, Trusted::FirstUse, None)).unwrap();
        let known = file.read().unwrap();
        assert!(matches!(known.standing(&key), Standing::Known(log) if log.trusted == Trusted::FirstUse));
        assert_eq!(known.standing(&signer(2).verifier_key()), Standing::Changed(vec![key.to_string()]));
        let other = NoteSigner::new("ai-mesh/log2", &[1; 32]).unwrap().verifier_key();
        assert_eq!(known.standing(&other), Standing::Unknown);
    }

    #[test]
    fn the_largest_checkpoint_is_remembered_and_one_of_another_key_is_not() {
        let (mut known, key) = (KnownLogs::default(), signer(1).verifier_key());
        known.remember(&key, &note(1, 1));
        assert_eq!(known, KnownLogs::default(), "nobody trusts it");
        known.trust(&key, Trusted::Own, None);
        for (seed, size, expected) in [(1, 0, 0), (1, 5, 5), (1, 4, 5), (2, 9, 5)] {
            known.remember(&key, &note(seed, size));
            let head = known.logs[0].head(&key).unwrap().unwrap();
            assert_eq!(head.size, expected);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = KnownLogsFile { path: folder.path().join("known.json") };
        let key = signer(1).verifier_key();
        file.update(|known| {
            known.trust(&key, Trusted::Given, None);
            known.remember(&key, &note(1, 7));
        })
        .unwrap();
        let good = fs::read_to_string(file.path()).unwrap();
        let other_size = good.replace("\\n7\\n", "\\n8\\n");
        assert_ne!(other_size, good);
        for bad in ["", "{}", &good[..good.len() / 2], &good.replace("logs/1", "logs/2"), &other_size] {
            fs::write(file.path(), bad).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("known.json"), "{error}");
            assert!(file.update(|known| known.trust(&key, Trusted::Own, None)).is_err());
            assert_eq!(fs::read_to_string(file.path()).unwrap(), bad, "it is left as it is");
        }
    }
}
