//! The folder with the log's key, and with the witness's.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use merkle_log::{
    checkpoint::{Checkpoint, CheckpointError},
    cosignature::Cosigner,
    note::{NoteSigner, SignedNote},
};
use rand::{TryRng as _, rngs::SysRng};

use super::{KeyFileError, Role};

/// The key's file.
const KEY: &str = "log-key";

/// The next key's file, while the key is being changed.
const NEXT_KEY: &str = "log-key.next";

/// The witness's key's file.
const WITNESS_KEY: &str = "witness-key";

/// The last signed checkpoint.
const CHECKPOINT: &str = "log-checkpoint";

/// What a file of the folder is read or written to.
type Result<T> = std::result::Result<T, KeyFileError>;

/// The folder that the log's key lives in, with what the key signed last.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
}

impl KeyFolder {
    /// The folder at this path, which need not be there yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where the key is, or belongs.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.path.join(KEY)
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is readable for others, or is damaged.
    pub fn key(&self) -> Result<Option<NoteSigner>> {
        read_key(&self.key_path())
    }

    /// The key, if there is one, which must be that of the log `name`.
    ///
    /// # Errors
    /// As [`KeyFolder::key`], or it is another log's.
    pub fn key_of(&self, name: &str) -> Result<Option<NoteSigner>> {
        match self.key()? {
            Some(signer) if signer.name() != name => Err(KeyFileError::OtherName {
                role: Role::Log,
                path: self.key_path(),
                expected: name.into(),
                actual: signer.name().into(),
            }),
            found => Ok(found),
        }
    }

    /// Makes a key, unless there is one by now: of two processes that start at once one wins, and both get the
    /// winner's.
    ///
    /// # Errors
    /// The name cannot be a key's name, or the file cannot be written.
    pub fn create_key(&self, name: &str) -> Result<NoteSigner> {
        let path = self.key_path();
        self.write_once(&new_key(name)?.to_secret_text(), &path)?;
        self.key_of(name)?.ok_or_else(|| file_error(&path)(io::ErrorKind::NotFound.into()))
    }

    /// Where the witness's key is, or belongs.
    #[must_use]
    pub fn witness_key_path(&self) -> PathBuf {
        self.path.join(WITNESS_KEY)
    }

    /// The witness's key, if there is one.
    ///
    /// # Errors
    /// As [`KeyFolder::key`].
    pub fn witness_key(&self) -> Result<Option<Cosigner>> {
        let path = self.witness_key_path();
        let Some(text) = read_secret(&path, Role::Witness)? else { return Ok(None) };
        let damaged = |cause| KeyFileError::Damaged { role: Role::Witness, path, cause };
        Cosigner::parse(text.trim_end()).map(Some).map_err(damaged)
    }

    /// The key of the witness `name`, which is made when there is none, as [`KeyFolder::create_key`] makes the log's.
    ///
    /// # Errors
    /// As [`KeyFolder::create_key`], or it is another witness's.
    pub fn open_witness_key(&self, name: &str) -> Result<Cosigner> {
        let path = self.witness_key_path();
        if self.witness_key()?.is_none() {
            let unnamed = |cause| KeyFileError::Name { role: Role::Witness, cause };
            let cosigner = Cosigner::new(name, &seed()?).map_err(unnamed)?;
            self.write_once(&cosigner.to_secret_text(), &path)?;
        }
        match self.witness_key()? {
            Some(cosigner) if cosigner.name() == name => Ok(cosigner),
            Some(cosigner) => Err(KeyFileError::OtherName {
                role: Role::Witness,
                path,
                expected: name.into(),
                actual: cosigner.name().into(),
            }),
            None => Err(file_error(&path)(io::ErrorKind::NotFound.into())),
        }
    }

