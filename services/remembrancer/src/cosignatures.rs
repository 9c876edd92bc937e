//! The cosignatures that witnesses gave for this log's checkpoints. Somebody else asks the witnesses: this service calls
//! nobody, and takes what holds.

use api::remembrancer::{Cosignatures, CosignedBy};
use merkle_log::{
    checkpoint::Checkpoint,
    note::{SignedNote, VerifierKey},
    trust_policy::TrustPolicy,
};
use sqlx::{PgExecutor, PgPool};

use crate::{
    database::{BEGIN, begin},
    error::{LogError, Result},
    log::{self, Head, digest, signed, unsigned},
};

/// The last checkpoints whose cosignatures are kept. One from before them stays while it is the last with a quorum.
const KEPT_CHECKPOINTS: usize = 32;

/// Keeps the cosignatures on a checkpoint of this log that are by witnesses of the policy; those of others are passed over.
///
/// # Errors
/// The checkpoint is not one of this log; a witness's cosignature does not hold; the database's.
pub async fn keep(
    db: &PgPool,
    policy: &TrustPolicy,
    own: &VerifierKey,
    checkpoint: &str,
) -> Result<(Cosignatures, u64)> {
    let wrong = |detail: String| LogError::invalid("/checkpoint", detail);
    let Checkpoint { size, root, .. } =
        Checkpoint::verify(checkpoint, own).map_err(|error| wrong(error.to_string()))?;
    let head = log::head(db).await?;
    if size > head.size || log::root_at(db, size, head).await? != root {
        return Err(wrong(format!("this log has no tree of {size} leaves with that root")));
    }
    let note = SignedNote::parse(checkpoint).map_err(|error| wrong(error.to_string()))?;
    let mut kept = 0;
    let mut transaction = begin(db, BEGIN).await?;
    for witness in policy.witnesses() {
        let cosignature = witness.key.cosignature(&note).map_err(|error| wrong(error.to_string()))?;
        let Some(cosignature) = cosignature else { continue };
        let inserted = sqlx::query!(
            r#"INSERT INTO cosignatures (size, witness, root, signed_at, line) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (size, witness) DO UPDATE
               SET root = EXCLUDED.root, signed_at = EXCLUDED.signed_at, line = EXCLUDED.line
               WHERE (cosignatures.root, cosignatures.signed_at) IS DISTINCT FROM (EXCLUDED.root, EXCLUDED.signed_at)"#,
            signed(size),
            witness.key.to_string(),
            &root[..],
            signed(cosignature.time),
            cosignature.line
        )
        .execute(&mut *transaction)
        .await?;
        kept += inserted.rows_affected();
    }
    forget_old(&mut transaction, policy).await?;
    transaction.commit().await?;
    // Those of others that came at the same time count too: whoever has committed last sees all of them.
    let lines = kept_lines(db).await?;

    let of_this = lines.iter().filter(|line| (line.size, line.root) == (size, root));
    let found: Vec<&Line> = of_this.collect();
    let by = |key: &str| found.iter().find(|line| line.witness == key);
    let cosigned_by = policy.witnesses().iter().filter_map(|witness| {
        let verifier_key = witness.key.to_string();
        let time = by(&verifier_key)?.signed_at;
        Some(CosignedBy { witness: witness.name.clone(), verifier_key, time })
    });
    let answer = Cosignatures {
        tree_size: size,
        root_hash: api::Hash(root),
        cosigned_by: cosigned_by.collect(),
        quorum: policy.is_quorum(|witness| by(&witness.key.to_string()).is_some()),
    };
    Ok((answer, kept))
}

/// The signature lines that witnesses gave for a tree.
///
/// # Errors
/// The database's.
pub async fn lines(db: impl PgExecutor<'_>, tree: Head) -> Result<String> {
    let lines = sqlx::query_scalar!(
        "SELECT line FROM cosignatures WHERE size = $1 AND root = $2 ORDER BY witness",
        signed(tree.size),
        &tree.root[..]
    )
    .fetch_all(db)
    .await?;
    Ok(lines.concat())
}

/// The last tree of the log at `head` that enough witnesses cosigned; `None` before there is one.
///
/// # Errors
/// The database's.
pub async fn last_witnessed(
    db: impl PgExecutor<'_>,
    policy: &TrustPolicy,
    head: Head,
) -> Result<Option<Head>> {
    if policy.is_quorum(|_| false) {
        return Ok(Some(head));
    }
    let lines = kept_lines(db).await?;
    Ok(trees(&lines).find(|tree| is_quorum(policy, tree)).map(|tree| tree[0].tree()))
}

/// A cosignature that is kept.
struct Line {
    size: u64,
    root: merkle_log::Hash,
    witness: String,
    signed_at: u64,
}

impl Line {
    fn tree(&self) -> Head {
        Head { size: self.size, root: self.root }
    }
}

/// All that are kept, those of the largest tree first.
async fn kept_lines(db: impl PgExecutor<'_>) -> Result<Vec<Line>> {
    let rows =
        sqlx::query!("SELECT size, root, witness, signed_at FROM cosignatures ORDER BY size DESC, root")
            .fetch_all(db)
            .await?;
    let line = |size, root: &[u8], witness, signed_at| {
        let (size, root, signed_at) = (unsigned(size)?, digest(root)?, unsigned(signed_at)?);
        Ok(Line { size, root, witness, signed_at })
    };
    rows.into_iter().map(|row| line(row.size, &row.root, row.witness, row.signed_at)).collect()
}

/// The lines of one tree after the other.
fn trees(lines: &[Line]) -> impl Iterator<Item = &[Line]> {
    lines.chunk_by(|one, other| one.tree() == other.tree())
}

fn is_quorum(policy: &TrustPolicy, tree: &[Line]) -> bool {
    policy.is_quorum(|witness| tree.iter().any(|line| line.witness == witness.key.to_string()))
}

/// Deletes the cosignatures of trees that are older than the last few and than the last with a quorum.
async fn forget_old(db: &mut sqlx::PgConnection, policy: &TrustPolicy) -> Result<()> {
    let lines = kept_lines(&mut *db).await?;
    let oldest = trees(&lines).nth(KEPT_CHECKPOINTS - 1).map(|tree| tree[0].size);
    let witnessed = trees(&lines).find(|tree| is_quorum(policy, tree)).map(|tree| tree[0].size);
    let Some(oldest) = oldest else { return Ok(()) };
    sqlx::query!(
        "DELETE FROM cosignatures WHERE size < $1 AND size <> $2",
        signed(oldest),
        witnessed.map_or(-1, signed)
    )
    .execute(db)
    .await?;
    Ok(())
}
