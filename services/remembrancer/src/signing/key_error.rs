//! What can be wrong with the files of the ledger's keys.

use std::{fmt, io, path::PathBuf};

use merkle_log::{checkpoint::CheckpointError, note::KeyError};

/// What a key is for. Each has a key of its own: none can sign for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It signs the log's checkpoints.
    Log,
    /// It cosigns those of other logs.
    Witness,
}

/// What stands in the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// A setting cannot be a key's name.
    #[error("{}: {cause}", role.setting())]
    Name {
        /// Whose key.
        role: Role,
        /// What is wrong.
        cause: KeyError,
    },
    /// A file cannot be read or written.
    #[error("{path}, which belongs to the ledger's keys: {cause}", path = .path.display())]
    File {
        /// The file or its folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Others may read the key.
    #[error(
        "the {role}'s key {path} can be read by others (mode {mode:o}): make it `chmod 600`, and if somebody may \
         have read it, {advice}",
        path = .path.display(), advice = role.to_change_it()
    )]
    Exposed {
        /// Whose key.
        role: Role,
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error(
        "the {role}'s key {path} is damaged: {cause}. Put it back from a backup",
        path = .path.display()
    )]
    Damaged {
        /// Whose key.
        role: Role,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: KeyError,
    },
    /// The file does not hold a checkpoint.
    #[error(
        "the last signed checkpoint {path} is damaged: {cause}. Put it back from a backup of this log",
        path = .path.display()
    )]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: CheckpointError,
    },
    /// The file holds the key of another name.
    #[error(
        "the {role}'s key {path} belongs to the {role} {actual:?}, but {setting} is {expected:?}: a {role} keeps its name",
        path = .path.display(), setting = role.setting()
    )]
    OtherName {
        /// Whose key.
        role: Role,
        /// The file.
        path: PathBuf,
        /// The configured name.
        expected: String,
        /// The key's name.
        actual: String,
    },
}

impl Role {
    /// The setting that names it.
    fn setting(self) -> &'static str {
        match self {
            Self::Log => "log_name",
            Self::Witness => "witness_name",
        }
    }

    fn to_change_it(self) -> &'static str {
        match self {
            Self::Log => "change it with `mesh key rotate`",
            Self::Witness => {
                "put it away: the next start makes another, which those who trust this witness have to be told"
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Witness => "witness",
        })
    }
}
