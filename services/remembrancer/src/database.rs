//! Opening the database: migrations, then the check that what is stored is one log.

use std::time::Duration;

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Transaction,
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
    if let Err(error) = sign(db).await {
        // several processes may sign at once, and then one of them does
        tracing::debug!(%error, "the database does not say which version used it");
    }
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

/// Writes down which version has migrated the schema, for an older one that finds it.
async fn sign(db: &PgPool) -> std::result::Result<(), sqlx::Error> {
    if signature(&mut *db.acquire().await?).await?.as_deref() == Some(VERSION) {
        return Ok(());
    }
    sqlx::query(SIGN).execute(db).await.map(drop)
}

/// Which version has last migrated the schema, where that is known.
async fn signature(db: &mut PgConnection) -> std::result::Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT obj_description(to_regclass('_sqlx_migrations'), 'pg_class')")
        .fetch_one(db)
        .await
}

const VERSION: &str = concat!("ai-mesh ", env!("CARGO_PKG_VERSION"));

const SIGN: &str = concat!("COMMENT ON TABLE _sqlx_migrations IS 'ai-mesh ", env!("CARGO_PKG_VERSION"), "'");

/// Why a database cannot be used, in words for whoever named it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It does not answer now, but soon: its server is being started.
    #[error("its server is still starting")]
    Starting,
    /// It cannot be used as it is named.
    #[error("{0}")]
    Refused(String),
    /// A newer version of this program has changed its schema.
    #[error(
        "it was last used by {by}, and has the schema {found}, where this program ({VERSION}) knows those up to {known}: use \
         that version or a later one, or another database"
    )]
    Newer {
        /// Who changed it.
        by: String,
        /// Its schema's number.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
}

/// Tries whether a database can be used, before anything waits for it.
///
/// # Errors
/// It cannot, and why.
pub async fn try_out(url: &str) -> std::result::Result<(), Unusable> {
    let options: PgConnectOptions = url.parse().map_err(refused)?;
    let options = options.application_name("remembrancer").disable_statement_logging();
    let connected = tokio::time::timeout(TRY_LIMIT, PgConnection::connect_with(&options)).await;
    let Ok(connected) = connected else {
        return Err(Unusable::Refused(format!("it does not answer within {} s", TRY_LIMIT.as_secs())));
    };
    let mut db = connected.map_err(refused)?;
    let known = known_schema();
    // a new database has no such table yet
    let newer = match schema(&mut db).await {
        Ok(Some(found)) if found > known => {
            let by = signature(&mut db).await.ok().flatten();
            Some(Unusable::Newer { by: by.unwrap_or_else(|| "a newer version".into()), found, known })
        }
        _ => None,
    };
    let _ = db.close().await; // it was only tried
    newer.map_or(Ok(()), Err)
}

/// The number of the newest schema that this program knows.
pub(crate) fn known_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The number of a database's schema.
pub(crate) async fn schema(db: &mut PgConnection) -> std::result::Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(db).await
}

/// How long a database may take to answer when it is tried.
const TRY_LIMIT: Duration = Duration::from_secs(10);

/// `cannot_connect_now`: a server that starts, or that recovers after a crash.
const STARTING: &str = "57P03";

fn refused(error: sqlx::Error) -> Unusable {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(STARTING) => Unusable::Starting,
        sqlx::Error::Database(error) => Unusable::Refused(error.message().to_owned()),
        sqlx::Error::Io(error) => Unusable::Refused(error.to_string()),
        error => Unusable::Refused(error.to_string()),
    }
}
