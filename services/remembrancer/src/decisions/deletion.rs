//! Decisions that are deleted: their rows go, and their leaves stay.
//!
//! The hashes of the leaves are in the tiles, so that no root, no proof and no signed checkpoint changes: what remains is
//! proved as before, and whoever has a copy of a deleted decision can still prove that it was recorded. That it was deleted,
//! when and why, is a record of the log.

use std::{collections::BTreeSet, ops::Range};

use ::records::{Body as _, decision::Deleted};
use api::remembrancer::DeletedDecisions;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{partitions, runs::frontier_of};
use crate::{
    appends::{self, Entry},
    database::{BEGIN, begin},
    error::{LogError, NotFound, Result},
    log::{Sequencer, signed, unsigned},
    records::Draft,
};

/// Rows that are removed in one transaction: for so long nobody can append to the run.
const PART: u64 = 20_000;

/// A wish that a run's decisions be deleted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The run's digest.
    pub run: api::Hash,
    /// Why.
    pub reason: String,
    /// Who wants it.
    pub by: Option<String>,
}

/// Marks all decisions of a run as deleted, and records that. A second time changes nothing.
///
/// # Errors
/// The log knows no such run; it is none that has ended. The database's.
pub async fn delete(
    db: &PgPool,
    sequencer: &Sequencer,
    wish: Wish,
    now: DateTime<Utc>,
) -> Result<DeletedDecisions> {
    let Wish { run, reason, by } = wish;
    super::run_head(db, run).await?;
    check_ended(db, run).await?;
    let mut append = sequencer.begin().await?;
    let row = sqlx::query(
        "SELECT id, first_sequence, next_sequence, frontier, deleted_from, deleted_until, deletion
         FROM runs WHERE digest = $1 FOR UPDATE",
    );
    let row = row.bind(&run.0[..]).fetch_optional(&mut *append.db()).await?;
    let row = row.ok_or(NotFound::Run(run))?;
    let all = unsigned(row.try_get("first_sequence")?)?..unsigned(row.try_get("next_sequence")?)?;
    let before = deleted_range(&row)?;
    let run_root = api::Hash(frontier_of(all.end, row.try_get("frontier")?)?.root());
    if before.as_ref() == Some(&all) {
        let record_id = row.try_get("deletion")?;
        return Ok(DeletedDecisions { run, decisions: 0, record_id, run_root });
    }
    let body = Deleted {
        run,
        first_sequence: all.start,
        next_sequence: all.end,
        run_root,
        log_size: append.next_index(),
        reason,
        by,
    };
    let record_id = body.id();
    let record = body.to_record().map_err(|error| LogError::Inconsistent(error.to_string()))?;
    let entry = Entry::Record { draft: Draft::new(record, record_id.clone())?, fence: None, now };
    match appends::write(&mut append, &mut [entry]).await?.pop() {
        Some(answer) => drop(answer?),
        None => return Err(LogError::Interrupted("an append without answer".into())),
    }
    sqlx::query(
        "UPDATE runs SET deleted_from = first_sequence, deleted_until = next_sequence, deletion = $2, deletion_done = false
         WHERE digest = $1",
    )
    .bind(&run.0[..])
    .bind(&record_id)
    .execute(append.db())
    .await?;
    append.commit().await?;
    let decisions = all.end - all.start - before.map_or(0, |range| range.end - range.start);
    Ok(DeletedDecisions { run, decisions, record_id, run_root })
}

/// Only what training runs decided can be deleted, and only once all runs of that digest have ended: streams of policies and
/// of deployments go on from what they decided.
async fn check_ended(db: &PgPool, run: api::Hash) -> Result<()> {
    let rows = sqlx::query(
        "SELECT subject, bool_or(id LIKE '%:created') AS created,
                bool_or(id ~ ':(completed|stopped|cancelled|failed)$') AS ended
         FROM records WHERE (kind = 'run' OR kind LIKE 'run.%') AND position($1 IN body) > 0
         GROUP BY subject ORDER BY subject",
    );
    let rows = rows.bind(format!("\"digest\":\"{run}\"")).fetch_all(db).await?;
    let mut is_known = false;
    for row in rows.iter().filter(|row| row.try_get("created").unwrap_or(false)) {
        is_known = true;
        if !row.try_get::<bool, _>("ended")? {
            let subject: String = row.try_get("subject")?;
            return Err(LogError::RunNotEnded { run, why: format!("{subject} has not ended") });
        }
    }
    let why = "the log has no record of a training run with this digest".to_owned();
    if is_known { Ok(()) } else { Err(LogError::RunNotEnded { run, why }) }
}