    /// The checkpoint that the key signed last, if it has signed any. Its signature is not verified: what it says is
    /// compared with the log itself.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn last_signed(&self) -> Result<Option<Checkpoint>> {
        let path = self.path.join(CHECKPOINT);
        let Some(note) = read(&path)? else { return Ok(None) };
        let checkpoint = SignedNote::parse(&note)
            .map_err(CheckpointError::from)
            .and_then(|note| Checkpoint::parse_text(note.unverified_text()));
        checkpoint.map(Some).map_err(|cause| KeyFileError::DamagedCheckpoint { path, cause })
    }

    /// Keeps a signed checkpoint in the place of the one before.
    ///
    /// # Errors
    /// It cannot be written; then the one before is still there.
    pub fn keep_signed(&self, note: &str) -> Result<()> {
        self.write(note.trim_end(), |draft| fs::rename(draft, self.path.join(CHECKPOINT)))
    }

    /// Makes the key that is to follow, beside the present one.
    ///
    /// # Errors
    /// As [`KeyFolder::create_key`].
    pub fn prepare_next(&self, name: &str) -> Result<NoteSigner> {
        let signer = new_key(name)?;
        self.write(&signer.to_secret_text(), |draft| fs::rename(draft, self.path.join(NEXT_KEY)))?;
        Ok(signer)
    }

    /// The key that is to follow, when a change was begun.
    ///
    /// # Errors
    /// As [`KeyFolder::key`].
    pub fn next_key(&self) -> Result<Option<NoteSigner>> {
        read_key(&self.path.join(NEXT_KEY))
    }

    /// Puts the following key in the place of the present one, which is gone then. Another process may have done it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn promote_next(&self) -> Result<()> {
        match fs::rename(self.path.join(NEXT_KEY), self.key_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| sync(&self.path)).map_err(file_error(&self.path)),
        }
    }

    /// Keeps the key of another log, and what it signed last, under names with the key's id too: they may be missed there.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn set_aside(&self, foreign: &NoteSigner) -> Result<()> {
        let id: String = foreign.verifier_key().id().iter().map(|byte| format!("{byte:02x}")).collect();
        for file in [KEY, CHECKPOINT] {
            use io::ErrorKind::{AlreadyExists, NotFound};
            match fs::hard_link(self.path.join(file), self.path.join(format!("{file}.{id}"))) {
                Err(error) if ![AlreadyExists, NotFound].contains(&error.kind()) => {
                    return Err(file_error(&self.path)(error));
                }
                _ => {}
            }
        }
        sync(&self.path).map_err(file_error(&self.path))
    }

    /// Writes a file of one line, unless it is there by now.
    fn write_once(&self, line: &str, path: &Path) -> Result<()> {
        self.write(line, |draft| match fs::hard_link(draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::remove_file(draft),
        })
    }

    /// Writes a file of one line beside its place and lets `place` put it there: a crash leaves no half file.
    fn write(&self, line: &str, place: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        let folder = DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        folder.map_err(file_error(&self.path))?;
        let draft = self.path.join(format!("{KEY}.{}.new", std::process::id()));
        let _ = fs::remove_file(&draft); // left by a crashed process of the same number
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            writeln!(file, "{line}")?;
            file.sync_all()?;
            place(&draft)?;
            sync(&self.path)
        };
        write().map_err(|cause| {
            let _ = fs::remove_file(&draft);
            file_error(&self.path)(cause)
        })
    }
}

fn new_key(name: &str) -> Result<NoteSigner> {
    NoteSigner::new(name, &seed()?).map_err(|cause| KeyFileError::Name { role: Role::Log, cause })
}

fn seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    let drawn = SysRng.try_fill_bytes(&mut seed);
    drawn.map_err(|error| file_error(Path::new("the system's randomness"))(io::Error::other(error)))?;
    Ok(seed)
}

fn read_key(path: &Path) -> Result<Option<NoteSigner>> {
    let Some(text) = read_secret(path, Role::Log)? else { return Ok(None) };
    let damaged = |cause| KeyFileError::Damaged { role: Role::Log, path: path.into(), cause };
    NoteSigner::parse(text.trim_end()).map(Some).map_err(damaged)
}

/// What only the owner may read.
fn read_secret(path: &Path, role: Role) -> Result<Option<String>> {
    let Some(text) = read(path)? else { return Ok(None) };
    let mode = fs::metadata(path).map_err(file_error(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { role, path: path.into(), mode });
    }
    Ok(Some(text))
}

/// A file's text, without the mark that an editor put before it; `None` when it is not there.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(json_input::without_mark(&text).to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(path)(error)),
    }
}

/// What was put into a folder is there after a power failure too.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError + use<> {
    let path = path.to_owned();
    |cause| KeyFileError::File { path, cause }
}

#[cfg(test)]
mod tests {
    use merkle_log::EMPTY_ROOT;

    use super::*;

    const NAME: &str = "ai-mesh/log";

