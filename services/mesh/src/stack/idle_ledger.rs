//! A ledger without its services, for what is done to it while they are down.

use std::path::PathBuf;

use anyhow::Context as _;
use embedded_postgres::Cluster;
use remembrancer::{
    Config, database,
    signing::{KeyFolder, Rotated, rotate},
};

use super::{data_dir::DataDir, start_database, stop_database, without_password};

/// A ledger that this process holds. It must be [closed](IdleLedger::close).
pub(crate) struct IdleLedger {
    cluster: Option<Cluster>,
    config: Config,
    _data_dir: DataDir,
}

impl IdleLedger {
    /// Takes the folder, and starts its database unless another one is named.
    ///
    /// # Errors
    /// A running stack uses the folder; there is no database.
    pub(crate) async fn open(
        data_dir: Option<PathBuf>,
        database_url: Option<String>,
    ) -> anyhow::Result<Self> {
        let data_dir = DataDir::lock(data_dir)?;
        let (cluster, database_url) = start_database(database_url, &data_dir).await?;
        let config = Config { database_url, data_dir: data_dir.path().to_owned(), ..Config::default() };
        Ok(Self { cluster, config, _data_dir: data_dir })
    }

    /// Gives the log another key.
    ///
    /// # Errors
    /// As [`rotate`]; the database cannot be used.
    pub(crate) async fn rotate_key(&self, accept_loss: bool) -> anyhow::Result<Rotated> {
        let with = || format!("with the database {}", without_password(&self.config.database_url));
        let db = database::pool(&self.config).with_context(with)?;
        let rotated = async {
            database::open(&db).await.with_context(with)?;
            let keys = KeyFolder::at(&self.config.data_dir);
            Ok(rotate(&db, &keys, &self.config.log_name, accept_loss).await?)
        };
        let rotated = rotated.await;
        db.close().await;
        rotated
    }

    /// Gives the folder back.
    pub(crate) async fn close(self) {
        stop_database(self.cluster).await;
    }
}
