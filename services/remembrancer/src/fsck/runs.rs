//! The runs' part of the check: sequence numbers, receipts, and run heads.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use merkle_log::{Frontier, Hash};
use sqlx::PgConnection;

use super::{FsckError, different};
use crate::{
    decisions::{Row, frontier_of},
    error::{LogError, Result},
    log::{digest, signed, unsigned},
};

/// All runs, and the batches that were not passed yet.
pub(super) struct Runs {
    runs: BTreeMap<i32, Run>,
    batches: VecDeque<Batch>,
}

struct Run {
    digest: api::Hash,
    /// As far as the rows were read.
    next_sequence: u64,
    frontier: Frontier,
    /// As the run's head row says.
    stored_next: u64,
    stored_frontier: Frontier,
    /// The sequence numbers whose rows may be gone.
    deleted: Option<Range<u64>>,
}

struct Batch {
    run_id: i32,
    first_sequence: u64,
    leaves: Range<u64>,
    episodes: Range<i64>,
    root: Hash,
}

impl Runs {
    pub(super) async fn load(db: &mut PgConnection) -> Result<Self> {
        let rows = sqlx::query!(
            "SELECT id, digest, first_sequence, first_frontier, next_sequence, frontier, deleted_from, deleted_until FROM runs"
        )
        .fetch_all(db)
        .await?;
        let mut runs = BTreeMap::new();
        for row in rows {
            let (first, next) = (unsigned(row.first_sequence)?, unsigned(row.next_sequence)?);
            let deleted = row.deleted_from.zip(row.deleted_until);
            let deleted = deleted.map(|(from, until)| Ok::<_, LogError>(unsigned(from)?..unsigned(until)?));
            let run = Run {
                deleted: deleted.transpose()?,
                digest: api::Hash(digest(&row.digest)?),
                next_sequence: first,
                frontier: frontier_of(first, &row.first_frontier)?,
                stored_next: next,
                stored_frontier: frontier_of(next, &row.frontier)?,
            };
            runs.insert(row.id, run);
        }
        Ok(Self { runs, batches: VecDeque::new() })
    }

    /// How many runs.
    pub(super) fn len(&self) -> u64 {
        self.runs.len() as u64
    }

    /// Reads the batches that start within these log indexes.
    pub(super) async fn load_batches(&mut self, db: &mut PgConnection, starts: Range<u64>) -> Result<()> {
        let rows = sqlx::query!(
            r#"SELECT run_id, first_sequence, count, first_episode, last_episode, first_log_index, root
               FROM run_batches WHERE first_log_index >= $1 AND first_log_index < $2 ORDER BY first_log_index"#,
            signed(starts.start),
            signed(starts.end)
        )
        .fetch_all(db)
        .await?;
        for row in rows {
            let first = unsigned(row.first_log_index)?;
            self.batches.push_back(Batch {
                run_id: row.run_id,
                first_sequence: unsigned(row.first_sequence)?,
                leaves: first..first + unsigned(row.count.into())?,
                episodes: row.first_episode.into()..i64::from(row.last_episode) + 1,
                root: digest(&row.root)?,
            });
        }
        Ok(())
    }

    /// The next decision of the log; `log` is the log up to and with it.
    pub(super) fn decision(
        &mut self,
        run_id: i32,
        row: &Row,
        leaf: Hash,
        log: &Frontier,
    ) -> std::result::Result<(), FsckError> {
        let (index, decision) = (row.log_index, &row.decision);
        let Some(run) = self.runs.get_mut(&run_id) else {
            return different(format!("the decision at log index {index} is of a run that is not there"));
        };
        if decision.sequence != run.next_sequence {
            return different(format!(
                "the decision at log index {index} has the sequence {}, expected {} of the run {}",
                decision.sequence, run.next_sequence, run.digest
            ));
        }
        run.next_sequence += 1;
        run.frontier.push(leaf);
        let Some(batch) = self.batches.front().filter(|batch| batch.leaves.contains(&index)) else {
            return different(format!("the decision at log index {index} has no receipt"));
        };
        let fits = batch.run_id == run_id
            && batch.first_sequence + (index - batch.leaves.start) == decision.sequence
            && batch.episodes.contains(&i64::from(decision.episode));
        if !fits {
            return different(format!("the receipt over log index {index} is of other decisions"));
        }
        self.end_of_batch(index, log)
    }