    #[test]
    fn the_key_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(&folder.path().join("a/b"));
        assert!(keys.key().unwrap().is_none(), "reading makes none");
        let first = keys.create_key(NAME).unwrap();
        let again = keys.create_key(NAME).unwrap();
        assert_eq!(first.verifier_key(), again.verifier_key());
        assert_eq!(keys.key_of(NAME).unwrap().unwrap().verifier_key(), first.verifier_key());
        let path = keys.key_path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(keys.key(), Err(KeyFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_damaged_key_or_one_of_another_log_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(folder.path());
        keys.create_key(NAME).unwrap();
        assert!(matches!(keys.key_of("other/log"), Err(KeyFileError::OtherName { .. })));
        let damaged = "PRIVATE+KEY+ai-mesh/log+00000000+AAAA\n";
        fs::write(keys.key_path(), damaged).unwrap();
        assert!(matches!(keys.key(), Err(KeyFileError::Damaged { .. })));
        assert!(matches!(keys.create_key(NAME), Err(KeyFileError::Damaged { .. })));
        assert_eq!(fs::read_to_string(keys.key_path()).unwrap(), damaged);
        let elsewhere = KeyFolder::at(&folder.path().join("x"));
        assert!(matches!(elsewhere.create_key("two words"), Err(KeyFileError::Name { .. })));
    }

    #[test]
    fn a_mark_that_an_editor_put_before_a_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(folder.path());
        let signer = keys.create_key(NAME).unwrap();
        let checkpoint = Checkpoint { origin: NAME.into(), size: 1, root: EMPTY_ROOT };
        keys.keep_signed(&checkpoint.sign(&signer).unwrap()).unwrap();
        for file in [KEY, CHECKPOINT] {
            let path = folder.path().join(file);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, format!("\u{feff}{text}")).unwrap();
        }
        assert_eq!(keys.key_of(NAME).unwrap().unwrap().verifier_key(), signer.verifier_key());
        assert_eq!(keys.last_signed().unwrap(), Some(checkpoint));
    }

    #[test]
    fn the_witness_has_a_key_of_its_own_that_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(folder.path());
        assert!(keys.witness_key().unwrap().is_none(), "reading makes none");
        let key = keys.open_witness_key("example.org/witness").unwrap().witness_key();
        assert_eq!(keys.open_witness_key("example.org/witness").unwrap().witness_key(), key);
        assert!(keys.key().unwrap().is_none(), "it is not the log's");
        assert!(matches!(
            keys.open_witness_key("another"),
            Err(KeyFileError::OtherName { role: Role::Witness, .. })
        ));
        let path = keys.witness_key_path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // a log's key in its place is none
        fs::copy(&path, folder.path().join("kept")).unwrap();
        fs::write(&path, NoteSigner::new("example.org/witness", &[1; 32]).unwrap().to_secret_text()).unwrap();
        assert!(matches!(
            keys.open_witness_key("example.org/witness"),
            Err(KeyFileError::Damaged { role: Role::Witness, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(keys.witness_key(), Err(KeyFileError::Exposed { role: Role::Witness, .. })));
    }

    #[test]
    fn two_logs_have_two_keys() {
        let key =
            || KeyFolder::at(tempfile::tempdir().unwrap().path()).create_key(NAME).unwrap().verifier_key();
        assert_ne!(key(), key());
    }

    #[test]
    fn the_last_signed_checkpoint_is_kept_as_it_is_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(folder.path());
        assert_eq!(keys.last_signed().unwrap(), None);
        let signer = keys.create_key(NAME).unwrap();
        for size in [0, 9, 12] {
            let checkpoint = Checkpoint { origin: NAME.into(), size, root: EMPTY_ROOT };
            let note = checkpoint.sign(&signer).unwrap();
            keys.keep_signed(&note).unwrap();
            assert_eq!(keys.last_signed().unwrap(), Some(checkpoint));
            assert_eq!(fs::read_to_string(folder.path().join(CHECKPOINT)).unwrap(), note);
        }
        fs::write(folder.path().join(CHECKPOINT), "ai-mesh/log\n9\n").unwrap();
        assert!(matches!(keys.last_signed(), Err(KeyFileError::DamagedCheckpoint { .. })));
    }

    #[test]
    fn the_following_key_takes_the_place_of_the_present_one() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(folder.path());
        let former = keys.create_key(NAME).unwrap().verifier_key();
        let next = keys.prepare_next(NAME).unwrap().verifier_key();
        assert_ne!(former, next);
        assert_eq!(keys.key().unwrap().unwrap().verifier_key(), former, "not yet");
        assert_eq!(keys.next_key().unwrap().unwrap().verifier_key(), next);
        keys.promote_next().unwrap();
        assert_eq!(keys.key().unwrap().unwrap().verifier_key(), next);
        assert!(keys.next_key().unwrap().is_none());
    }
}
