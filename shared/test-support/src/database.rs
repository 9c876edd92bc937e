use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use embedded_postgres::{Cluster, Durability, Settings, find_binaries};
use sqlx::Connection as _;

/// A fresh, empty database in the test process's own cluster. It is dropped with the cluster, when
/// the process ends.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// Its URL, for `sqlx` and `--database-url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Executes a statement behind the services' backs.
    ///
    /// # Panics
    /// The database refuses it, or is away.
    pub async fn execute(&self, statement: &str) {
        let mut connection = sqlx::PgConnection::connect(&self.url).await.expect("the database answers");
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::query(statement).execute(&mut connection).await.expect("the statement is carried out");
    }

    /// A copy beside it, as a backup that is restored elsewhere. Whoever is connected is cut off.
    ///
    /// # Panics
    /// The database stays in use for ten seconds, or is away.
    pub async fn copied(&self) -> Self {
        let copy = format!("copy_{}", uuid::Uuid::now_v7().simple());
        let url = |name: &str| self.url.replace(&self.name, name);
        let mut connection = sqlx::PgConnection::connect(&url("postgres")).await.expect("the server answers");
        let execute = async |connection: &mut sqlx::PgConnection, statement: String| {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await
        };
        let name = &self.name;
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        let begun = std::time::Instant::now();
        loop {
            execute(&mut connection, cut.clone()).await.expect("connections are cut");
            match execute(&mut connection, format!("CREATE DATABASE {copy} TEMPLATE {name}")).await {
                Ok(_) => return Self { url: url(&copy), name: copy },
                // whoever was cut off may have come back before its process ended
                Err(_) if begun.elapsed().as_secs() < 10 => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                Err(error) => panic!("the database {name} cannot be copied: {error}"),
            }
        }
    }

    /// How many rows a table has, asked of the database itself.
    ///
    /// # Panics
    /// There is no such table, or the database is away.
    pub async fn count(&self, table: &str) -> i64 {
        let mut connection = sqlx::PgConnection::connect(&self.url).await.expect("the database answers");
        let statement = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("the table is there")
    }
}

/// A fresh database. The first call of a process starts its cluster (tenths of a second).
///
/// # Panics
/// There is no PostgreSQL on this machine, or it does not start; the message says what to do.
pub async fn database() -> TestDatabase {
    let cluster =
        tokio::task::spawn_blocking(shared_cluster).await.expect("the cluster's start did not panic");
    fresh_database(cluster).await
}

/// A cluster of one test's own, for tests of a database that goes away.
///
/// # Panics
/// As [`database`].
pub async fn dedicated_cluster() -> DedicatedCluster {
    let start = || {
        let home = Home::get();
        start_cluster(home, &uuid::Uuid::now_v7().simple().to_string())
    };
    let cluster = tokio::task::spawn_blocking(start)
        .await
        .expect("the cluster's start did not panic")
        .unwrap_or_else(|error| panic!("no cluster for this test: {error:#}"));
    let database = fresh_database(&cluster).await;
    DedicatedCluster { cluster: Some(Arc::new(cluster)), database }
}

/// A cluster with one database, which a test can stop, restart and kill.
#[derive(Debug)]
pub struct DedicatedCluster {
    /// Only `None` while it is dropped.
    cluster: Option<Arc<Cluster>>,
    database: TestDatabase,
}

impl DedicatedCluster {
    /// The URL of its database; it stays the same over [`restart`](Self::restart).
    #[must_use]
    pub fn url(&self) -> &str {
        self.database.url()
    }

    /// Stops the server; it stays away until [`restart`](Self::restart).
    ///
    /// # Panics
    /// It does not stop.
    pub async fn stop(&self) {
        self.blocking(Cluster::halt).await.expect("the server stops");
    }

    /// Starts the server again, whether it runs or not.
    ///
    /// # Panics
    /// It does not start.
    pub async fn restart(&self) {
        self.blocking(|cluster| cluster.halt().and_then(|()| cluster.resume()))
            .await
            .expect("the server starts again");
    }

    /// `kill -9` of the server. It is started again by its supervisor, as under `mesh up`.
    ///
    /// # Panics
    /// There is no server to kill.
    pub fn kill(&self) {
        let pid = self.cluster().pid().expect("the server runs");
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("`kill` runs");
        assert!(killed.success(), "kill -9 {pid} failed");
    }

