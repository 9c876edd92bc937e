//! Recording a batch: all of it or nothing, and the same answer however often it is sent.

use api::remembrancer::{BatchReceipts, Fence, Receipt};
use merkle_log::{Frontier, Hash};
use sqlx::PgConnection;

use super::{Batch, ensure_partitions, rows};
use crate::{
    error::{LogError, Result},
    leases,
    log::{Append, Sequencer, digest, leaf_hashes, signed, unsigned},
};

/// A run's locked head row.
struct Run {
    id: i32,
    first_sequence: u64,
    first_frontier: Vec<Hash>,
    next_sequence: u64,
    frontier: Frontier,
    /// The lease that its last decisions came under, and its token.
    fence: Option<Fence>,
}

/// Records what of the batch is not recorded yet, in one transaction with its leaves, the run's head and
/// the receipt. What is recorded already must be the same, byte for byte.
///
/// # Errors
/// The batch does not join its run (a gap, a frontier that does not fit), or differs from what is
/// recorded; `fence` is of a claim that is over; nothing is written then. The database's.
pub async fn append(sequencer: &Sequencer, mut batch: Batch, fence: Option<&Fence>) -> Result<BatchReceipts> {
    let batch = &mut batch;
    let mut append = sequencer.begin().await?;
    leases::check(append.db(), fence).await?;
    let known = lock_run(append.db(), batch.run).await?;
    let joined = match &known {
        Some(run) => join(run, batch)?,
        None => 0,
    };
    if let Some(run) = &known {
        compare(append.db(), run, batch, joined).await?;
    }
    let new = batch.decisions.len() - joined;
    if new == 0 {
        let run = known.ok_or_else(|| LogError::Inconsistent("a run without decisions".into()))?;
        let receipts = receipts(append.db(), run.id, batch).await?;
        return Ok(BatchReceipts { recorded: 0, receipts });
    }
    let run = match known {
        Some(run) => run,
        None => start_run(append.db(), batch).await?,
    };
    remember(append.db(), batch.run, &run, fence).await?;
    write(&mut append, run.id, run.frontier, batch, joined).await?;
    let receipts = receipts(append.db(), run.id, batch).await?;
    append.commit().await?;
    Ok(BatchReceipts { recorded: new as u64, receipts })
}

/// How many of the batch's decisions the log holds already, if the batch joins the run.
fn join(run: &Run, batch: &Batch) -> Result<usize> {
    if batch.first_sequence > run.next_sequence {
        return Err(LogError::SequenceGap {
            run: batch.run,
            expected: run.next_sequence,
            actual: batch.first_sequence,
            unknown_run: false,
        });
    }
    if batch.first_sequence < run.first_sequence {
        return Err(LogError::BeforeRunStart {
            run: batch.run,
            first: run.first_sequence,
            actual: batch.first_sequence,
        });
    }
    if let Some(frontier) = &batch.frontier {
        let expected = if batch.first_sequence == run.first_sequence {
            Some(&run.first_frontier[..])
        } else if batch.first_sequence == run.next_sequence {
            Some(run.frontier.hashes())
        } else {
            None // in between the decisions themselves are compared
        };
        if expected.is_some_and(|expected| expected != frontier) {
            let reason = "it is not the frontier that this log holds there".into();
            return Err(LogError::FrontierMismatch {
                run: batch.run,
                sequence: batch.first_sequence,
                reason,
            });
        }
    }
    Ok((batch.end_sequence().min(run.next_sequence) - batch.first_sequence) as usize)
}

