//! The runs that decisions are appended to: all of each batch or nothing, and the same answer however often it is sent.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use api::remembrancer::{BatchReceipts, Decision, Fence, Receipt};
use merkle_log::{EMPTY_ROOT, Frontier, Hash};
use sqlx::PgConnection;

use super::{Batch, ensure_partitions, rows};
use crate::{
    error::{LogError, Result},
    log::{digest, leaf_hashes, signed, unsigned},
};

/// A run's locked head row, as it will be.
struct Run {
    id: i32,
    first_sequence: u64,
    first_frontier: Vec<Hash>,
    next_sequence: u64,
    frontier: Frontier,
    /// The lease that its last decisions came under, and its token.
    fence: Option<Fence>,
    /// The sequence numbers whose decisions were deleted.
    deleted: Option<Range<u64>>,
    is_changed: bool,
}

/// The runs that a transaction appends to, locked.
pub(crate) struct Runs {
    runs: HashMap<api::Hash, Run>,
    /// What is new, in the log's order.
    new: Vec<New>,
    /// What had been deleted and is there again.
    restored: Vec<Restored>,
}

/// Decisions that had been deleted, at their places in the log.
struct Restored {
    run: api::Hash,
    decisions: Arc<Vec<Decision>>,
    /// Which of them.
    positions: Range<usize>,
    first_log_index: u64,
}

/// New decisions of one batch.
struct New {
    run: api::Hash,
    decisions: Arc<Vec<Decision>>,
    /// Which of them are new: those to the end from here on.
    joined: usize,
    commit: Commit,
    /// Whether the run's frontier has their leaves.
    is_in_frontier: bool,
}

/// What became of a batch.
pub(crate) struct Taken {
    run: api::Hash,
    /// The commits of an earlier transaction that hold its first decisions.
    earlier: Vec<Commit>,
    /// Where those of this one are that hold the rest, among those of other batches: positions in what is new.
    new: Range<usize>,
    recorded: u64,
    sequences: Range<u64>,
}

impl Taken {
    fn of(batch: &Batch, earlier: Vec<Commit>, new: Range<usize>, recorded: u64) -> Self {
        Self { run: batch.run, earlier, new, recorded, sequences: batch.first_sequence..batch.end_sequence() }
    }

    /// How many of its decisions are new.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded
    }
}

