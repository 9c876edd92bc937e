//! The one writer: what is appended gets the next indexes, and rows, tiles, root and receipt are one
//! transaction.

use std::sync::Arc;

use merkle_log::{Hash, tile::Edge};
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
    head: Head,
    edge: Edge,
    cached: OwnedMutexGuard<Option<Edge>>,
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
            _ => {
                let edge = open_edge(&mut *transaction, head.size).await?;
                if edge.root() != head.root {
                    return Err(LogError::Inconsistent("the tiles do not give the head's root".into()));
                }
                edge
            }
        };
        Ok(Append { transaction, head, edge, cached })
    }
}

impl Append {
    /// The log as it is until [`Append::integrate`].
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The index of the next leaf.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.head.size
    }

    /// Where the rows of the leaves are written.
    pub fn db(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Takes the leaves into the tree: tiles and head.
    ///
    /// # Errors
    /// The database's.
    pub async fn integrate(&mut self, leaf_hashes: &[Hash]) -> Result<Head> {
        let changed = self.edge.append(leaf_hashes);
        store_tiles(&mut self.transaction, &changed).await?;
        self.head = Head { size: self.edge.size(), root: self.edge.root() };
        sqlx::query!("UPDATE log_head SET size = $1, root = $2", signed(self.head.size), &self.head.root)
            .execute(&mut *self.transaction)
            .await?;
        Ok(self.head)
    }

    /// Makes it all last.
    ///
    /// # Errors
    /// The database's. Whether the commit happened is then unknown: asking again tells.
    pub async fn commit(mut self) -> Result<()> {
        self.transaction.commit().await?;
        *self.cached = Some(self.edge);
        Ok(())
    }
}
