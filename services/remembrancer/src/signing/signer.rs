use std::sync::Arc;

use merkle_log::{
    checkpoint::Checkpoint,
    note::{NoteSigner, VerifierKey},
};
use sqlx::PgPool;
use tokio::sync::Mutex;

use super::KeyFolder;
use crate::{
    database::{BEGIN, begin},
    error::{LogError, Result},
    log::{Head, signed},
};

/// Signs the log's heads. A signature leaves only once both the database and the folder of the key know that the log
/// was that long: whoever loses one of them is told by the other.
#[derive(Clone, Debug)]
pub struct HeadSigner {
    signer: Arc<NoteSigner>,
    keys: KeyFolder,
    db: PgPool,
    /// What both sides know of.
    known: Arc<Mutex<Head>>,
}

impl HeadSigner {
    /// Of a log whose two sides know that this head was signed.
    pub(super) fn new(signer: NoteSigner, keys: KeyFolder, db: PgPool, known: Head) -> Self {
        Self { signer: Arc::new(signer), keys, db, known: Arc::new(Mutex::new(known)) }
    }

    /// What the signatures are verified with.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.signer.verifier_key()
    }

    /// The signed checkpoint of a head.
    ///
    /// # Errors
    /// The database's; the folder cannot be written; another process changed the key.
    pub async fn sign(&self, head: Head) -> Result<String> {
        let note = note_of(head, &self.signer)?;
        let mut known = self.known.lock().await;
        if head.size > known.size {
            self.keep(head, &note).await?;
            *known = head;
        }
        Ok(note)
    }

    /// The row stays locked until the file is there, so that of two processes the later head stays in both.
    async fn keep(&self, head: Head, note: &str) -> Result<()> {
        let key = self.verifier_key().to_string();
        let mut transaction = begin(&self.db, BEGIN).await?;
        let current = sqlx::query_scalar!("SELECT verifier_key FROM log_signer FOR UPDATE")
            .fetch_optional(&mut *transaction)
            .await?;
        if current.as_deref() != Some(&key) {
            return Err(LogError::NotOpen("another process changed the log's key".into()));
        }
        let updated = sqlx::query!(
            "UPDATE log_signer SET signed_size = $1, signed_root = $2 WHERE signed_size < $1",
            signed(head.size),
            &head.root
        )
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 1 {
            keep_in(self.keys.clone(), note.to_owned()).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// The signed checkpoint of a head, which nobody knows of yet.
pub(super) fn note_of(head: Head, signer: &NoteSigner) -> Result<String> {
    checkpoint_of(head, signer.name()).sign(signer).map_err(|error| LogError::Inconsistent(error.to_string()))
}

/// The checkpoint of a head of the log `name`.
pub(super) fn checkpoint_of(head: Head, name: &str) -> Checkpoint {
    Checkpoint { origin: name.into(), size: head.size, root: head.root }
}

/// Keeps a note beside the key, on a thread that may wait for the disk.
pub(super) async fn keep_in(keys: KeyFolder, note: String) -> Result<()> {
    let kept = tokio::task::spawn_blocking(move || keys.keep_signed(&note)).await;
    kept.map_err(|error| LogError::Interrupted(error.to_string()))?.map_err(LogError::KeyFile)
}
