//! A journal's files. The last one grows; when it is long, another one follows. Files that hold only what the ledger has are
//! deleted, and a last one is cut back to its first line.

use std::{
    collections::VecDeque,
    fs::{self, File, TryLockError},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{Chain, Entry, JournalError, Wrong, header, read};

/// A file that is longer is followed by another one.
const LONGEST: u64 = 8 << 20;

const ENDING: &str = "journal";

/// The journal of a deployment, which this process has to itself.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    deployment: Uuid,
    /// Files before the last one: their numbers, and how many entries had been written at their ends.
    earlier: VecDeque<(u64, u64)>,
    number: u64,
    file: File,
    bytes: u64,
    earlier_bytes: u64,
    chain: Chain,
    entries: u64,
    _lock: File,
}

impl Journal {
    /// Opens a deployment's journal, which is made if there is none, with the entries that it holds.
    pub(crate) fn open(folder: &Path, deployment: Uuid) -> Result<(Self, Vec<Entry>), JournalError> {
        let lock = lock(folder, deployment)?;
        let numbers = numbers(folder, deployment)?;
        let mut entries = Vec::new();
        let mut earlier = VecDeque::new();
        let (mut earlier_bytes, mut last) = (0, None);
        for (position, number) in numbers.iter().copied().enumerate() {
            if position > 0 && numbers[position - 1] + 1 != number {
                return Err(JournalError::Missing(path(folder, deployment, number - 1)));
            }
            let path = path(folder, deployment, number);
            let bytes = fs::read(&path).map_err(of(&path))?;
            let header = header(deployment, number);
            let damaged = |Wrong { line, what }| JournalError::Damaged { path: path.clone(), line, what };
            let found = read(&bytes, &header).map_err(damaged)?;
            for (index, json) in found.entries.iter().enumerate() {
                let entry = serde_json::from_str(json);
                entries.push(entry.map_err(|error| {
                    damaged(Wrong { line: index + 2, what: format!("expected an entry: {error}") })
                })?);
            }
            if position + 1 < numbers.len() {
                if found.whole != bytes.len() || found.whole == 0 {
                    let what = "expected whole lines: the journal goes on in another file".to_owned();
                    return Err(damaged(Wrong { line: found.entries.len() + 2, what }));
                }
                earlier.push_back((number, entries.len() as u64));
                earlier_bytes += bytes.len() as u64;
            } else {
                if found.whole < bytes.len() {
                    tracing::warn!(path = %path.display(), "an unfinished last line is dropped: nobody was answered for it");
                }
                last = Some((number, found.whole as u64, found.chain));
            }
        }
        let (number, whole, chain) = last.unwrap_or_else(|| (0, 0, Chain::begin(&header(deployment, 0))));
        let (file, bytes) = open_last(folder, deployment, number, whole)?;
        let journal = Self {
            folder: folder.to_owned(),
            deployment,
            earlier,
            number,
            file,
            bytes,
            earlier_bytes,
            chain,
            entries: entries.len() as u64,
            _lock: lock,
        };
        Ok((journal, entries))
    }

    /// Whether a deployment has a journal here.
    pub(crate) fn exists(folder: &Path, deployment: Uuid) -> Result<bool, JournalError> {
        numbers(folder, deployment).map(|numbers| !numbers.is_empty())
    }

