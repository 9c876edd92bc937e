//! Files that are whole or not there: written beside their place, then renamed.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::exit::usage;

/// A file being written. It appears under its name with [`AtomicFile::finish`], and not at all without.
pub(crate) struct AtomicFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    Temporary(BufWriter<NamedTempFile>),
    /// Devices and pipes cannot be replaced by a file: they are written to as they are.
    Direct(BufWriter<fs::File>),
}

impl AtomicFile {
    /// Begins a file. Its folder must be there.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot =
            || format!("cannot write {}: is the folder there, and may you write to it?", path.display());
        let special = fs::metadata(path).is_ok_and(|m| !m.is_file());
        let target = if special {
            let file = fs::OpenOptions::new().write(true).open(path).with_context(cannot)?;
            Target::Direct(BufWriter::new(file))
        } else {
            Target::Temporary(BufWriter::new(temporary(folder_of(path)).with_context(cannot)?))
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Makes the file appear.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        match self.target {
            Target::Direct(mut file) => file.flush().with_context(cannot),
            Target::Temporary(file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error).with_context(cannot)?;
                file.as_file().sync_all().with_context(cannot)?;
                file.persist(&self.path).map_err(|error| error.error).with_context(cannot)?;
                Ok(())
            }
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Temporary(file) => file.write(bytes),
            Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Temporary(file) => file.flush(),
            Target::Direct(file) => file.flush(),
        }
    }
}

/// Writes a file whole.
pub(crate) fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content).with_context(|| format!("cannot write {}", path.display()))?;
    file.finish()
}

/// Makes an output folder if it is not there, and tries whether files can be made in it, so that a run
/// of hours does not end at its last line.
pub(crate) fn writable_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).and_then(|()| temporary(folder).map(drop)).with_context(|| {
        format!("cannot write to the folder {}: choose another one with --output", folder.display())
    })
}

/// Reads a file as bytes.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.is_dir() {
        return Err(usage(format!("{} is a folder: expected a file", path.display())));
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads a file as text, without a mark before it.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = read(path)?;
    let text = json_input::text(&bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.to_owned())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mesh-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // as any file that one makes: the process's umask decides
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt as _;
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn an_output_folder_that_is_a_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write(&path, b"x").unwrap();
        let error = writable_folder(&path).unwrap_err();
        assert!(crate::exit::line(&error).contains("--output"), "{error:#}");
    }
}