impl Runs {
    /// Locks the heads of these runs, as far as the log knows them.
    pub(crate) async fn lock(db: &mut PgConnection, digests: &HashSet<api::Hash>) -> Result<Self> {
        let mut runs = HashMap::with_capacity(digests.len());
        if !digests.is_empty() {
            let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.0.to_vec()).collect();
            let rows = sqlx::query!(
                r#"SELECT digest, id, first_sequence, first_frontier, next_sequence, frontier, lease, lease_token, deleted_from,
                          deleted_until
                   FROM runs WHERE digest = ANY($1) ORDER BY digest FOR UPDATE"#,
                &digests
            );
            for row in rows.fetch_all(db).await? {
                let next_sequence = unsigned(row.next_sequence)?;
                let token = unsigned(row.lease_token)?;
                let deleted = row.deleted_from.zip(row.deleted_until);
                let run = Run {
                    deleted: deleted
                        .map(|(from, until)| Ok::<_, LogError>(unsigned(from)?..unsigned(until)?))
                        .transpose()?,
                    fence: row.lease.map(|lease| Fence { lease, token }),
                    id: row.id,
                    first_sequence: unsigned(row.first_sequence)?,
                    first_frontier: hashes(&row.first_frontier)?,
                    next_sequence,
                    frontier: frontier_of(next_sequence, &row.frontier)?,
                    is_changed: false,
                };
                runs.insert(api::Hash(digest(&row.digest)?), run);
            }
        }
        Ok(Self { runs, new: Vec::new(), restored: Vec::new() })
    }

    /// Gives what of the batch is not recorded yet its place, the first of it at `first_index`. What is recorded already, or
    /// has a place in this transaction, must be the same, byte for byte. A refusal leaves all as it was.
    ///
    /// # Errors
    /// The database's. The inner error is the refusal: the batch does not join its run (a gap, a frontier that does not
    /// fit), or differs from what is recorded; `fence` is of a claim that is over.
    pub(crate) async fn take(
        &mut self,
        db: &mut PgConnection,
        batch: &mut Batch,
        fence: Option<&Fence>,
        first_index: u64,
    ) -> Result<Result<Taken>> {
        let Some(run) = self.runs.get(&batch.run) else {
            let run = match start_run(db, batch).await? {
                Ok(run) => run,
                Err(refusal) => return Ok(Err(refusal)),
            };
            self.runs.insert(batch.run, run);
            let new = self.push(batch, 0, first_index, fence);
            return Ok(Ok(Taken::of(batch, Vec::new(), new, batch.decisions.len() as u64)));
        };
        let joined = match join(run, batch) {
            Ok(joined) => joined,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // What is recorded of it already: by earlier transactions, and by this one.
        let sequences = batch.first_sequence..batch.first_sequence + joined as u64;
        let (id, before) = (run.id, self.first_new(batch.run).unwrap_or(run.next_sequence));
        let end = sequences.end.min(before).max(sequences.start);
        let earlier = commits(db, id, sequences.start..end).await?;
        if let Err(refusal) = compare(db, &earlier, batch, sequences.start..end).await? {
            return Ok(Err(refusal));
        }
        let pending = self.new.iter().enumerate().filter(|(_, new)| new.run == batch.run);
        let pending: Vec<usize> = pending
            .filter(|(_, new)| new.commit.overlaps(&sequences))
            .map(|(position, _)| position)
            .collect();
        for new in pending.iter().map(|position| &self.new[*position]) {
            if let Some(sequence) = new.differs(batch) {
                return Ok(Err(LogError::DecisionConflict { run: batch.run, sequence }));
            }
        }
        let is_new = joined < batch.decisions.len();
        if is_new {
            if let Some(Err(refusal)) = self.runs.get(&batch.run).map(|run| admit(run, batch.run, fence)) {
                return Ok(Err(refusal));
            }
            self.push(batch, joined, first_index, fence);
        }
        self.restore(batch, &earlier);
        let first = pending.first().copied().unwrap_or(self.new.len() - usize::from(is_new));
        Ok(Ok(Taken::of(batch, earlier, first..self.new.len(), (batch.decisions.len() - joined) as u64)))
    }

    /// Brings back what was deleted of these decisions, which have the leaves of those that are recorded: from the first
    /// deleted one on, so that what stays deleted is a range.
    fn restore(&mut self, batch: &Batch, earlier: &[Commit]) {
        let Some(run) = self.runs.get_mut(&batch.run) else { return };
        for commit in earlier {
            let Some(deleted) = run.deleted.clone() else { return };
            let end = commit.end().min(batch.end_sequence()).min(deleted.end);
            if batch.first_sequence.max(commit.first_sequence) > deleted.start || end <= deleted.start {
                continue;
            }
            let position = |sequence: u64| (sequence - batch.first_sequence) as usize;
            self.restored.push(Restored {
                run: batch.run,
                decisions: batch.decisions.clone(),
                positions: position(deleted.start)..position(end),
                first_log_index: commit.first_log_index + (deleted.start - commit.first_sequence),
            });
            run.deleted = (end < deleted.end).then_some(end..deleted.end);
        }
    }

    /// Whether rows are written although nothing is new.
    pub(crate) fn restores(&self) -> bool {
        !self.restored.is_empty()
    }

    /// Writes the rows of all that is new, and of what is there again.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn copy(&self, db: &mut PgConnection) -> Result<()> {
        if let (Some(first), Some(last)) = (self.new.first(), self.new.last()) {
            let last_index = last.commit.first_log_index + last.commit.count;
            ensure_partitions(db, first.commit.first_log_index..last_index).await?;
        }
        if self.new.is_empty() && self.restored.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::with_capacity(self.new.len() + self.restored.len());
        for restored in &self.restored {
            let Some(run) = self.runs.get(&restored.run) else { continue };
            let count = restored.positions.len() as u64;
            // those that nobody had removed yet
            sqlx::query("DELETE FROM decisions WHERE log_index >= $1 AND log_index < $2")
                .bind(signed(restored.first_log_index))
                .bind(signed(restored.first_log_index + count))
                .execute(&mut *db)
                .await?;
            parts.push((restored.first_log_index, run.id, &restored.decisions[restored.positions.clone()]));
            sqlx::query("UPDATE runs SET deleted_from = $2, deleted_until = $3 WHERE id = $1")
                .bind(run.id)
                .bind(run.deleted.as_ref().map(|range| signed(range.start)))
                .bind(run.deleted.as_ref().map(|range| signed(range.end)))
                .execute(&mut *db)
                .await?;
        }
        for new in &self.new {
            if let Some(run) = self.runs.get(&new.run) {
                parts.push((new.commit.first_log_index, run.id, &new.decisions[new.joined..]));
            }
        }
        rows::copy(db, &parts).await
    }

    /// Takes the leaves of what is new of a batch into its run, after which the log has this root.
    pub(crate) fn integrate(&mut self, taken: &Taken, leaf_hashes: &[Hash], root: Hash) {
        let Some(new) = taken.new.end.checked_sub(1).and_then(|last| self.new.get_mut(last)) else { return };
        new.commit.root = root;
        if !new.is_in_frontier
            && let Some(run) = self.runs.get_mut(&taken.run)
        {
            run.frontier.extend(leaf_hashes.iter().copied());
        }
    }

    /// Writes the runs' heads, and of each batch where it stands.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn save(&self, db: &mut PgConnection) -> Result<()> {
        if self.new.is_empty() {
            return Ok(());
        }
        let commits = Commits::of(self);
        let heads = Heads::of(self.runs.values().filter(|run| run.is_changed));
        sqlx::query!(
            r#"WITH batches AS (
                   INSERT INTO run_batches (run_id, first_sequence, count, first_episode, last_episode, first_log_index, root)
                   SELECT * FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[],
                                        $6::bigint[], $7::bytea[])
               )
               UPDATE runs SET next_sequence = changed.next_sequence, frontier = changed.frontier,
                               lease = changed.lease, lease_token = changed.lease_token
               FROM unnest($8::integer[], $9::bigint[], $10::bytea[], $11::text[], $12::bigint[])
                   AS changed (id, next_sequence, frontier, lease, lease_token)
               WHERE runs.id = changed.id"#,
            &commits.runs,
            &commits.first_sequences,
            &commits.counts,
            &commits.first_episodes,
            &commits.last_episodes,
            &commits.first_log_indexes,
            &commits.roots,
            &heads.ids,
            &heads.next_sequences,
            &heads.frontiers,
            &heads.leases as &[Option<String>],
            &heads.tokens
        )
        .execute(db)
        .await?;
        Ok(())
    }

    /// The receipts of a batch, once all is integrated.
    pub(crate) fn receipts(&self, taken: Taken) -> BatchReceipts {
        let new = self.new[taken.new].iter().filter(|new| new.run == taken.run).map(|new| &new.commit);
        let commits = taken.earlier.iter().chain(new.filter(|commit| commit.overlaps(&taken.sequences)));
        let receipt = |commit: &Commit| Receipt {
            run: taken.run,
            first_sequence: commit.first_sequence,
            count: commit.count,
            first_log_index: commit.first_log_index,
            tree_size: commit.first_log_index + commit.count,
            root_hash: api::Hash(commit.root),
        };
        BatchReceipts { recorded: taken.recorded, receipts: commits.map(receipt).collect() }
    }

    /// The first sequence number of the run that is new.
    fn first_new(&self, run: api::Hash) -> Option<u64> {
        self.new.iter().find(|new| new.run == run).map(|new| new.commit.first_sequence)
    }

    /// Appends the batch's decisions after the first `joined` to its run; their place in what is new.
    fn push(
        &mut self,
        batch: &Batch,
        joined: usize,
        first_index: u64,
        fence: Option<&Fence>,
    ) -> Range<usize> {
        let leaf_hashes = batch.known_leaf_hashes();
        if let Some(run) = self.runs.get_mut(&batch.run) {
            run.next_sequence = batch.end_sequence();
            run.is_changed = true;
            // the next batch may say what it believes the frontier to be
            run.frontier.extend(leaf_hashes.iter().skip(joined).copied());
            if let Some(fence) = fence {
                run.fence = Some(fence.clone());
            }
        }
        let commit = Commit {
            first_sequence: batch.first_sequence + joined as u64,
            count: (batch.decisions.len() - joined) as u64,
            first_log_index: first_index,
            root: EMPTY_ROOT,
        };
        let is_in_frontier = !leaf_hashes.is_empty();
        self.new.push(New {
            run: batch.run,
            decisions: batch.decisions.clone(),
            joined,
            commit,
            is_in_frontier,
        });
        self.new.len() - 1..self.new.len()
    }
}