    /// The server's process id; `None` while there is none.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.cluster().pid()
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Cluster) -> T + Send + 'static) -> T {
        let cluster = Arc::clone(self.cluster());
        tokio::task::spawn_blocking(move || work(&cluster)).await.expect("the supervisor answers")
    }

    fn cluster(&self) -> &Arc<Cluster> {
        self.cluster.as_ref().expect("only `drop` takes the cluster")
    }
}

impl Drop for DedicatedCluster {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            let folder = cluster.data_dir().to_owned();
            drop(cluster); // stops the server
            let _ = fs::remove_dir_all(folder); // else it goes with the process's folder
        }
    }
}

async fn fresh_database(cluster: &Cluster) -> TestDatabase {
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    cluster.create_database(&name).await.expect("a new database in the test's cluster");
    TestDatabase { url: cluster.url(&name), name }
}

/// The process's cluster. It is never dropped: it ends with the process.
fn shared_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        start_cluster(Home::get(), "shared")
            .unwrap_or_else(|error| panic!("no cluster for this test process: {error:#}"))
    })
}

fn start_cluster(home: &Home, name: &str) -> anyhow::Result<Cluster> {
    let mut settings = Settings::new(home.folder.join(name), Durability::Throwaway);
    settings.template = Some(home.template.clone());
    // Tests run in parallel, each with its own pool.
    settings.max_connections = 200;
    Ok(Cluster::start(settings)?)
}

/// This process's folder under `<tmpfs>/ai-mesh-tests-<uid>/`, beside the template that all test
/// processes copy.
struct Home {
    folder: PathBuf,
    template: PathBuf,
    /// Held until the process ends: says that the folder is in use.
    _lock: File,
}

impl Home {
    fn get() -> &'static Self {
        static HOME: OnceLock<Home> = OnceLock::new();
        HOME.get_or_init(|| {
            Self::create().unwrap_or_else(|error| panic!("no folder for test databases: {error:#}"))
        })
    }

    fn create() -> anyhow::Result<Self> {
        let tmpfs = Path::new("/dev/shm");
        let parent = if tmpfs.is_dir() { tmpfs.to_owned() } else { std::env::temp_dir() };
        let uid = fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
        let top = parent.join(format!("ai-mesh-tests-{}", uid.unwrap_or(0)));
        create_dir(&top)?;
        let template = prepare_template(&top)?;
        sweep(&top)?;
        // Number and random part: numbers come again, also in containers that share the tmpfs.
        let folder = top.join(format!("run-{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()));
        let lock = {
            let _guard = lock(&top.join("sweep.lock"))?; // or a sweep would take the folder before it is locked
            create_dir(&folder)?;
            lock(&folder.join(IN_USE))?
        };
        remove_when_process_ends(&folder).context("the process that removes the folder at the end")?;
        Ok(Self { folder, template, _lock: lock })
    }
}

const IN_USE: &str = "in-use.lock";

/// One initdb for all test processes of this user and server version.
fn prepare_template(top: &Path) -> anyhow::Result<PathBuf> {
    let binaries = find_binaries()?;
    let template = top.join(format!("template-{}.{}", binaries.major, binaries.minor));
    let _guard = lock(&top.join("template.lock"))?;
    Cluster::prepare(&Settings::new(&template, Durability::Throwaway))?;
    Ok(template)
}

/// Removes what processes left that could not clean up.
fn sweep(top: &Path) -> anyhow::Result<()> {
    let _guard = lock(&top.join("sweep.lock"))?;
    for entry in fs::read_dir(top)?.flatten() {
        let folder = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b"run-") {
            let in_use = File::open(folder.join(IN_USE)).is_ok_and(|file| file.try_lock_shared().is_err());
            if !in_use {
                let _ = fs::remove_dir_all(&folder); // another user's, or just being removed
            }
        }
    }
    Ok(())
}

/// Statics are not dropped when a process ends, and a killed process runs nothing: a shell waits for
/// the end of its standard input, which is the end of this process, and removes the folder.
fn remove_when_process_ends(folder: &Path) -> io::Result<()> {
    let shell = Command::new("sh")
        // Twice: a server that is ending may still write while the folder is being removed.
        .args(["-c", "cat >/dev/null; rm -rf \"$0\"; sleep 1; rm -rf \"$0\""])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C ends the tests, not the cleaning
        .spawn()?;
    // Its input stays open for as long as this process lives.
    std::mem::forget(shell.stdin);
    Ok(())
}

/// Waits for a lock that lasts as long as the file that it answers.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// A folder that the server's user can enter, whatever the umask.
fn create_dir(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot create {}", folder.display()))
}
