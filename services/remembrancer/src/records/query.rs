//! Finding records: filters, and full-text search with PostgreSQL's own words.

use api::remembrancer::RecordKind;
use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::{Columns, Stored, search};
use crate::{
    error::{LogError, Result},
    log::signed,
};

/// Which records to list. All that is given must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With these words, in the syntax of `websearch_to_tsquery`.
    pub text: Option<String>,
    /// Of this kind, or of one that it includes.
    pub kind: Option<RecordKind>,
    /// About things about which there is nothing of these kinds.
    pub without: Vec<RecordKind>,
    /// About this thing.
    pub subject: Option<String>,
    /// Recorded at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    pub until: Option<DateTime<Utc>>,
    /// After this place in the log.
    pub after_log_index: Option<u64>,
    /// Which come first.
    pub order: Order,
    /// Only what comes after this place.
    pub after: Option<ListPosition>,
}

/// Which records come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// In the log's order.
    #[default]
    Oldest,
    /// Against the log's order.
    Newest,
    /// Those that match the text best; of equal ones the newest.
    BestMatch,
}

/// A record's position in a list, at which the next page starts. The log only grows, so it stays valid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListPosition {
    /// How well the record matches the text (`ts_rank`); 0 without a text.
    pub rank: f32,
    pub log_index: u64,
}

/// A record that was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub record: Stored,
    /// Its position in the list.
    pub place: ListPosition,
}

/// The first `limit` records that match, in the filter's order.
///
/// # Errors
/// The text has no word to look for; the database's.
pub async fn list(db: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<Found>> {
    if [&filter.text, &filter.subject].into_iter().flatten().any(|text| text.contains('\0')) {
        return Ok(Vec::new()); // no such text can be recorded
    }
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT * FROM (SELECT log_index, id, kind, subject, recorded_at, body, root, ",
    );
    if let Some(text) = &filter.text {
        let wanted = search::query(db, text).await?;
        query.push("ts_rank(search, websearch_to_tsquery('english', ");
        query.push_bind(search::hyphens_apart(text, false)).push(")) AS rank FROM records WHERE search @@ ");
        query.push_bind(wanted).push("::tsquery");
    } else {
        query.push("0::real AS rank FROM records WHERE true");
    }
    conditions(&mut query, filter);
    query.push(") AS found");
    if let Some(ListPosition { rank, log_index }) = filter.after {
        match filter.order {
            Order::Oldest => query.push(" WHERE log_index > "),
            Order::Newest => query.push(" WHERE log_index < "),
            Order::BestMatch => query.push(" WHERE (rank, log_index) < (").push_bind(rank).push("::real, "),
        };
        query.push_bind(signed(log_index));
        if filter.order == Order::BestMatch {
            query.push(")");
        }
    }
    query.push(match filter.order {
        Order::Oldest => " ORDER BY log_index",
        Order::Newest => " ORDER BY log_index DESC",
        Order::BestMatch => " ORDER BY rank DESC, log_index DESC",
    });
    query.push(" LIMIT ").push_bind(i64::from(limit));
    query.build_query_as::<Ranked>().fetch_all(db).await?.into_iter().map(Found::try_from).collect()
}

#[derive(sqlx::FromRow)]
struct Ranked {
    #[sqlx(flatten)]
    columns: Columns,
    rank: f32,
}

impl TryFrom<Ranked> for Found {
    type Error = LogError;

    fn try_from(Ranked { columns, rank }: Ranked) -> Result<Self> {
        let record = Stored::try_from(columns)?;
        let place = ListPosition { rank, log_index: record.log_index };
        Ok(Self { record, place })
    }
}

fn conditions(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    if let Some(kind) = &filter.kind {
        // a kind has no character that LIKE takes for a wildcard
        query.push(" AND (kind = ").push_bind(kind.to_string());
        query.push(" OR kind LIKE ").push_bind(format!("{kind}.%")).push(")");
    }
    for kind in &filter.without {
        query.push(
            " AND NOT EXISTS (SELECT FROM records AS other WHERE other.subject = records.subject AND (other.kind = ",
        );
        query.push_bind(kind.to_string());
        query.push(" OR other.kind LIKE ").push_bind(format!("{kind}.%")).push("))");
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND subject = ").push_bind(subject.clone());
    }
    if let Some(log_index) = filter.after_log_index {
        query.push(" AND log_index > ").push_bind(signed(log_index));
    }
    if let Some(from) = filter.from {
        query.push(" AND recorded_at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" AND recorded_at < ").push_bind(until);
    }
}
