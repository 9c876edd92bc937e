//! The folder that a stack's data lives in, used by one process at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use crate::exit::usage;

/// A data folder that this process holds.
pub(super) struct DataDir {
    path: PathBuf,
    /// The lock: the kernel releases it with the process.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// It cannot be made, or another process uses it.
    pub(super) fn lock(wanted: Option<PathBuf>) -> anyhow::Result<Self> {
        let path = data_folder(wanted)?;
        if path.to_str().is_none() {
            // PostgreSQL and its addresses are told the folder as text
            return Err(usage(format!(
                "the name of the data folder {} is not UTF-8: choose another one with --data-dir",
                path.display()
            )));
        }
        let cannot =
            || format!("cannot use the data folder {}: choose another one with --data-dir", path.display());
        fs::create_dir_all(&path).with_context(cannot)?;
        let path = fs::canonicalize(&path).with_context(cannot)?;
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false) // the number of the process that holds it may stand in it
            .open(path.join("mesh.lock"))
            .with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid); // only for the message
                let pid = if pid.trim().is_empty() { "?" } else { pid.trim() };
                return Err(anyhow!(
                    "the data folder {} is in use by process {pid}: use the services of that `mesh up` (--trainer, \
                     --remembrancer and --evaluator with their addresses), end it (`kill {pid}`), or choose another \
                     folder with --data-dir",
                    path.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(anyhow::Error::new(error).context(cannot())),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(cannot)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The folder that is wanted, or the default one. It need not be there.
///
/// # Errors
/// None is wanted, and the user has no home.
pub(crate) fn data_folder(wanted: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    wanted.map_or_else(default_data_dir, Ok)
}

/// `/var/lib/ai-mesh` as root, whose own folders the database's user cannot enter; else `ai-mesh` in the
/// user's data folder (XDG base directory specification).
fn default_data_dir() -> anyhow::Result<PathBuf> {
    if is_root() {
        return Ok("/var/lib/ai-mesh".into());
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|folder| folder.join("ai-mesh"))
        .ok_or_else(|| anyhow!("there is no HOME to keep data in: choose a folder with --data-dir"))
}

fn is_root() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        // a process's own folder in /proc belongs to its effective user
        fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_whose_name_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        let error = DataDir::lock(Some(path)).err().unwrap().to_string();
        assert!(error.contains("UTF-8") && error.contains("--data-dir"), "{error}");
    }

    #[test]
    fn a_folder_in_use_names_the_process_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(Some(folder.path().join("data"))).unwrap();
        let error = DataDir::lock(Some(folder.path().join("data"))).err().unwrap().to_string();
        for part in [&format!("process {}", std::process::id()), "--trainer", "--data-dir"] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
        drop(held);
        DataDir::lock(Some(folder.path().join("data"))).unwrap();
    }
}