impl New {
    /// The first decision that the batch has too, and that is another one there. Decisions are the same exactly when their
    /// leaves are: what has no canonical JSON does not come here.
    fn differs(&self, batch: &Batch) -> Option<u64> {
        let own = self.decisions[self.joined..].iter();
        let same = |decision: &Decision| {
            let position = decision.sequence.checked_sub(batch.first_sequence)?;
            batch.decisions.get(position as usize).map(|other| other == decision)
        };
        own.clone().find(|decision| same(decision) == Some(false)).map(|decision| decision.sequence)
    }

    fn episodes(&self) -> (i32, i32) {
        let episodes = self.decisions[self.joined..].iter().map(|decision| decision.episode as i32);
        (episodes.clone().min().unwrap_or(0), episodes.max().unwrap_or(0))
    }
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

/// Rows of `run_batches`, column by column.
#[derive(Default)]
struct Commits {
    runs: Vec<i32>,
    first_sequences: Vec<i64>,
    counts: Vec<i32>,
    first_episodes: Vec<i32>,
    last_episodes: Vec<i32>,
    first_log_indexes: Vec<i64>,
    roots: Vec<Vec<u8>>,
}

impl Commits {
    fn of(runs: &Runs) -> Self {
        let mut rows = Self::default();
        for new in &runs.new {
            let Some(run) = runs.runs.get(&new.run) else { continue };
            let (first_episode, last_episode) = new.episodes();
            rows.runs.push(run.id);
            rows.first_sequences.push(signed(new.commit.first_sequence));
            rows.counts.push(new.commit.count as i32); // a body has no room for so many
            rows.first_episodes.push(first_episode);
            rows.last_episodes.push(last_episode);
            rows.first_log_indexes.push(signed(new.commit.first_log_index));
            rows.roots.push(new.commit.root.to_vec());
        }
        rows
    }
}

/// What changes in rows of `runs`, column by column.
#[derive(Default)]
struct Heads {
    ids: Vec<i32>,
    next_sequences: Vec<i64>,
    frontiers: Vec<Vec<u8>>,
    leases: Vec<Option<String>>,
    tokens: Vec<i64>,
}

impl Heads {
    fn of<'a>(runs: impl Iterator<Item = &'a Run>) -> Self {
        let mut rows = Self::default();
        for run in runs {
            rows.ids.push(run.id);
            rows.next_sequences.push(signed(run.next_sequence));
            rows.frontiers.push(run.frontier.hashes().as_flattened().to_vec());
            rows.leases.push(run.fence.as_ref().map(|fence| fence.lease.clone()));
            rows.tokens.push(run.fence.as_ref().map_or(0, |fence| signed(fence.token)));
        }
        rows
    }
}

