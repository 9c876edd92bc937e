//! What a trainer keeps on its disk to promise decisions: the key that it signs with, and the journals.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use merkle_log::note::NoteSigner;
use rand::{TryRng as _, rngs::SysRng};
use uuid::Uuid;

/// The key's file.
const KEY: &str = "promise-key";

/// The folder of the journals.
const JOURNALS: &str = "journals";

/// Who promises.
#[derive(Clone, Debug)]
pub struct Keeper {
    pub(super) signer: Arc<NoteSigner>,
    pub(super) journals: PathBuf,
    /// Leaves that may be in a journal at most.
    pub(super) most: u64,
}

impl Keeper {
    /// With the key of a data folder; folder and key are made if they are not there.
    ///
    /// # Errors
    /// Which file cannot be read or written, or holds no key.
    pub fn open(folder: &Path, most: u64) -> Result<Self, String> {
        let journals = folder.join(JOURNALS);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&journals);
        made.map_err(|error| format!("{}: {error}", journals.display()))?;
        let path = folder.join(KEY);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path),
            read => read,
        };
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let signer = NoteSigner::parse(text.trim_end())
            .map_err(|error| format!("{}: {error}. Restore it from a copy", path.display()))?;
        Ok(Self { signer: Arc::new(signer), journals, most })
    }

    /// The key that promises are verified with.
    pub(super) fn key(&self) -> String {
        self.signer.verifier_key().to_string()
    }
}

/// A new key, on the disk under its name only once it is whole. Of two processes that begin at once one wins.
fn create(path: &Path) -> io::Result<String> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
    let name = format!("ai-mesh/promises/{}", Uuid::now_v7());
    let key = NoteSigner::new(&name, &seed).map_err(io::Error::other)?.to_secret_text();
    let draft = path.with_extension(Uuid::now_v7().to_string());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_has_one_key_which_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("trainer");
        let first = Keeper::open(&place, 1).unwrap().key();
        assert_eq!(Keeper::open(&place, 1).unwrap().key(), first);
        assert!(first.starts_with("ai-mesh/promises/"), "{first}");
        let mode = fs::metadata(place.join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(place.join(KEY), "PRIVATE+KEY+other").unwrap();
        assert!(Keeper::open(&place, 1).unwrap_err().contains("promise-key"));
    }
}
