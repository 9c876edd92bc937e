//! All matching decisions, however many, through a cursor of the database's.

use sqlx::{PgPool, Postgres, Transaction};

use super::{
    query::{Filter, matching},
    rows,
};
use crate::{database::begin, error::Result};

/// The number says how many decisions are in memory at once.
const FETCH: &str = "FETCH 1000 FROM export";

/// An open cursor. It sees the log as it was when it was opened, and holds a connection until it is dropped.
pub struct Export {
    /// `None` when nothing can match.
    cursor: Option<Transaction<'static, Postgres>>,
}

impl Export {
    /// Opens a cursor over the decisions that match, in the log's order.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(db: &PgPool, filter: &Filter) -> Result<Self> {
        let Some(mut query) = matching(db, filter, "DECLARE export NO SCROLL CURSOR FOR ").await? else {
            return Ok(Self { cursor: None });
        };
        let mut transaction = begin(db, "BEGIN READ ONLY").await?;
        query.build().persistent(false).execute(&mut *transaction).await?;
        Ok(Self { cursor: Some(transaction) })
    }

    /// The next decisions; none at the end. Each call is a statement of its own to the statement timeout.
    ///
    /// # Errors
    /// The database's.
    pub async fn next(&mut self) -> Result<Vec<rows::Row>> {
        let Some(transaction) = &mut self.cursor else { return Ok(Vec::new()) };
        let rows = sqlx::query(FETCH).persistent(false).fetch_all(&mut **transaction).await?;
        rows.iter().map(rows::from_row).collect()
    }
}
