use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::{
    Binaries, Error, Lookup,
    account::{Account, check_reachable},
    folder::{self, FolderLock},
    postmaster::{Launch, Supervisor, remove_stale_pid_file},
    socket::{PORT, SocketDir},
};

/// What a cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What is committed survives a power failure.
    Durable,
    /// For tests: nothing is synced, and a stop takes no time. It survives `kill -9` of the server,
    /// but not of the machine.
    Throwaway,
}

/// How to run a cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's folder; made if it is not there. One process at a time may run it.
    pub data_dir: PathBuf,
    /// What it is for.
    pub durability: Durability,
    /// How many connections it takes.
    pub max_connections: u16,
    /// How long a start may take, crash recovery included.
    pub start_limit: Duration,
    /// A cluster's data folder (of a cluster that is stopped) to copy instead of running initdb; it is
    /// ignored when `data_dir` has a cluster already.
    pub template: Option<PathBuf>,
    /// Where to look for the server.
    pub lookup: Lookup,
}

impl Settings {
    /// Usual settings for a folder.
    pub fn new(data_dir: impl Into<PathBuf>, durability: Durability) -> Self {
        Self {
            data_dir: data_dir.into(),
            durability,
            max_connections: 100,
            start_limit: Duration::from_secs(120),
            template: None,
            lookup: Lookup::from_environment(),
        }
    }
}

/// A running PostgreSQL. It is restarted when it dies, and stopped when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the server stops before its socket's folder and its lock go.
    supervisor: Supervisor,
    socket: SocketDir,
    _lock: FolderLock,
    data_dir: PathBuf,
    binaries: Binaries,
}

impl Cluster {
    /// Starts the cluster in `settings.data_dir`, making it if it is not there. Blocks until it takes
    /// connections: tenths of a second, some seconds for a new one, more after a crash.
    ///
    /// # Errors
    /// See [`Error`]: each says what to do.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let account = Account::for_server()?;
        let servers = settings.lookup.find_all()?;
        let data_dir = folder::create_data_dir(&settings.data_dir)?;
        check_reachable(&data_dir, account.as_ref())?;
        let lock = FolderLock::take(&data_dir)?;
        let data = data_dir.join("data");
        let binaries = choose(servers, &data)?;
        let durable = settings.durability == Durability::Durable;
        if folder::cluster_version(&data)?.is_none() {
            tracing::info!(folder = %data.display(), version = binaries.major, "making a PostgreSQL cluster");
            match &settings.template {
                Some(template) => folder::copy_cluster(&template.join("data"), &data, durable)?,
                None => folder::initdb(&binaries, &data, account.as_ref(), durable)?,
            }
        }
        remove_stale_pid_file(&data)?;
        let socket = SocketDir::create(&data_dir, account.as_ref())?;
        let supervisor = Supervisor::start(Launch {
            program: binaries.postgres(),
            log: data_dir.join("postgres.log"),
            account,
            options: options(&settings, socket.path()),
            throwaway: !durable,
            start_limit: settings.start_limit,
            data,
        })?;
        Ok(Self { supervisor, socket, _lock: lock, data_dir, binaries })
    }

    /// Makes a cluster in `settings.data_dir` and leaves it stopped, as a template for others. One
    /// that is there already is left as it is.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn prepare(settings: &Settings) -> Result<(), Error> {
        let account = Account::for_server()?;
        let servers = settings.lookup.find_all()?;
        let data_dir = folder::create_data_dir(&settings.data_dir)?;
        check_reachable(&data_dir, account.as_ref())?;
        let _lock = FolderLock::take(&data_dir)?;
        let data = data_dir.join("data");
        let binaries = choose(servers, &data)?;
        if folder::cluster_version(&data)?.is_none() {
            folder::initdb(&binaries, &data, account.as_ref(), settings.durability == Durability::Durable)?;
        }
        Ok(())
    }

    /// The URL of one of its databases, for this machine only:
    /// `postgres://postgres@<percent-encoded socket folder>:5432/<database>`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let host = percent_encode(self.socket.path().as_os_str().as_encoded_bytes());
        format!("postgres://postgres@{host}:{PORT}/{}", percent_encode(database.as_bytes()))
    }

    /// Makes a database; one that is there is left as it is.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub async fn create_database(&self, database: &str) -> Result<(), Error> {
        let failed =
            |source| Error::Database { action: "cannot create", database: database.to_owned(), source };
        match self.execute(format!("CREATE DATABASE {}", quote(database))).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DUPLICATE_DATABASE) => {
                Ok(())
            }
            result => result.map_err(failed),
        }
    }

    /// Drops a database, with the sessions in it.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub async fn drop_database(&self, database: &str) -> Result<(), Error> {
        let failed =
            |source| Error::Database { action: "cannot drop", database: database.to_owned(), source };
        self.execute(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(database)))
            .await
            .map_err(failed)
    }

    /// The server's process id; `None` while it is halted or being restarted.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.supervisor.pid()
    }

    /// The cluster's folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The programs that it runs on.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Stops the server and leaves it stopped until [`Cluster::resume`]; the folder stays locked.
    ///
    /// # Errors
    /// The supervising thread is gone.
    pub fn halt(&self) -> Result<(), Error> {
        self.supervisor.halt()
    }

    /// Starts a halted server and waits until it is ready. The URL stays the same.
    ///
    /// # Errors
    /// It does not start.
    pub fn resume(&self) -> Result<(), Error> {
        self.supervisor.resume()
    }

    /// Stops the server and waits for its end; so does dropping it.
    pub fn stop(self) {
        drop(self);
    }

    async fn execute(&self, statement: String) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        // Quoted above; a statement about a database takes no parameters.
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    }
}

