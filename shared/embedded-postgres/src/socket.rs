//! The folder of the unix socket.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    account::{Account, give},
    folder::{FolderLock, create_private_dir},
};

/// A folder with the server's unix socket. A runtime folder is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketDir {
    path: PathBuf,
    runtime: bool,
}

impl SocketDir {
    /// `<data_dir>/socket`, or a short folder elsewhere when that path is too long for a socket.
    pub(crate) fn create(data_dir: &Path, account: Option<&Account>) -> Result<Self, Error> {
        sweep(Path::new(RUNTIME_PARENT), account);
        let inside = data_dir.join("socket");
        if fits(&inside) {
            create_private_dir(&inside, account)?;
            return Ok(Self { path: inside, runtime: false });
        }
        let cannot = |error| Error::file("cannot create a socket folder in", RUNTIME_PARENT, error);
        // A random name and mode 0700: nobody else can have put it there.
        let folder =
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(RUNTIME_PARENT).map_err(cannot)?.keep();
        let socket = Self { path: folder, runtime: true };
        fs::write(socket.path.join(OWNER_FILE), data_dir.as_os_str().as_encoded_bytes()).map_err(cannot)?;
        give(&socket.path, account)?;
        Ok(socket)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if self.runtime {
            let _ = fs::remove_dir_all(&self.path); // else it is swept at the next start
        }
    }
}

/// The server's port; on a unix socket it is only a part of the socket's name.
pub(crate) const PORT: u16 = 5432;

const RUNTIME_PARENT: &str = "/tmp";
const PREFIX: &str = "ai-mesh-pg-";
const OWNER_FILE: &str = "data_dir";

/// `sun_path` has 108 bytes with the final zero on Linux, 104 elsewhere. PostgreSQL reads the folder
/// from a list with commas.
fn fits(folder: &Path) -> bool {
    let text = folder.as_os_str().as_encoded_bytes();
    let socket = format!("/.s.PGSQL.{PORT}").len();
    text.len() + socket < 104 && text.iter().all(|&b| b.is_ascii_graphic() && !matches!(b, b',' | b'"'))
}

/// Removes runtime folders whose cluster nobody runs any more.
fn sweep(parent: &Path, account: Option<&Account>) {
    let own = [rustix::process::geteuid().as_raw()].into_iter().chain(account.map(|account| account.uid));
    let own: Vec<u32> = own.collect();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && entry.metadata().is_ok_and(|metadata| metadata.is_dir() && own.contains(&metadata.uid()));
        if !ours {
            continue;
        }
        // Without the file it is being made at this moment.
        let Ok(data_dir) = fs::read_to_string(path.join(OWNER_FILE)) else { continue };
        if !FolderLock::is_held(Path::new(&data_dir)) {
            let _ = fs::remove_dir_all(&path); // another process may sweep it at the same time
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_folder_that_goes_with_its_cluster() {
        let top = tempfile::tempdir().unwrap();
        let long = top.path().join("x".repeat(120));
        fs::create_dir(&long).unwrap();
        let _lock = FolderLock::take(&long).unwrap();
        let socket = SocketDir::create(&long, None).unwrap();
        let path = socket.path().to_owned();
        assert!(fits(&path), "{}", path.display());
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn only_folders_whose_cluster_nobody_runs_are_swept() {
        let top = tempfile::tempdir().unwrap();
        let (running, stopped) = (top.path().join("running"), top.path().join("stopped"));
        let _lock = {
            fs::create_dir(&running).unwrap();
            fs::create_dir(&stopped).unwrap();
            FolderLock::take(&running).unwrap()
        };
        let folder = |name: &str, data_dir: &Path| {
            let folder = top.path().join(format!("{PREFIX}{name}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(OWNER_FILE), data_dir.to_str().unwrap()).unwrap();
            folder
        };
        let (kept, swept) = (folder("a", &running), folder("b", &stopped));
        sweep(top.path(), None);
        assert!(kept.exists());
        assert!(!swept.exists());
    }
}
