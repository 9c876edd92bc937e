//! Another key for the log.

use ::records::{
    Body as _,
    log::{KeyRotated, Signed},
};
use merkle_log::{note::VerifierKey, rotation::KeyRotation};
use sqlx::PgPool;

use super::{
    KeyFolder, OpenError,
    bond::{Found, Signer, finish_rotation, stored_signer},
    signer::{checkpoint_of, keep_in, note_of},
};
use crate::{
    appends::{self, Entry},
    error::LogError,
    log::{Head, Sequencer, now, signed},
    records::{self, Draft},
};

/// The key was changed.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The key until now, when it is known.
    pub former: Option<VerifierKey>,
    /// The key from now on.
    pub new: VerifierKey,
    /// What the former key signed and the database does not have.
    pub lost: Option<Head>,
    /// The record in the log, which both keys signed unless the former is lost.
    pub record_id: String,
    /// Its index in the log.
    pub log_index: u64,
}

/// The keys before this one, each with the number of leaves up to which it signed, as far as each vouched for the next. The
/// records that say so may be anybody's: the signatures count.
///
/// # Errors
/// The database's.
pub async fn former_keys(db: &PgPool, key: &VerifierKey) -> Result<Vec<(VerifierKey, u64)>, LogError> {
    let mut former: Vec<(VerifierKey, u64)> = Vec::new();
    loop {
        let new = former.last().map_or(key, |(key, _)| key);
        let Some(record) = records::find(db, &KeyRotated::id_of(new)).await? else { return Ok(former) };
        let rotated = KeyRotated::read(&record.to_api()?).ok();
        match rotated.and_then(|rotated| rotated.vouched_for(new)) {
            // Back and forth between two keys would never end.
            Some((before, _)) if before == *key || former.iter().any(|(known, _)| *known == before) => {
                return Ok(former);
            }
            Some(before) => former.push(before),
            None => return Ok(former),
        }
    }
}

/// The key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// There is no key yet.
    #[error("the log is empty and has no key yet: the remembrancer makes one when it starts")]
    NoLog,
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<LogError> for RotateError {
    fn from(error: LogError) -> Self {
        Self::Open(error.into())
    }
}

impl From<sqlx::Error> for RotateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Open(error.into())
    }
}

/// Gives the log of the database another key, in the place of the one in the folder, and records the change in the log
/// with the signatures of both. A service that runs meanwhile goes on with the new key.
///
/// With `accept_loss` this is done although the former key, or a part of what it signed, is not there; the record says
/// so. `name` is the log's name when neither side knows it.
///
/// # Errors
/// Folder and database do not belong together, and `accept_loss` was not given; the database's, the folder's.
pub async fn rotate(
    db: &PgPool,
    keys: &KeyFolder,
    name: &str,
    accept_loss: bool,
) -> Result<Rotated, RotateError> {
    let mut append = Sequencer::new(db.clone()).begin().await?; // nobody appends or opens the log meanwhile
    let head = append.head();
    let stored = stored_signer(&mut *append.db()).await?;
    let key = {
        let name = stored.as_ref().map_or(name, |signer| signer.key.name());
        finish_rotation(keys, name, stored.as_ref()).map_err(OpenError::from)?
    };
    let kept = keys.last_signed().map_err(OpenError::from)?;
    let found = Found { head, key: key.as_ref().map(|key| key.verifier_key()), stored, kept };
    if found.key.is_none() && found.stored.is_none() && found.signed().is_empty() && head.size == 0 {
        return Err(RotateError::NoLog);
    }
    let wrong_key = found.check_key(keys).err();
    let wrong_history = found.check_history(keys, append.db()).await?;
    let foreign = wrong_key.is_some();
    let lost = wrong_history.is_some().then(|| found.signed()[0]).filter(|_| !foreign);
    if let Some(refusal) = wrong_key.or(wrong_history).filter(|_| !accept_loss) {
        return Err(OpenError::Refused(refusal).into());
    }

    let former_key = found.stored.map(|signer| signer.key).or(found.key);
    let name = former_key.as_ref().map_or(name, VerifierKey::name).to_owned();
    let former = key.as_ref().filter(|_| !foreign);
    let new = keys.prepare_next(&name).map_err(OpenError::from)?;
    let note = KeyRotation::sign(&checkpoint_of(head, &name), former_key.as_ref(), former, &new);
    let body = KeyRotated {
        former_key: former_key.as_ref().map(ToString::to_string),
        new_key: new.verifier_key().to_string(),
        checkpoint: note.map_err(|error| LogError::Inconsistent(error.to_string()))?,
        lost: lost.map(|Head { size, root }| Signed { tree_size: size, root_hash: api::Hash(root) }),
    };
    let record = body.to_record().map_err(|error| LogError::Inconsistent(error.to_string()))?;
    let entry = Entry::Record { draft: Draft::new(record, body.id())?, fence: None, now: now() };
    let recorded = match appends::write(&mut append, &mut [entry]).await?.pop() {
        Some(answer) => answer?,
        None => return Err(LogError::Interrupted("an append without answer".into()).into()),
    };
    let head = append.head();
    sqlx::query!(
        r#"INSERT INTO log_signer (verifier_key, signed_size, signed_root) VALUES ($1, $2, $3)
           ON CONFLICT (only_row) DO UPDATE SET verifier_key = EXCLUDED.verifier_key,
                                                signed_size = EXCLUDED.signed_size,
                                                signed_root = EXCLUDED.signed_root"#,
        body.new_key,
        signed(head.size),
        &head.root
    )
    .execute(append.db())
    .await?;
    if let (Some(key), true) = (&key, foreign) {
        keys.set_aside(key).map_err(OpenError::from)?;
    }
    append.commit().await?;

    // From here on the database knows the new key: whoever opens the log finds it beside the former one.
    let signer = Signer { key: new.verifier_key(), signed: head };
    finish_rotation(keys, &name, Some(&signer)).map_err(OpenError::from)?;
    keep_in(keys.clone(), note_of(head, &new)?).await?;
    Ok(Rotated {
        former: former_key,
        new: new.verifier_key(),
        lost,
        record_id: body.id(),
        log_index: recorded.log_index(),
    })
}