/// Compares the batch's decisions of these sequence numbers with what earlier transactions recorded, leaf by leaf.
async fn compare(
    db: &mut PgConnection,
    commits: &[Commit],
    batch: &mut Batch,
    sequences: Range<u64>,
) -> Result<Result<()>> {
    let (run, first) = (batch.run, batch.first_sequence);
    let posted = match batch.leaf_hashes().await {
        Ok(posted) => posted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    for commit in commits {
        let own = commit.first_sequence.max(sequences.start)..commit.end().min(sequences.end);
        let first_leaf = commit.first_log_index + (own.start - commit.first_sequence);
        let recorded = leaf_hashes(&mut *db, first_leaf..first_leaf + (own.end - own.start)).await?;
        let posted = &posted[(own.start - first) as usize..];
        let different =
            own.zip(recorded.iter().zip(posted)).find(|(_, (recorded, posted))| recorded != posted);
        if let Some((sequence, _)) = different {
            return Ok(Err(LogError::DecisionConflict { run, sequence }));
        }
    }
    Ok(Ok(()))
}

/// Whether new decisions of the run may come under this claim.
fn admit(run: &Run, digest: api::Hash, fence: Option<&Fence>) -> Result<()> {
    match (&run.fence, fence) {
        (Some(last), None) => Err(LogError::LeaseRequired { run: digest, lease: last.lease.clone() }),
        // Tokens of different leases do not compare: two runs of one configuration have one digest, and a lease each.
        (Some(last), Some(fence)) if last.lease == fence.lease && fence.token < last.token => {
            let reason = format!("the run has decisions under its token {}", last.token);
            Err(LogError::LeaseLost { fence: fence.clone(), reason })
        }
        _ => Ok(()),
    }
}

/// The head of a run that this log meets for the first time.
async fn start_run(db: &mut PgConnection, batch: &Batch) -> Result<Result<Run>> {
    let (run, sequence) = (batch.run, batch.first_sequence);
    let hashes = match &batch.frontier {
        Some(hashes) => hashes.clone(),
        None if sequence == 0 => Vec::new(),
        None => {
            return Ok(Err(LogError::SequenceGap { run, expected: 0, actual: sequence, unknown_run: true }));
        }
    };
    let frontier = match Frontier::from_parts(sequence, hashes.clone()) {
        Ok(frontier) => frontier,
        Err(error) => {
            return Ok(Err(LogError::FrontierMismatch { run, sequence, reason: error.to_string() }));
        }
    };
    let id = sqlx::query_scalar!(
        r#"INSERT INTO runs (digest, first_sequence, first_frontier, next_sequence, frontier)
           VALUES ($1, $2, $3, $2, $3) RETURNING id"#,
        &run.0,
        signed(sequence),
        hashes.as_flattened()
    )
    .fetch_one(db)
    .await?;
    Ok(Ok(Run {
        id,
        first_sequence: sequence,
        first_frontier: hashes,
        next_sequence: sequence,
        frontier,
        fence: None,
        deleted: None,
        is_changed: false,
    }))
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

    fn overlaps(&self, sequences: &Range<u64>) -> bool {
        self.first_sequence < sequences.end && sequences.start < self.end()
    }
}

/// The commits of earlier transactions that hold these sequence numbers, in order.
async fn commits(db: &mut PgConnection, run_id: i32, sequences: Range<u64>) -> Result<Vec<Commit>> {
    let Range { start: first, end } = sequences;
    if first >= end {
        return Ok(Vec::new());
    }
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

/// A stored run's frontier.
pub(crate) fn frontier_of(next_sequence: u64, bytes: &[u8]) -> Result<Frontier> {
    Frontier::from_parts(next_sequence, hashes(bytes)?)
        .map_err(|error| LogError::Inconsistent(error.to_string()))
}

fn hashes(bytes: &[u8]) -> Result<Vec<Hash>> {
    bytes.chunks(32).map(digest).collect()
}