/// The sequence numbers of a row of `runs` whose decisions are deleted.
fn deleted_range(row: &PgRow) -> Result<Option<Range<u64>>> {
    let bound = |name: &str| -> Result<Option<u64>> {
        row.try_get::<Option<i64>, _>(name)?.map(unsigned).transpose()
    };
    Ok(bound("deleted_from")?.zip(bound("deleted_until")?).map(|(from, until)| from..until))
}

/// The run of the leaf at this log index, if it is a decision that was deleted.
///
/// # Errors
/// The database's.
pub async fn deleted_at(db: &mut PgConnection, log_index: u64) -> Result<Option<(api::Hash, String)>> {
    let row = sqlx::query(
        "SELECT r.digest, r.deletion FROM run_batches b JOIN runs r ON r.id = b.run_id
         WHERE b.first_log_index <= $1 AND b.first_log_index + b.count > $1
           AND b.first_sequence + ($1 - b.first_log_index) >= r.deleted_from
           AND b.first_sequence + ($1 - b.first_log_index) < r.deleted_until
         ORDER BY b.first_log_index DESC LIMIT 1",
    );
    let row = row.bind(signed(log_index)).fetch_optional(db).await?;
    row.map(|row| Ok((api::Hash(crate::log::digest(row.try_get("digest")?)?), row.try_get("deletion")?)))
        .transpose()
}

/// Removes the rows of all that is marked, and gives their room back.
///
/// # Errors
/// The database's. What was removed until then stays removed.
pub async fn sweep(db: &PgPool) -> Result<()> {
    let runs: Vec<i32> =
        sqlx::query_scalar("SELECT id FROM runs WHERE NOT deletion_done ORDER BY id").fetch_all(db).await?;
    for run in runs {
        let emptied = sweep_run(db, run).await?;
        // else the room is used again, but only once PostgreSQL's own vacuum has come by
        let mut connection = db.acquire().await?.detach();
        sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
        for partition in emptied {
            let statement = format!("VACUUM {}", partitions::name(partition));
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        connection.close().await?;
    }
    Ok(())
}

/// Removes the rows of one run; in which partitions there were some.
async fn sweep_run(db: &PgPool, run: i32) -> Result<BTreeSet<u64>> {
    let batches = sqlx::query(
        "SELECT first_log_index, count FROM run_batches WHERE run_id = $1 ORDER BY first_log_index",
    );
    let mut parts: Vec<Range<u64>> = Vec::new();
    for row in batches.bind(run).fetch_all(db).await? {
        let start = unsigned(row.try_get("first_log_index")?)?;
        let end = start + unsigned(row.try_get::<i32, _>("count")?.into())?;
        match parts.last_mut() {
            Some(last) if last.end == start && end - last.start <= PART => last.end = end,
            _ => parts.push(start..end),
        }
    }
    let mut emptied = BTreeSet::new();
    for part in parts {
        let mut transaction = begin(db, BEGIN).await?;
        // Locked and read anew: whoever records the decisions again makes the range smaller.
        let row = sqlx::query("SELECT deleted_from, deleted_until FROM runs WHERE id = $1 FOR UPDATE");
        let row = row.bind(run).fetch_one(&mut *transaction).await?;
        let Some(range) = deleted_range(&row)? else { break };
        let removed = sqlx::query(
            "DELETE FROM decisions WHERE log_index >= $1 AND log_index < $2 AND run_id = $3 AND sequence >= $4 AND sequence < $5",
        )
        .bind(signed(part.start))
        .bind(signed(part.end))
        .bind(run)
        .bind(signed(range.start))
        .bind(signed(range.end))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if removed.rows_affected() > 0 {
            emptied.extend(part.start / super::PARTITION_ROWS..part.end.div_ceil(super::PARTITION_ROWS));
        }
    }
    sqlx::query("UPDATE runs SET deletion_done = true WHERE id = $1").bind(run).execute(db).await?;
    Ok(emptied)
}