    /// Writes an entry and waits until it is on the disk. After an error the journal is to be opened anew.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let json = serde_json::to_string(entry)?;
        if self.bytes > LONGEST {
            self.follow()?;
        }
        let line = self.chain.line(&json);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(of(&path(&self.folder, self.deployment, self.number)))?;
        self.bytes += line.len() as u64;
        self.entries += 1;
        Ok(())
    }

    /// Forgets the first so many entries that were ever in it.
    pub(crate) fn forget(&mut self, entries: u64) -> Result<(), JournalError> {
        while let Some((number, _)) = self.earlier.front().filter(|(_, last)| *last <= entries) {
            let path = path(&self.folder, self.deployment, *number);
            let length = fs::metadata(&path).map_or(0, |about| about.len());
            fs::remove_file(&path).map_err(of(&path))?;
            self.earlier_bytes = self.earlier_bytes.saturating_sub(length);
            self.earlier.pop_front();
        }
        let header = header(self.deployment, self.number);
        if entries == self.entries && self.earlier.is_empty() && self.bytes > header.len() as u64 {
            let cut = self.file.set_len(header.len() as u64);
            cut.and_then(|()| self.file.seek(SeekFrom::End(0))).map_err(of(&path(
                &self.folder,
                self.deployment,
                self.number,
            )))?;
            self.bytes = header.len() as u64;
            self.chain = Chain::begin(&header);
        }
        Ok(())
    }

    /// Forgets all that is in it, and counts from there.
    pub(crate) fn forget_all(&mut self) -> Result<(), JournalError> {
        self.forget(self.entries)?;
        self.entries = 0;
        Ok(())
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.earlier_bytes + self.bytes
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.earlier.is_empty() && self.bytes <= header(self.deployment, self.number).len() as u64
    }

    /// Deletes it: all that it held is in the ledger.
    pub(crate) fn delete(self) -> Result<(), JournalError> {
        for number in numbers(&self.folder, self.deployment)? {
            let path = path(&self.folder, self.deployment, number);
            fs::remove_file(&path).map_err(of(&path))?;
        }
        sync_folder(&self.folder)
    }

    fn follow(&mut self) -> Result<(), JournalError> {
        let number = self.number + 1;
        (self.file, _) = open_last(&self.folder, self.deployment, number, 0)?;
        self.earlier.push_back((self.number, self.entries));
        let header = header(self.deployment, number);
        self.earlier_bytes += self.bytes;
        (self.number, self.bytes, self.chain) = (number, header.len() as u64, Chain::begin(&header));
        Ok(())
    }
}

/// The deployments of whose journals something is left.
pub(crate) fn with_entries(folder: &Path) -> Result<Vec<Uuid>, JournalError> {
    let mut found = Vec::new();
    for (deployment, number, bytes) in files(folder)? {
        if bytes > header(deployment, number).len() as u64 && !found.contains(&deployment) {
            found.push(deployment);
        }
    }
    Ok(found)
}

/// The file that grows, cut back to what is whole; its first line is on the disk.
fn open_last(folder: &Path, deployment: Uuid, number: u64, whole: u64) -> Result<(File, u64), JournalError> {
    let path = path(folder, deployment, number);
    let open = || -> io::Result<(File, u64)> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        let header = header(deployment, number);
        let mut bytes = whole;
        if whole == 0 {
            file.write_all(header.as_bytes())?;
            bytes = header.len() as u64;
        }
        file.sync_all()?;
        Ok((file, bytes))
    };
    let opened = open().map_err(of(&path))?;
    sync_folder(folder)?;
    Ok(opened)
}

fn lock(folder: &Path, deployment: Uuid) -> Result<File, JournalError> {
    let path = folder.join(format!("{deployment}.lock"));
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(of(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse),
        Err(TryLockError::Error(cause)) => Err(JournalError::File { path, cause }),
    }
}

/// All files of journals in a folder: of which deployment, which one, and how long.
fn files(folder: &Path) -> Result<Vec<(Uuid, u64, u64)>, JournalError> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(of(folder))? {
        let file = file.map_err(of(folder))?;
        let name = file.file_name();
        let parts = name.to_str().map(|name| name.split('.').collect::<Vec<_>>());
        let Some([deployment, number, ENDING]) = parts.as_deref() else { continue };
        if let (Ok(deployment), Ok(number)) = (deployment.parse(), number.parse()) {
            found.push((deployment, number, file.metadata().map_or(0, |about| about.len())));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn numbers(folder: &Path, deployment: Uuid) -> Result<Vec<u64>, JournalError> {
    let files = files(folder)?.into_iter().filter(|(of, ..)| *of == deployment);
    Ok(files.map(|(_, number, _)| number).collect())
}

fn path(folder: &Path, deployment: Uuid, number: u64) -> PathBuf {
    folder.join(format!("{deployment}.{number:012}.{ENDING}"))
}

/// Names of files are on the disk when their folder is.
fn sync_folder(folder: &Path) -> Result<(), JournalError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(of(folder))
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |cause| JournalError::File { path, cause }
}
