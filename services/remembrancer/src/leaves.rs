//! A leaf by any of its names, and the evidence for it.

use std::ops::Range;

use api::remembrancer::Evidence;
use merkle_log::{
    bundle::{self, MAX_ENTRY},
    canonical_json,
};
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};

use crate::{
    decisions,
    error::{LogError, NotFound, Result},
    log::{self, Head},
    records,
    signing::HeadSigner,
};

/// Which leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeafName {
    /// By its index in the log.
    Index(u64),
    /// By a record's id.
    Record(String),
    /// By a decision's identity.
    Decision {
        /// The run's digest.
        run: api::Hash,
        /// The sequence number.
        sequence: u64,
    },
}

/// The index of a leaf.
///
/// # Errors
/// The database's; there is no such leaf.
pub async fn find(db: &PgPool, name: &LeafName, head: Head) -> Result<u64> {
    let index = match name {
        LeafName::Index(index) => *index,
        LeafName::Record(id) => records::get(db, id).await?.log_index,
        LeafName::Decision { run, sequence } => decisions::locate(db, *run, *sequence).await?,
    };
    if index < head.size { Ok(index) } else { Err(NotFound::Leaf(index).into()) }
}

/// The canonical JSON that was hashed into the leaf, from the row.
///
/// # Errors
/// The database's; the decision was deleted.
pub async fn text(db: &PgPool, index: u64) -> Result<String> {
    if let Some(row) = decisions::at_index(db, index).await? {
        let bytes =
            canonical_json(&row.decision).map_err(|error| LogError::Inconsistent(error.to_string()))?;
        return String::from_utf8(bytes).map_err(|error| LogError::Inconsistent(error.to_string()));
    }
    match records::at_index(db, index).await? {
        Some(record) => record.leaf_text(),
        None => Err(gone(&mut *db.acquire().await?, index).await?),
    }
}

/// Why a leaf has no row: its decision was deleted, or somebody removed it behind the service's back.
async fn gone(db: &mut PgConnection, index: u64) -> Result<LogError> {
    Ok(match decisions::deleted_at(db, index).await? {
        Some((run, record)) => LogError::Deleted { index, run, record },
        None => LogError::Inconsistent(format!("the leaf {index} has no row")),
    })
}

/// The entries of these log indexes as a bundle of C2SP tlog-tiles.
///
/// # Errors
/// The database's; the log is not that long; an entry is too long for a bundle, or was deleted.
pub async fn bundle(db: &PgPool, indexes: Range<u64>) -> Result<Vec<u8>> {
    let mut db = db.acquire().await?;
    if indexes.end > log::head(&mut *db).await?.size {
        return Err(NotFound::Tile.into());
    }
    let too_long = |index, length| LogError::EntryTooLong { index, length, bundle: indexes.clone() };
    // Told before it is read: a bundle of the longest records would not fit into memory.
    if let Some((index, length)) = records::longer_than(&mut db, indexes.clone(), MAX_ENTRY).await? {
        return Err(too_long(index, length));
    }
    let decisions = decisions::in_range(&mut db, indexes.clone()).await?;
    let mut decisions = decisions.into_iter().map(|(_, row)| row).peekable();
    let mut records = records::in_range(&mut db, indexes.clone()).await?;
    let mut entries = Vec::with_capacity((indexes.end - indexes.start) as usize);
    for index in indexes.clone() {
        let entry = match (decisions.next_if(|row| row.log_index == index), records.remove(&index)) {
            (Some(row), _) => {
                canonical_json(&row.decision).map_err(|error| LogError::Inconsistent(error.to_string()))?
            }
            (None, Some(record)) => record.leaf_text()?.into_bytes(),
            (None, None) => return Err(gone(&mut db, index).await?),
        };
        entries.push(entry);
    }
    bundle::encode(&entries)
        .map_err(|error| too_long(indexes.start + error.position as u64, error.length as u64))
}

/// All that is needed to verify a leaf offline, against the tree of `size` leaves of the log at `head`.
///
/// # Errors
/// The database's; there is no such leaf in that tree.
pub async fn evidence(
    db: &PgPool,
    signer: &HeadSigner,
    name: &LeafName,
    tree: Head,
    head: Head,
) -> Result<Evidence> {
    let log_index = find(db, name, head).await?;
    let record = text(db, log_index).await?;
    let (_, path) = log::inclusion(db, log_index, tree.size).await?;
    Ok(Evidence {
        record: RawValue::from_string(record).map_err(|error| LogError::Inconsistent(error.to_string()))?,
        log_index,
        inclusion_path: path.into_iter().map(api::Hash).collect(),
        checkpoint: signer.sign(tree).await?,
        verifier_key: signer.verifier_key().to_string(),
    })
}