    /// That the leaf at this index, which has no row, is a decision of a run whose decision there was deleted.
    pub(super) fn check_deleted(&self, index: u64) -> std::result::Result<(), FsckError> {
        let is_deleted = |batch: &Batch| {
            let sequence = batch.first_sequence + (index - batch.leaves.start);
            let deleted = self.runs.get(&batch.run_id).and_then(|run| run.deleted.as_ref());
            deleted.is_some_and(|deleted| deleted.contains(&sequence))
        };
        let batch = self.batches.front().filter(|batch| batch.leaves.contains(&index));
        if batch.is_some_and(is_deleted) {
            Ok(())
        } else {
            different(format!("log index {index} has no row"))
        }
    }

    /// The next leaf of the log, that of a deleted decision.
    pub(super) fn deleted(
        &mut self,
        index: u64,
        leaf: Hash,
        log: &Frontier,
    ) -> std::result::Result<(), FsckError> {
        if let Some(batch) = self.batches.front()
            && let Some(run) = self.runs.get_mut(&batch.run_id)
        {
            let sequence = batch.first_sequence + (index - batch.leaves.start);
            if sequence != run.next_sequence {
                return different(format!(
                    "the deleted decision at log index {index} has the sequence {sequence}, expected {} of the run {}",
                    run.next_sequence, run.digest
                ));
            }
            run.next_sequence += 1;
            run.frontier.push(leaf);
        }
        self.end_of_batch(index, log)
    }

    /// After the last leaf of a batch its receipt must have the log's root.
    fn end_of_batch(&mut self, index: u64, log: &Frontier) -> std::result::Result<(), FsckError> {
        let Some(batch) = self.batches.front().filter(|batch| index + 1 == batch.leaves.end) else {
            return Ok(());
        };
        if batch.root != log.root() {
            return different(format!(
                "the receipt over the log indexes {} to {index} has another root than the rows give: it or a row up \
                 to there was changed",
                batch.leaves.start
            ));
        }
        self.batches.pop_front();
        Ok(())
    }

    /// Every deletion is a record of the log: whoever only removes rows, and marks them, is found out.
    pub(super) async fn deletions(&self, db: &mut PgConnection) -> std::result::Result<(), FsckError> {
        let unrecorded: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT digest FROM runs WHERE deleted_until IS NOT NULL AND NOT EXISTS (
                 SELECT FROM records WHERE records.id = runs.deletion AND kind = 'decisions.deleted'
                    AND position(encode(digest, 'hex') IN body) > 0)
             ORDER BY id LIMIT 1",
        )
        .fetch_optional(db)
        .await?;
        match unrecorded {
            Some(run) => different(format!(
                "decisions of the run {} are marked as deleted, and no record says that they were",
                api::Hash(digest(&run)?)
            )),
            None => Ok(()),
        }
    }

    /// The runs' heads, once every row was read.
    pub(super) fn finish(&self) -> std::result::Result<(), FsckError> {
        if let Some(batch) = self.batches.front() {
            return different(format!("the receipt over log index {} has no decisions", batch.leaves.start));
        }
        for run in self.runs.values() {
            if (run.next_sequence, &run.frontier) != (run.stored_next, &run.stored_frontier) {
                return different(format!(
                    "the head of the run {} (next sequence {}) is not the one that the rows give (next sequence {})",
                    run.digest, run.stored_next, run.next_sequence
                ));
            }
        }
        Ok(())
    }
}
