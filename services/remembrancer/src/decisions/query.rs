//! Finding decisions.

use std::ops::Range;

use api::remembrancer::{Action, RunHead};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row as _};

use super::{frontier_of, rows};
use crate::{
    error::{LogError, NotFound, Result},
    log::{signed, unsigned},
};

/// Which decisions to list. All that is given must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub run: Option<api::Hash>,
    pub episode: Option<u32>,
    pub step: Option<u32>,
    /// By this agent.
    pub agent: Option<u32>,
    /// For this tenant.
    pub tenant: Option<String>,
    /// Sent to this provider.
    pub provider: Option<String>,
    /// With this action.
    pub action: Option<Action>,
    /// From this sequence number on.
    pub from_sequence: Option<u64>,
    /// From this log index on.
    pub from_index: u64,
}

impl Filter {
    /// False when no text like this can have been recorded.
    fn can_match(&self) -> bool {
        ![&self.tenant, &self.provider].into_iter().flatten().any(|text| text.contains('\0'))
    }
}

/// The first `limit` decisions that match, in the log's order.
///
/// # Errors
/// The database's.
pub async fn list(db: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<rows::Row>> {
    let Some(run) = filter.run else {
        let Some(mut query) = matching(db, filter, "").await? else { return Ok(Vec::new()) };
        query.push(" LIMIT ").push_bind(i64::from(limit));
        return query.build().fetch_all(db).await?.iter().map(rows::from_row).collect();
    };
    if !filter.can_match() {
        return Ok(Vec::new());
    }
    // Range by range of the primary key, with constant bounds: a page costs the same however long the log is.
    let mut found = Vec::new();
    for range in ranges_of(db, run, filter).await? {
        let mut query = select("decisions d", "");
        query.push(" WHERE d.log_index >= ").push_bind(signed(range.start));
        query.push(" AND d.log_index < ").push_bind(signed(range.end));
        conditions(&mut query, filter);
        query.push(" ORDER BY d.log_index LIMIT ").push_bind(i64::from(limit) - found.len() as i64);
        for row in &query.build().fetch_all(db).await? {
            found.push(rows::from_row(row)?);
        }
        if found.len() >= limit as usize {
            break;
        }
    }
    Ok(found)
}

/// Where a run's decisions stand in the log, in order, neighbours joined: as far as the filter can match.
async fn ranges_of(db: &PgPool, run: api::Hash, filter: &Filter) -> Result<Vec<Range<u64>>> {
    let Some(run_id) = run_id(db, run).await? else { return Ok(Vec::new()) };
    let mut query: QueryBuilder<Postgres> =
        QueryBuilder::new("SELECT b.first_log_index, b.count FROM run_batches b");
    batches_of(&mut query, filter, run_id);
    query.push(" ORDER BY b.first_sequence");
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for row in query.build().fetch_all(db).await? {
        let start = unsigned(row.try_get("first_log_index")?)?;
        let end = start + unsigned(i64::from(row.try_get::<i32, _>("count")?))?;
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start.max(filter.from_index)..end),
        }
    }
    Ok(ranges)
}

/// The decision at this log index, if there is one.
///
/// # Errors
/// The database's.
pub async fn at_index(db: &PgPool, log_index: u64) -> Result<Option<rows::Row>> {
    let mut query = select("decisions d", "");
    query.push(" WHERE d.log_index = ").push_bind(signed(log_index));
    query.build().fetch_optional(db).await?.as_ref().map(rows::from_row).transpose()
}

/// The decisions at these log indexes, in order, with their runs' numbers.
///
/// # Errors
/// The database's.
pub async fn in_range(db: &mut PgConnection, indexes: Range<u64>) -> Result<Vec<(i32, rows::Row)>> {
    let mut query = select("decisions d", "");
    query.push(" WHERE d.log_index >= ").push_bind(signed(indexes.start));
    query.push(" AND d.log_index < ").push_bind(signed(indexes.end)).push(" ORDER BY d.log_index");
    let rows = query.build().fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get("run_id")?, rows::from_row(row)?))).collect()
}

/// The log index of a run's decision.
///
/// # Errors
/// The database's; this log does not hold it.
pub async fn locate(db: &PgPool, run: api::Hash, sequence: u64) -> Result<u64> {
    let row = sqlx::query!(
        r#"SELECT b.first_sequence, b.count, b.first_log_index
           FROM run_batches b JOIN runs r ON r.id = b.run_id
           WHERE r.digest = $1 AND b.first_sequence <= $2
           ORDER BY b.first_sequence DESC LIMIT 1"#,
        &run.0,
        signed(sequence)
    )
    .fetch_optional(db)
    .await?;
    let missing = LogError::NotFound(NotFound::Decision { run, sequence });
    let Some(row) = row else { return Err(missing) };
    let offset = sequence - unsigned(row.first_sequence)?;
    if offset >= unsigned(row.count.into())? {
        return Err(missing);
    }
    Ok(unsigned(row.first_log_index)? + offset)
}

