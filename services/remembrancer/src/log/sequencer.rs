//! The one writer: what is appended gets the next indexes, and rows, tiles, root and receipt are one
//! transaction.

use std::sync::Arc;

use merkle_log::{Frontier, Hash, tile::Edge};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Head, digest, open_edge, signed, tiles::store_tiles, unsigned};
use crate::{
    database::{BEGIN, begin},
    error::{LogError, Result},
};

/// Hands out the log's indexes, one writer at a time.
///
/// The order comes from the locked row of `log_head`, so that several processes may share a database. The
/// lock in here only keeps writers of this process from waiting for it with a connection each, which
/// would leave none to readers.
#[derive(Clone, Debug)]
pub struct Sequencer {
    db: PgPool,
    edge: Arc<Mutex<Option<Edge>>>,
}

/// An append under way. Dropped before [`Append::commit`], it leaves nothing behind.
pub struct Append {
    transaction: Transaction<'static, Postgres>,
    edge: Edge,
    /// The tree with what was added.
    frontier: Frontier,
    /// What was added.
    added: Vec<Hash>,
    cached: OwnedMutexGuard<Option<Edge>>,
    /// Whether rows were written without a leaf being added.
    writes: bool,
}

impl Sequencer {
    /// The writer of this database's log.
    #[must_use]
    pub fn new(db: PgPool) -> Self {
        Self { db, edge: Arc::default() }
    }

    /// Waits for its turn and locks the head.
    ///
    /// # Errors
    /// The database's; the tiles do not give the head's root.
    pub async fn begin(&self) -> Result<Append> {
        let cached = self.edge.clone().lock_owned().await;
        let mut transaction = begin(&self.db, BEGIN).await?;
        let row =
            sqlx::query!("SELECT size, root FROM log_head FOR UPDATE").fetch_one(&mut *transaction).await?;
        let head = Head { size: unsigned(row.size)?, root: digest(&row.root)? };
        let edge = match &*cached {
            Some(edge) if edge.size() == head.size && edge.root() == head.root => edge.clone(),
            _ => open_edge(&mut *transaction, head.size).await?,
        };
        let frontier = edge.frontier();
        if frontier.root() != head.root {
            return Err(LogError::Inconsistent("the tiles do not give the head's root".into()));
        }
        Ok(Append { transaction, edge, frontier, added: Vec::new(), cached, writes: false })
    }
}

impl Append {
    /// The log with what was added so far.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: self.frontier.len(), root: self.frontier.root() }
    }

    /// The index of the next leaf.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.frontier.len()
    }

    /// Says that rows were written, whether or not a leaf is added.
    pub fn has_written(&mut self) {
        self.writes = true;
    }

    /// Whether rows were written without a leaf.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Where the rows of the leaves are written.
    pub fn db(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Adds leaves to the tree. They are in the database with [`Append::commit`].
    pub fn add(&mut self, leaf_hashes: &[Hash]) -> Head {
        self.frontier.extend(leaf_hashes.iter().copied());
        self.added.extend_from_slice(leaf_hashes);
        self.head()
    }

    /// Writes tiles and head, and makes it all last.
    ///
    /// # Errors
    /// The database's. Whether the commit happened is then unknown: asking again tells.
    pub async fn commit(mut self) -> Result<()> {
        let changed = self.edge.append(&self.added);
        store_tiles(&mut self.transaction, &changed).await?;
        let head = self.head();
        sqlx::query!("UPDATE log_head SET size = $1, root = $2", signed(head.size), &head.root)
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await?;
        *self.cached = Some(self.edge);
        Ok(())
    }
}
