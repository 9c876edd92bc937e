use std::{io, path::PathBuf};

/// Why there is no cluster, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has no PostgreSQL server.
    #[error(
        "no PostgreSQL server found ({searched}): `apt-get install postgresql` (or your system's package), set \
         PG_BINDIR to the folder of `postgres` and `initdb`, or use a running server with --database-url"
    )]
    NoBinaries {
        /// Where it was looked for.
        searched: String,
    },
    /// `PG_BINDIR` names a folder without a server.
    #[error(
        "PG_BINDIR is {}, but there is no usable `{missing}` in it: correct it, or unset it to have the server looked for",
        .folder.display()
    )]
    WrongBindir {
        folder: PathBuf,
        /// What is not there.
        missing: &'static str,
    },
    /// The cluster was made by a server of another major version.
    #[error(
        "the cluster in {} was made by PostgreSQL {cluster}, but this machine has {found}: install PostgreSQL \
         {cluster}, or dump it there and restore it into a new folder",
        .folder.display()
    )]
    WrongVersion {
        /// PostgreSQL's folder.
        folder: PathBuf,
        /// The cluster's major version.
        cluster: u32,
        /// The versions that were found.
        found: String,
    },
    /// Another process runs this cluster.
    #[error(
        "the data folder {} is in use by process {pid}: end that (`kill {pid}`), or choose another folder with \
         --data-dir",
        .folder.display()
    )]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// The process, or `?` when it has not said so yet.
        pid: String,
    },
    /// The server's user cannot get to the folder.
    #[error(
        "the user `{user}`, as which PostgreSQL runs because it refuses to run as root, cannot enter {}: choose a \
         folder it can reach with --data-dir (not below /root), or `chmod o+x {}`",
        .blocked.display(), .blocked.display()
    )]
    NotReachable {
        /// The first folder on the way that it cannot enter.
        blocked: PathBuf,
        user: String,
    },
    /// The process is root and there is no other user for the server.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor a user `nobody` to run it \
         as: `useradd --system postgres`, or run this as another user"
    )]
    NoAccount,
    /// initdb failed.
    #[error("initdb could not make the cluster in {}: {output}", .folder.display())]
    Initdb {
        /// PostgreSQL's folder.
        folder: PathBuf,
        /// What initdb said.
        output: String,
    },
    /// The server ended instead of starting.
    #[error("PostgreSQL did not start; the end of {}: {output}", .log.display())]
    DidNotStart {
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        output: String,
    },
    /// The server runs but is not ready in time.
    #[error("PostgreSQL is not ready after {seconds} s; {} says why", .log.display())]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
    },
    /// A file or folder could not be used.
    #[error("{action} {}", .path.display())]
    File {
        /// What was tried, e.g. `cannot create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {}", .program.display())]
    Run {
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The supervising thread could not be started, or is gone.
    #[error("the thread that supervises PostgreSQL is not there")]
    NoSupervisor,
    /// A statement of [`Cluster::create_database`](crate::Cluster::create_database) failed.
    #[error("{action} the database `{database}`")]
    Database {
        /// What was tried, e.g. `cannot create`.
        action: &'static str,
        database: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { action, path: path.into(), source }
    }
}
