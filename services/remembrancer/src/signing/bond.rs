//! Whether the folder of the key and the database belong together.

use std::path::PathBuf;

use merkle_log::{
    Hash,
    checkpoint::Checkpoint,
    note::{KeyError, NoteSigner, VerifierKey},
};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::{
    HeadSigner, KeyFileError, KeyFolder,
    signer::{keep_in, note_of},
};
use crate::{
    database::{BEGIN, begin},
    error::{LogError, Result},
    log::{Head, digest, root_at, signed, unsigned},
};

/// The way out when what is missing is lost for good.
const ACCEPT_LOSS: &str = "If it is lost for good, `mesh key rotate --accept-loss` lets the log go on under a new key \
                           and records that it did; who verifies with the former key has to be told";

/// Folder and database do not belong together: the log is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The database has a log, and the folder has no key.
    #[error(
        "the database has a log of {size} leaves, signed with {known}, and that key is not at {path}: put the file back \
         from a backup. {ACCEPT_LOSS}",
        known = .key.as_deref().unwrap_or("a key that only its file knows"),
        path = .path.display()
    )]
    NoKey {
        /// Where the key belongs.
        path: PathBuf,
        /// Its public part, when the database knows it.
        key: Option<String>,
        /// The log's leaves.
        size: u64,
    },
    /// The folder has the key of another log.
    #[error(
        "the log in the database is signed with {expected}, but the key at {path} is {actual}: the folder and the \
         database belong to different logs. Start with the folder that has the log's key, or with the database that \
         belongs to this folder. {ACCEPT_LOSS}",
        path = .path.display()
    )]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The key that the database names.
        expected: String,
        /// The key that is there.
        actual: String,
    },
    /// The database has less than was signed.
    #[error(
        "the database has a log of {size} leaves, but {signed} leaves were signed with the key at {path}: the database was \
         emptied, or comes from a backup that is older. Restore the newer one. {ACCEPT_LOSS}. For a new log give it an \
         empty folder as well as an empty database",
        path = .path.display()
    )]
    Older {
        /// The key's file.
        path: PathBuf,
        /// The log's leaves.
        size: u64,
        /// The leaves that were signed.
        signed: u64,
    },
    /// The database has another history than the one that was signed.
    #[error(
        "the first {size} leaves of the log in the database have the root {actual}, but {expected} was signed with the key \
         at {path}: it is another log, or its past was changed (`remembrancer fsck` tells). Start with the database that \
         belongs to this key. {ACCEPT_LOSS}",
        path = .path.display(), expected = api::Hash(*.expected), actual = api::Hash(*.actual)
    )]
    OtherHistory {
        /// The key's file.
        path: PathBuf,
        /// Up to where.
        size: u64,
        /// The root that was signed.
        expected: Hash,
        /// The root that the database gives.
        actual: Hash,
    },
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Folder and database do not belong together.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What stands in the folder cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The database's.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Log(error.into())
    }
}

/// The key that the database names, and what it signed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    pub(super) key: VerifierKey,
    pub(super) signed: Head,
}

/// The log's key as the database names it; `None` before the log was ever opened by a service that has one.
///
/// # Errors
/// The database's.
pub async fn current_key(db: impl PgExecutor<'_>) -> Result<Option<VerifierKey>> {
    Ok(stored_signer(db).await?.map(|signer| signer.key))
}

/// The head that the log's key signed last, as the database knows it.
pub(crate) async fn last_signed(db: impl PgExecutor<'_>) -> Result<Option<Head>> {
    Ok(stored_signer(db).await?.map(|signer| signer.signed))
}

