//! This node as a witness of other logs (C2SP tlog-witness): it cosigns a checkpoint that goes on from the last one of the
//! same log that it cosigned, and never two that do not follow each other.

use merkle_log::{
    checkpoint::Checkpoint,
    cosignature::{Cosigner, WitnessKey},
    note::{SignedNote, VerifierKey},
    witness::{AddCheckpoint, Refusal, Seen},
};
use sqlx::{PgExecutor, PgPool};

use crate::{
    database::begin,
    error::{LogError, NotFound, Result},
    log::{digest, signed, unsigned},
};

/// What is answered is on the disk, whatever the database is set to otherwise.
const BEGIN_SYNCED: &str = "BEGIN; SET LOCAL synchronous_commit TO on";

/// Who cosigns, and whose checkpoints.
#[derive(Clone, Debug)]
pub struct Witness {
    cosigner: Cosigner,
    logs: Vec<VerifierKey>,
}

/// A checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum NotCosigned {
    /// The request is not one that a witness takes.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database's.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<sqlx::Error> for NotCosigned {
    fn from(error: sqlx::Error) -> Self {
        Self::Log(error.into())
    }
}

impl Witness {
    /// A witness of these logs.
    #[must_use]
    pub fn new(cosigner: Cosigner, logs: Vec<VerifierKey>) -> Self {
        Self { cosigner, logs }
    }

    /// What its cosignatures are verified with.
    #[must_use]
    pub fn witness_key(&self) -> WitnessKey {
        self.cosigner.witness_key()
    }

    /// The logs that it knows.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Decides a request at the time `now`, in seconds since 1970, and gives the line of the cosignature. The checkpoint is
    /// on the disk by then: compared with the last one and stored in one statement, so that of two requests at once the
    /// second finds what the first stored.
    ///
    /// # Errors
    /// The checkpoint is none to be cosigned; the database's.
    pub async fn add_checkpoint(
        &self,
        db: &PgPool,
        body: &str,
        now: u64,
    ) -> std::result::Result<String, NotCosigned> {
        let request = AddCheckpoint::parse(body)?;
        let checkpoint = request.verify(&self.logs)?;
        let seen = seen(db, &checkpoint.origin).await?;
        request.follows(&checkpoint, seen)?;

        let malformed = |error: merkle_log::note::NoteError| Refusal::Checkpoint(error.into());
        let note = SignedNote::parse(&request.checkpoint).map_err(malformed)?;
        let line = self.cosigner.cosign(note.unverified_text(), now).map_err(malformed)?.line;
        let own = self.logs.iter().filter(|key| key.name() == checkpoint.origin);
        let note = format!("{}{line}", note.with_lines_of(own));
        if compare_and_store(db, seen, &checkpoint, &note).await? {
            return Ok(line);
        }
        let last = self::seen(db, &checkpoint.origin).await?;
        Err(Refusal::Conflict(last.map_or(0, |last| last.size)).into())
    }
}

/// The last checkpoint of a log that was cosigned.
///
/// # Errors
/// The database's.
pub async fn seen(db: impl PgExecutor<'_>, origin: &str) -> Result<Option<Seen>> {
    let row =
        sqlx::query!("SELECT size, root FROM witnessed WHERE origin = $1", origin).fetch_optional(db).await?;
    row.map(|row| Ok(Seen { size: unsigned(row.size)?, root: digest(&row.root)? })).transpose()
}

/// The last checkpoint of a log that was cosigned, with the cosignature.
///
/// # Errors
/// None was; the database's.
pub async fn last_cosigned(db: impl PgExecutor<'_>, origin: &str) -> Result<String> {
    let note = sqlx::query_scalar!("SELECT note FROM witnessed WHERE origin = $1", origin)
        .fetch_optional(db)
        .await?;
    note.ok_or_else(|| NotFound::Witnessed(origin.to_owned()).into())
}

/// Puts a checkpoint in the place of the one that was `seen`; false when another one is there by now.
async fn compare_and_store(
    db: &PgPool,
    seen: Option<Seen>,
    checkpoint: &Checkpoint,
    note: &str,
) -> std::result::Result<bool, sqlx::Error> {
    let mut transaction = begin(db, BEGIN_SYNCED).await?;
    let (origin, size, root) = (&checkpoint.origin, signed(checkpoint.size), &checkpoint.root[..]);
    let stored = match seen {
        None => sqlx::query!(
            "INSERT INTO witnessed (origin, size, root, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            origin,
            size,
            root,
            note
        )
        .execute(&mut *transaction)
        .await?,
        Some(seen) => {
            sqlx::query!(
                r#"UPDATE witnessed SET size = $2, root = $3, note = $4
                   WHERE origin = $1 AND size = $5 AND root = $6"#,
                origin,
                size,
                root,
                note,
                signed(seen.size),
                &seen.root[..]
            )
            .execute(&mut *transaction)
            .await?
        }
    };
    transaction.commit().await?;
    Ok(stored.rows_affected() == 1)
}
