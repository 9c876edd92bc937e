//! The cluster's folder: its lock, and making a cluster in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Binaries, Error,
    account::{Account, give, run_as},
};

/// Held for as long as the cluster is in use. The kernel releases it with the process.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Locks `folder`, which must exist.
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false) // another process's number may stand in it
            .mode(0o644)
            .open(&path)
            .map_err(|error| Error::file("cannot open the lock file", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid); // only for the message
                let pid = if pid.trim().is_empty() { "?".to_owned() } else { pid.trim().to_owned() };
                return Err(Error::Locked { folder: folder.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(Error::file("cannot lock", &path, error)),
        }
        let write = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())?;
            file.flush()
        };
        write(&mut file).map_err(|error| Error::file("cannot write", &path, error))?;
        Ok(Self { file })
    }

    /// Whether some process holds the lock of `folder`.
    pub(crate) fn is_held(folder: &Path) -> bool {
        match File::open(folder.join(LOCK_FILE)) {
            Ok(file) => {
                let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
                let _ = file.unlock(); // what is not locked need not be unlocked
                is_held
            }
            Err(_) => false,
        }
    }
}

impl Drop for FolderLock {
    /// Closing the file is not enough: a program that another thread is just starting has it open too, until it runs.
    fn drop(&mut self) {
        let _ = self.file.unlock(); // the kernel does it with the process
    }
}

const LOCK_FILE: &str = "cluster.lock";

/// Makes the data folder, enterable by the server's user, and gives its absolute path.
pub(crate) fn create_data_dir(folder: &Path) -> Result<PathBuf, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(|error| Error::file("cannot create the data folder", folder, error))?;
    fs::canonicalize(folder).map_err(|error| Error::file("cannot look at the data folder", folder, error))
}

/// Makes an empty folder that only the server's user may enter; keeps one that is there.
pub(crate) fn create_private_dir(folder: &Path, account: Option<&Account>) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::file("cannot create", folder, error)),
    }
    give(folder, account)
}

/// The major version of the cluster in `data`, or `None` when there is none.
pub(crate) fn cluster_version(data: &Path) -> Result<Option<u32>, Error> {
    let path = data.join("PG_VERSION");
    match fs::read_to_string(&path) {
        // Before 10 the major version had two parts; such a server is not one that this crate runs.
        Ok(text) => Ok(Some(text.trim().split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("cannot read", path, error)),
    }
}

/// Makes a cluster in `data`, all or nothing: it is built beside it and renamed.
pub(crate) fn initdb(
    binaries: &Binaries,
    data: &Path,
    account: Option<&Account>,
    durable: bool,
) -> Result<(), Error> {
    let build = sibling(data, "making");
    remove_if_there(&build)?;
    create_private_dir(&build, account)?;
    let mut command = Command::new(binaries.initdb());
    command
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"])
        .arg("--pgdata")
        .arg(&build)
        .current_dir(&build) // the process's own folder may be closed to the server's user
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    if !durable {
        command.arg("--no-sync");
    }
    run_as(&mut command, account);
    let output = command.output().map_err(|source| Error::Run { program: binaries.initdb(), source })?;
    if !output.status.success() {
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let _ = remove_if_there(&build); // the error that matters is initdb's
        return Err(Error::Initdb { folder: data.to_owned(), output: last_lines(&said, 5) });
    }
    publish(&build, data, durable)
}

/// Makes a cluster in `data` as a copy of a stopped one, owner and mode included.
pub(crate) fn copy_cluster(template: &Path, data: &Path, durable: bool) -> Result<(), Error> {
    let build = sibling(data, "making");
    remove_if_there(&build)?;
    copy_tree(template, &build).map_err(|error| Error::file("cannot copy the template to", &build, error))?;
    publish(&build, data, durable)
}

/// The last lines of a text, in one line.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

fn publish(build: &Path, data: &Path, durable: bool) -> Result<(), Error> {
    fs::rename(build, data).map_err(|error| Error::file("cannot create", data, error))?;
    if durable && let Some(parent) = data.parent() {
        // The rename itself must survive a crash, or the cluster's first commits would vanish with it.
        File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Error::file("cannot sync", parent, error))?;
    }
    Ok(())
}

fn sibling(data: &Path, suffix: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    PathBuf::from(name)
}

fn remove_if_there(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("cannot remove the leftover", folder, error))
        }
        _ => Ok(()),
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode()))?;
    } else {
        fs::copy(from, to)?; // mode included; a cluster without tablespaces has no links
    }
    if rustix::process::geteuid().is_root() {
        chown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_the_second_is_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        assert!(FolderLock::is_held(folder.path()));
        let error = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
        drop(lock);
        assert!(!FolderLock::is_held(folder.path()));
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_lock_ends_with_its_holder_whoever_else_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let as_a_fork_has_it = lock.file.try_clone().unwrap();
        drop(lock);
        assert!(!FolderLock::is_held(folder.path()));
        FolderLock::take(folder.path()).unwrap();
        drop(as_a_fork_has_it);
    }

    #[test]
    fn the_last_lines_are_told_in_one() {
        assert_eq!(last_lines("a\n\n b \nc\n", 2), "b | c");
        assert_eq!(last_lines("", 2), "");
    }
}