/// How far a run is in this log.
///
/// # Errors
/// The database's; the log does not know the run.
pub async fn run_head(db: &PgPool, run: api::Hash) -> Result<RunHead> {
    let row =
        sqlx::query!("SELECT first_sequence, next_sequence, frontier FROM runs WHERE digest = $1", &run.0)
            .fetch_optional(db)
            .await?
            .ok_or(NotFound::Run(run))?;
    let next_sequence = unsigned(row.next_sequence)?;
    let run_root = api::Hash(frontier_of(next_sequence, &row.frontier)?.root());
    let deletion =
        sqlx::query_scalar("SELECT deletion FROM runs WHERE digest = $1 AND deleted_until IS NOT NULL");
    let deletion = deletion.bind(&run.0[..]).fetch_optional(db).await?;
    Ok(RunHead { run, first_sequence: unsigned(row.first_sequence)?, next_sequence, run_root, deletion })
}

/// The query for what matches, in the log's order, after the words of a statement that it is for; none when nothing
/// can match.
pub(super) async fn matching(
    db: &PgPool,
    filter: &Filter,
    statement: &str,
) -> Result<Option<QueryBuilder<Postgres>>> {
    if !filter.can_match() {
        return Ok(None);
    }
    let mut query = match filter.run {
        Some(run) => {
            let Some(run_id) = run_id(db, run).await? else { return Ok(None) };
            of_run(filter, run_id, statement)
        }
        None => {
            let mut query = select("decisions d", statement);
            query.push(" WHERE d.log_index >= ").push_bind(signed(filter.from_index));
            query
        }
    };
    conditions(&mut query, filter);
    // Within a run the log's order is that of the sequence numbers, which is that of the batches.
    query.push(if filter.run.is_some() {
        " ORDER BY b.first_sequence, d.log_index"
    } else {
        " ORDER BY d.log_index"
    });
    Ok(Some(query))
}

/// A query that [`rows::from_row`] can read, of what is not deleted, after the words of a statement that it is for.
fn select(from: &str, statement: &str) -> QueryBuilder<Postgres> {
    let columns = rows::COLUMNS.replace("action", "action::text AS action");
    let columns: Vec<_> = columns.split(", ").map(|column| format!("d.{column}")).collect();
    QueryBuilder::new(format!(
        "{statement}SELECT {}, r.digest FROM {from} JOIN runs r ON r.id = d.run_id \
         AND (r.deleted_until IS NULL OR d.sequence < r.deleted_from OR d.sequence >= r.deleted_until)",
        columns.join(", ")
    ))
}

/// A run's decisions through its batches, so that no index over the decisions is needed.
fn of_run(filter: &Filter, run_id: i32, statement: &str) -> QueryBuilder<Postgres> {
    // The inner ORDER BY keeps the planner from joining all of the table with the batches, whose ranges it cannot
    // estimate: each batch is one range of the primary key, and a page reads no further than it must.
    let mut query = select(
        "run_batches b CROSS JOIN LATERAL (SELECT * FROM decisions i WHERE i.log_index >= b.first_log_index \
         AND i.log_index < b.first_log_index + b.count ORDER BY i.log_index) d",
        statement,
    );
    batches_of(&mut query, filter, run_id);
    query.push(" AND d.log_index >= ").push_bind(signed(filter.from_index));
    query
}

/// The condition for a run's batches that can hold what matches.
fn batches_of(query: &mut QueryBuilder<Postgres>, filter: &Filter, run_id: i32) {
    query.push(" WHERE b.run_id = ").push_bind(run_id);
    query.push(" AND b.first_log_index + b.count > ").push_bind(signed(filter.from_index));
    if let Some(episode) = filter.episode {
        query.push(" AND ").push_bind(i64::from(episode)).push(" BETWEEN b.first_episode AND b.last_episode");
    }
    if let Some(sequence) = filter.from_sequence {
        query.push(" AND b.first_sequence + b.count > ").push_bind(signed(sequence));
    }
}

fn conditions(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let counters = [("episode", filter.episode), ("step", filter.step), ("agent", filter.agent)];
    for (name, number) in counters {
        if let Some(number) = number {
            query.push(format_args!(" AND d.{name} = ")).push_bind(i64::from(number));
        }
    }
    for (name, text) in [("tenant", &filter.tenant), ("provider", &filter.provider)] {
        if let Some(text) = text {
            query.push(format_args!(" AND d.{name} = ")).push_bind(text.clone());
        }
    }
    if let Some(action) = filter.action {
        query.push(" AND d.action = ").push_bind(rows::action_name(action)).push("::decision_action");
    }
    if let Some(sequence) = filter.from_sequence {
        query.push(" AND d.sequence >= ").push_bind(signed(sequence));
    }
}

async fn run_id(db: &PgPool, run: api::Hash) -> Result<Option<i32>> {
    Ok(sqlx::query_scalar!("SELECT id FROM runs WHERE digest = $1", &run.0).fetch_optional(db).await?)
}