/// Opens the log `name` of the database with the key of the folder. A new log gets a key; one of a version that kept no
/// key in the database takes over the key that is there, once.
///
/// # Errors
/// Folder and database do not belong together; one of them cannot be read or written.
pub async fn open(db: &PgPool, keys: &KeyFolder, name: &str) -> std::result::Result<HeadSigner, OpenError> {
    let mut transaction = begin(db, BEGIN).await?;
    // The head's lock keeps two processes from doing this at once, and the head from growing meanwhile.
    let row = sqlx::query!("SELECT size, root FROM log_head FOR UPDATE").fetch_one(&mut *transaction).await?;
    let head = Head { size: unsigned(row.size)?, root: digest(&row.root)? };
    let stored = stored_signer(&mut *transaction).await?;
    let key = finish_rotation(keys, name, stored.as_ref())?;
    let found = Found {
        head,
        key: key.as_ref().map(NoteSigner::verifier_key),
        stored: stored.clone(),
        kept: keys.last_signed()?,
    };
    found.check_key(keys)?;
    if let Some(refusal) = found.check_history(keys, &mut transaction).await? {
        return Err(refusal.into());
    }

    let signer = match key {
        Some(signer) => signer,
        None => keys.create_key(name)?,
    };
    let key = signer.verifier_key();
    match stored {
        Some(_) => {}
        None if head.size == 0 => {
            tracing::info!(%key, path = %keys.key_path().display(), "a new log has its key")
        }
        None => tracing::warn!(
            %key, path = %keys.key_path().display(), leaves = head.size,
            "the log was made by a version that kept no key in the database: it takes over the key that is there, and \
             from now on no other"
        ),
    }
    sqlx::query!(
        r#"INSERT INTO log_signer (verifier_key, signed_size, signed_root) VALUES ($1, $2, $3)
           ON CONFLICT (only_row) DO UPDATE SET signed_size = EXCLUDED.signed_size, signed_root = EXCLUDED.signed_root"#,
        key.to_string(),
        signed(head.size),
        &head.root
    )
    .execute(&mut *transaction)
    .await?;
    // A start signs what is there, so that from then on both sides know of it.
    if found.kept.is_none_or(|kept| kept.size < head.size) {
        keep_in(keys.clone(), note_of(head, &signer)?).await?;
    }
    transaction.commit().await?;
    Ok(HeadSigner::new(signer, keys.clone(), db.clone(), head))
}

/// What is known before anything is signed.
pub(super) struct Found {
    pub(super) head: Head,
    /// In the folder.
    pub(super) key: Option<VerifierKey>,
    /// The last signed checkpoint beside it.
    pub(super) kept: Option<Checkpoint>,
    /// In the database.
    pub(super) stored: Option<Signer>,
}

impl Found {
    /// Whether the folder has the log's key; a new log needs none.
    pub(super) fn check_key(&self, keys: &KeyFolder) -> std::result::Result<(), Refusal> {
        let (path, size) = (keys.key_path(), self.head.size);
        match (&self.key, &self.stored) {
            (None, Some(Signer { key, .. })) => {
                Err(Refusal::NoKey { path, key: Some(key.to_string()), size })
            }
            (None, None) if size > 0 => Err(Refusal::NoKey { path, key: None, size }),
            (Some(actual), Some(Signer { key: expected, .. })) if actual != expected => {
                Err(Refusal::OtherKey { path, expected: expected.to_string(), actual: actual.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Whether the log still has all that was signed, as it was signed.
    pub(super) async fn check_history(
        &self,
        keys: &KeyFolder,
        db: &mut PgConnection,
    ) -> Result<Option<Refusal>> {
        let path = keys.key_path();
        for Head { size, root: expected } in self.signed() {
            if size > self.head.size {
                return Ok(Some(Refusal::Older { path, size: self.head.size, signed: size }));
            }
            let actual = root_at(&mut *db, size, self.head).await?;
            if actual != expected {
                return Ok(Some(Refusal::OtherHistory { path, size, expected, actual }));
            }
        }
        Ok(None)
    }

    /// What each side says was signed, the longest first.
    pub(super) fn signed(&self) -> Vec<Head> {
        let kept = self.kept.as_ref().map(|kept| Head { size: kept.size, root: kept.root });
        let mut signed: Vec<Head> =
            kept.into_iter().chain(self.stored.as_ref().map(|stored| stored.signed)).collect();
        signed.sort_by_key(|head| std::cmp::Reverse(head.size));
        signed
    }
}

/// The folder's key. When a change of the key broke off after the database took it, it is brought to its end.
pub(super) fn finish_rotation(
    keys: &KeyFolder,
    name: &str,
    stored: Option<&Signer>,
) -> std::result::Result<Option<NoteSigner>, KeyFileError> {
    if let (Some(stored), Some(next)) = (stored, keys.next_key()?)
        && next.verifier_key() == stored.key
    {
        keys.promote_next()?;
    }
    keys.key_of(name)
}

pub(super) async fn stored_signer(db: impl PgExecutor<'_>) -> Result<Option<Signer>> {
    let row = sqlx::query!("SELECT verifier_key, signed_size, signed_root FROM log_signer")
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let bad = |error: KeyError| LogError::Inconsistent(format!("the log's key in the database: {error}"));
    let key = VerifierKey::parse(&row.verifier_key).map_err(bad)?;
    Ok(Some(Signer {
        key,
        signed: Head { size: unsigned(row.signed_size)?, root: digest(&row.signed_root)? },
    }))
}
