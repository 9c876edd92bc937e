//! The log's key: made at first start, kept in a file that only the service can read.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use merkle_log::{
    checkpoint::Checkpoint,
    note::{KeyError, NoteSigner},
};
use rand::{TryRng as _, rngs::SysRng};

use crate::{
    error::{LogError, Result},
    log::Head,
};

/// The key's file in the data folder.
const FILE: &str = "log-key";

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The log's name cannot be a key's name.
    #[error("log_name: {0}")]
    Name(KeyError),
    /// The file cannot be read or written.
    #[error("the log's key {path}: {cause}", path = .path.display())]
    File {
        /// The file or its folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Others may read the file.
    #[error(
        "the log's key {path} can be read by others (mode {mode:o}): make it `chmod 600`, and if somebody may \
         have read it, start a new log with a new key",
        path = .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error("the log's key {path} is damaged: {cause}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: KeyError,
    },
    /// The file holds another log's key.
    #[error(
        "the log's key {path} belongs to the log {actual:?}, but log_name is {expected:?}: a log keeps its name",
        path = .path.display()
    )]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// The configured name.
        expected: String,
        /// The key's name.
        actual: String,
    },
}

/// Reads the key of the log `name` from `data_dir`, or makes one there.
///
/// # Errors
/// The file cannot be read or written, is readable for others, or holds another log's key.
pub fn open_key(data_dir: &Path, name: &str) -> std::result::Result<NoteSigner, SigningKeyError> {
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |cause| SigningKeyError::File { path: path.clone(), cause }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(file_error(data_dir))?;
    let path = data_dir.join(FILE);
    if !path.try_exists().map_err(file_error(&path))? {
        create(data_dir, &path, name, file_error(&path))?;
    }
    let mode = fs::metadata(&path).map_err(file_error(&path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SigningKeyError::Exposed { path, mode });
    }
    let text = fs::read_to_string(&path).map_err(file_error(&path))?;
    match NoteSigner::parse(text.trim_end()) {
        Ok(signer) if signer.name() == name => Ok(signer),
        Ok(signer) => {
            Err(SigningKeyError::OtherLog { path, expected: name.into(), actual: signer.name().into() })
        }
        Err(cause) => Err(SigningKeyError::Damaged { path, cause }),
    }
}

/// The signed checkpoint of a head.
///
/// # Errors
/// None for a name that [`open_key`] took.
pub fn sign_head(signer: &NoteSigner, head: Head) -> Result<String> {
    let checkpoint = Checkpoint { origin: signer.name().into(), size: head.size, root: head.root };
    checkpoint.sign(signer).map_err(|error| LogError::Inconsistent(error.to_string()))
}

/// Writes a new key beside its place and links it there: a crash leaves no half key, and of two processes
/// that start at once one wins and both read the winner's.
fn create(
    data_dir: &Path,
    path: &Path,
    name: &str,
    file_error: impl Fn(io::Error) -> SigningKeyError,
) -> std::result::Result<(), SigningKeyError> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(|error| file_error(io::Error::other(error)))?;
    let signer = NoteSigner::new(name, &seed).map_err(SigningKeyError::Name)?;
    let draft = data_dir.join(format!("{FILE}.{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", signer.to_secret_text())?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::File::open(data_dir)?.sync_all(),
        }
    };
    let _ = fs::remove_file(&draft); // left by a crashed process of the same number
    let written = write();
    let _ = fs::remove_file(&draft);
    written.map_err(file_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        let first = open_key(&data, "ai-mesh/log").unwrap();
        let again = open_key(&data, "ai-mesh/log").unwrap();
        assert_eq!(first.verifier_key(), again.verifier_key());
        let path = data.join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no draft is left behind");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open_key(&data, "ai-mesh/log"), Err(SigningKeyError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_damaged_key_or_one_of_another_log_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        open_key(folder.path(), "ai-mesh/log").unwrap();
        assert!(matches!(open_key(folder.path(), "other/log"), Err(SigningKeyError::OtherLog { .. })));
        fs::write(folder.path().join(FILE), "PRIVATE+KEY+ai-mesh/log+00000000+AAAA\n").unwrap();
        assert!(matches!(open_key(folder.path(), "ai-mesh/log"), Err(SigningKeyError::Damaged { .. })));
        assert!(matches!(open_key(&folder.path().join("x"), "two words"), Err(SigningKeyError::Name(_))));
    }

    #[test]
    fn two_logs_have_two_keys() {
        let key = || open_key(tempfile::tempdir().unwrap().path(), "ai-mesh/log").unwrap().verifier_key();
        assert_ne!(key(), key());
    }
}
