//! A private PostgreSQL cluster from the machine's own server binaries: no download, no network, no
//! account to set up.
//!
//! [`Cluster::start`] finds the newest binaries, makes the cluster's folder if it is not there,
//! starts the server on a unix socket only, and restarts it when it dies. The server ends with
//! the [`Cluster`], and also when the process that holds it is killed.
//!
//! ```text
//! <data_dir>/cluster.lock   held (flock) by whoever runs the cluster; holds its process id
//! <data_dir>/data           PostgreSQL's own folder (PGDATA)
//! <data_dir>/socket         the unix socket; in a short folder elsewhere when this path is too long
//! <data_dir>/postgres.log   what the server says
//! ```
//!
//! initdb and postgres refuse to run as root: then they run as the user `postgres`, else `nobody`,
//! and the folders belong to it.

mod account;
mod binaries;
mod cluster;
mod error;
mod folder;
mod postmaster;
mod socket;

pub use binaries::{Binaries, Lookup, find_binaries};
pub use cluster::{Cluster, Durability, Settings};
pub use error::Error;
