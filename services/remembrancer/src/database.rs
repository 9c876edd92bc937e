//! Opening the database: migrations, then the check that what is stored is one log.

use std::time::Duration;

use sqlx::{
    PgPool, Postgres, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    config::Config,
    error::{LogError, Result},
    log::{head, open_edge},
};

/// The schema, append-only.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A statement of this service that runs longer hangs.
const STATEMENT_TIMEOUT: &str = "60s";

/// A pool that connects when it is asked to, so that the service starts without its database and finds it
/// again after an outage.
///
/// # Errors
/// The URL is not one of PostgreSQL's.
pub fn pool(config: &Config) -> std::result::Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = config.database_url.parse()?;
    let options =
        options.application_name("remembrancer").options([("statement_timeout", STATEMENT_TIMEOUT)]);
    Ok(PgPoolOptions::new()
        .max_connections(config.database_connections)
        .acquire_timeout(Duration::from_secs(config.database_wait_seconds))
        .test_before_acquire(true) // a connection that a restart of the database left behind is replaced
        .connect_lazy_with(options))
}

/// The statement of a transaction that writes.
pub const BEGIN: &str = "BEGIN";

/// Begins a transaction with its statement. In a task of its own, because sqlx loses sight of a transaction whose caller
/// gives it up before PostgreSQL has answered (transact-rs/sqlx#4385): the connection would go back to the pool with it, and
/// what the next ones wrote there would be undone with the connection, although it was answered.
///
/// # Errors
/// The database's.
pub async fn begin(
    db: &PgPool,
    statement: &'static str,
) -> std::result::Result<Transaction<'static, Postgres>, sqlx::Error> {
    let db = db.clone();
    #[allow(clippy::disallowed_methods, reason = "here it is waited for to the end")]
    let begun = tokio::spawn(async move { db.begin_with(statement).await });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// Migrates the schema and checks that the tiles give the head's root.
///
/// # Errors
/// The database's; the schema is newer than this program; the stored log contradicts itself.
pub async fn open(db: &PgPool) -> Result<()> {
    MIGRATIONS.run(db).await?;
    let head = head(db).await?;
    let edge = open_edge(db, head.size).await?;
    if edge.root() != head.root {
        return Err(LogError::Inconsistent(format!(
            "the tiles of {} leaves give the root {}, the head says {}",
            head.size,
            api::Hash(edge.root()),
            api::Hash(head.root)
        )));
    }
    tracing::info!(size = head.size, root = %api::Hash(head.root), "the log is open");
    Ok(())
}