/// SQLSTATE of `duplicate_database`.
const DUPLICATE_DATABASE: &str = "42P04";

/// The newest server, or the newest of the version that made the cluster.
fn choose(servers: Vec<Binaries>, data: &Path) -> Result<Binaries, Error> {
    let wanted = folder::cluster_version(data)?;
    let found: Vec<String> = servers.iter().map(|server| server.major.to_string()).collect();
    servers.into_iter().find(|server| wanted.is_none_or(|major| server.major == major)).ok_or_else(|| {
        Error::WrongVersion { folder: data.to_owned(), cluster: wanted.unwrap_or(0), found: found.join(", ") }
    })
}

fn options(settings: &Settings, socket: &Path) -> Vec<String> {
    let mut options = vec![
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={}", socket.display()),
        "unix_socket_permissions=0700".to_owned(),
        format!("port={PORT}"),
        format!("max_connections={}", settings.max_connections),
        // Of its usual gigabyte a ledger of some runs would be the smaller part.
        "max_wal_size=256MB".to_owned(),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
    ];
    if settings.durability == Durability::Throwaway {
        // Not `synchronous_commit=off`: then `kill -9` of the server would lose what was just committed.
        // `mmap` keeps shared memory in the folder, so that nothing is left in /dev/shm when it is removed.
        options.extend(
            ["fsync=off", "full_page_writes=off", "dynamic_shared_memory_type=mmap"].map(str::to_owned),
        );
    }
    options
}

/// RFC 3986: everything but the unreserved characters.
fn percent_encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

/// An SQL identifier.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_folder_in_a_url_is_percent_encoded() {
        assert_eq!(percent_encode("/tmp/a b-ä".as_bytes()), "%2Ftmp%2Fa%20b-%C3%A4");
    }

    #[test]
    fn a_cluster_of_another_version_is_refused_with_the_version_to_install() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("PG_VERSION"), "12\n").unwrap();
        let server = |major| Binaries { folder: "/bin".into(), major, minor: 0 };
        let error = choose(vec![server(17), server(15)], data.path()).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 12") && error.contains("17, 15"), "{error}");
        assert_eq!(choose(vec![server(17), server(12)], data.path()).unwrap().major, 12);
        std::fs::remove_file(data.path().join("PG_VERSION")).unwrap();
        assert_eq!(choose(vec![server(17), server(12)], data.path()).unwrap().major, 17);
    }
}
