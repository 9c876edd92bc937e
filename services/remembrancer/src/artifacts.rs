//! Artifacts: large evidence under its SHA-256.

use api::remembrancer::Artifact;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::{
    error::{LogError, NotFound, Result},
    log::unsigned,
};

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The artifact as it is stored.
    pub artifact: Artifact,
    /// True when it was stored just now.
    pub new: bool,
}

/// Checks content against its name. It hashes about half a gigabyte a second, so large content belongs on a
/// thread of its own.
///
/// # Errors
/// The content has another digest.
pub fn check(name: api::Hash, content: &[u8]) -> Result<()> {
    let actual = api::Hash(Sha256::digest(content).into());
    if actual == name { Ok(()) } else { Err(LogError::DigestMismatch { expected: name, actual }) }
}

/// Stores checked content, once: a second put changes nothing, not even the media type.
///
/// # Errors
/// The database's.
pub async fn put(db: &PgPool, name: api::Hash, media_type: &str, content: &[u8]) -> Result<Put> {
    // Most second puts are large and need not travel again.
    if let Some(artifact) = find(db, name).await? {
        return Ok(Put { artifact, new: false });
    }
    let inserted = sqlx::query!(
        r#"INSERT INTO artifacts (sha256, media_type, size_bytes, bytes) VALUES ($1, $2, length($3::bytea), $3)
           ON CONFLICT (sha256) DO NOTHING"#,
        &name.0,
        media_type,
        content
    )
    .execute(db)
    .await?;
    let artifact = find(db, name).await?.ok_or(NotFound::Artifact(name))?;
    Ok(Put { artifact, new: inserted.rows_affected() == 1 })
}

/// What is known of an artifact, without its content.
///
/// # Errors
/// The database's; there is none.
pub async fn describe(db: &PgPool, name: api::Hash) -> Result<Artifact> {
    Ok(find(db, name).await?.ok_or(NotFound::Artifact(name))?)
}

/// `length` bytes of an artifact's content from `offset` on, fewer at its end.
///
/// # Errors
/// The database's; there is no such artifact.
pub async fn read(db: &PgPool, name: api::Hash, offset: u64, length: u32) -> Result<Vec<u8>> {
    // An artifact is below 1 GB (PostgreSQL's largest field), so positions fit an i32.
    let from = i32::try_from(offset.saturating_add(1)).map_err(|_| NotFound::Artifact(name))?;
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    let part = sqlx::query_scalar!(
        r#"SELECT substring(bytes FROM $2 FOR $3) AS "part!" FROM artifacts WHERE sha256 = $1"#,
        &name.0,
        from,
        length
    );
    Ok(part.fetch_optional(db).await?.ok_or(NotFound::Artifact(name))?)
}

async fn find(db: &PgPool, name: api::Hash) -> Result<Option<Artifact>> {
    let row = sqlx::query!("SELECT media_type, size_bytes FROM artifacts WHERE sha256 = $1", &name.0)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        Ok(Artifact { sha256: name, size_bytes: unsigned(row.size_bytes)?, media_type: row.media_type })
    })
    .transpose()
}