/// Compares the first `joined` decisions with what is recorded, leaf by leaf.
async fn compare(db: &mut PgConnection, run: &Run, batch: &mut Batch, joined: usize) -> Result<()> {
    if joined == 0 {
        return Ok(()); // nothing to wait for the hashes for
    }
    let (run_digest, first) = (batch.run, batch.first_sequence);
    let posted = batch.leaf_hashes().await?;
    let end = first + joined as u64;
    for commit in commits(db, run.id, first, end).await? {
        let sequences = commit.first_sequence.max(first)..commit.end().min(end);
        let first_leaf = commit.first_log_index + (sequences.start - commit.first_sequence);
        let recorded =
            leaf_hashes(&mut *db, first_leaf..first_leaf + (sequences.end - sequences.start)).await?;
        let posted = &posted[(sequences.start - first) as usize..];
        let different =
            sequences.zip(recorded.iter().zip(posted)).find(|(_, (recorded, posted))| recorded != posted);
        if let Some((sequence, _)) = different {
            return Err(LogError::DecisionConflict { run: run_digest, sequence });
        }
    }
    Ok(())
}

/// Keeps in the run's head which lease its decisions come under.
async fn remember(db: &mut PgConnection, digest: api::Hash, run: &Run, fence: Option<&Fence>) -> Result<()> {
    match (&run.fence, fence) {
        (None, None) => return Ok(()),
        (Some(last), None) => {
            return Err(LogError::LeaseRequired { run: digest, lease: last.lease.clone() });
        }
        // Tokens of different leases do not compare: two runs of one configuration have one digest, and a lease each.
        (Some(last), Some(fence)) if last.lease == fence.lease && fence.token <= last.token => {
            if fence.token == last.token {
                return Ok(());
            }
            let reason = format!("the run has decisions under its token {}", last.token);
            return Err(LogError::LeaseLost { fence: fence.clone(), reason });
        }
        (_, Some(fence)) => {
            sqlx::query!(
                "UPDATE runs SET lease = $2, lease_token = $3 WHERE id = $1",
                run.id,
                fence.lease,
                signed(fence.token)
            )
            .execute(db)
            .await?;
        }
    }
    Ok(())
}

/// Writes the decisions after the first `joined`: rows, tiles, the run's head and the receipt.
async fn write(
    append: &mut Append,
    run_id: i32,
    mut frontier: Frontier,
    batch: &mut Batch,
    joined: usize,
) -> Result<()> {
    let (decisions, first_sequence, end_sequence) =
        (batch.decisions.clone(), batch.first_sequence + joined as u64, batch.end_sequence());
    let decisions = &decisions[joined..];
    let first_index = append.next_index();
    ensure_partitions(append.db(), first_index..first_index + decisions.len() as u64).await?;
    rows::copy(append.db(), first_index, run_id, decisions).await?;
    let hashes = &batch.leaf_hashes().await?[joined..];
    let head = append.integrate(hashes).await?;
    frontier.extend(hashes.iter().copied());
    let episodes = decisions.iter().map(|decision| decision.episode as i32);
    sqlx::query!(
        r#"INSERT INTO run_batches (run_id, first_sequence, count, first_episode, last_episode, first_log_index, root)
           VALUES ($1, $2, $3, $4, $5, $6, $7)"#,
        run_id,
        signed(first_sequence),
        hashes.len() as i32,
        episodes.clone().min().unwrap_or(0),
        episodes.max().unwrap_or(0),
        signed(first_index),
        &head.root
    )
    .execute(append.db())
    .await?;
    sqlx::query!(
        "UPDATE runs SET next_sequence = $2, frontier = $3 WHERE id = $1",
        run_id,
        signed(end_sequence),
        frontier.hashes().as_flattened()
    )
    .execute(append.db())
    .await?;
    Ok(())
}

async fn lock_run(db: &mut PgConnection, run: api::Hash) -> Result<Option<Run>> {
    let row = sqlx::query!(
        r#"SELECT id, first_sequence, first_frontier, next_sequence, frontier, lease, lease_token
           FROM runs WHERE digest = $1 FOR UPDATE"#,
        &run.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let next_sequence = unsigned(row.next_sequence)?;
    let token = unsigned(row.lease_token)?;
    Ok(Some(Run {
        fence: row.lease.map(|lease| Fence { lease, token }),
        id: row.id,
        first_sequence: unsigned(row.first_sequence)?,
        first_frontier: hashes(&row.first_frontier)?,
        next_sequence,
        frontier: frontier_of(next_sequence, &row.frontier)?,
    }))
}

/// The head of a run that this log meets for the first time.
async fn start_run(db: &mut PgConnection, batch: &Batch) -> Result<Run> {
    let (run, sequence) = (batch.run, batch.first_sequence);
    let hashes = match &batch.frontier {
        Some(hashes) => hashes.clone(),
        None if sequence == 0 => Vec::new(),
        None => {
            return Err(LogError::SequenceGap { run, expected: 0, actual: sequence, unknown_run: true });
        }
    };
    let frontier = Frontier::from_parts(sequence, hashes.clone())
        .map_err(|error| LogError::FrontierMismatch { run, sequence, reason: error.to_string() })?;
    let id = sqlx::query_scalar!(
        r#"INSERT INTO runs (digest, first_sequence, first_frontier, next_sequence, frontier)
           VALUES ($1, $2, $3, $2, $3) RETURNING id"#,
        &run.0,
        signed(sequence),
        hashes.as_flattened()
    )
    .fetch_one(db)
    .await?;
    Ok(Run {
        id,
        first_sequence: sequence,
        first_frontier: hashes,
        next_sequence: sequence,
        frontier,
        fence: None,
    })
}

/// One commit of a run's decisions.
struct Commit {
    first_sequence: u64,
    count: u64,
    first_log_index: u64,
    root: Hash,
}

impl Commit {
    fn end(&self) -> u64 {
        self.first_sequence + self.count
    }
}

/// The commits that hold the sequence numbers `first..end`, in order.
async fn commits(db: &mut PgConnection, run_id: i32, first: u64, end: u64) -> Result<Vec<Commit>> {
    // The first of them is the last that starts at or before `first`: both ends are one step in the key.
    let rows = sqlx::query!(
        r#"SELECT first_sequence, count, first_log_index, root FROM run_batches
           WHERE run_id = $1 AND first_sequence < $3
             AND first_sequence >= (SELECT coalesce(max(first_sequence), 0) FROM run_batches
                                    WHERE run_id = $1 AND first_sequence <= $2)
           ORDER BY first_sequence"#,
        run_id,
        signed(first),
        signed(end)
    )
    .fetch_all(db)
    .await?;
    let commits = rows.into_iter().map(|row| {
        Ok(Commit {
            first_sequence: unsigned(row.first_sequence)?,
            count: unsigned(row.count.into())?,
            first_log_index: unsigned(row.first_log_index)?,
            root: digest(&row.root)?,
        })
    });
    commits.filter(|commit| commit.as_ref().is_ok_and(|c| c.end() > first) || commit.is_err()).collect()
}

async fn receipts(db: &mut PgConnection, run_id: i32, batch: &Batch) -> Result<Vec<Receipt>> {
    let commits = commits(db, run_id, batch.first_sequence, batch.end_sequence()).await?;
    let receipt = |commit: Commit| Receipt {
        run: batch.run,
        first_sequence: commit.first_sequence,
        count: commit.count,
        first_log_index: commit.first_log_index,
        tree_size: commit.first_log_index + commit.count,
        root_hash: api::Hash(commit.root),
    };
    Ok(commits.into_iter().map(receipt).collect())
}

/// A stored run's frontier.
pub(crate) fn frontier_of(next_sequence: u64, bytes: &[u8]) -> Result<Frontier> {
    Frontier::from_parts(next_sequence, hashes(bytes)?)
        .map_err(|error| LogError::Inconsistent(error.to_string()))
}

fn hashes(bytes: &[u8]) -> Result<Vec<Hash>> {
    bytes.chunks(32).map(digest).collect()
}
