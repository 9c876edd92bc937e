//! A ledger without its services, for what is done to it while they are down.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use embedded_postgres::{Cluster, find_binaries};
use remembrancer::{
    Config, database,
    fsck::{FsckError, Report, fsck},
    log::{Head, head},
    signing::{KeyFolder, Rotated, rotate},
};
use tokio::process::Command;

use super::{
    data_dir::DataDir,
    database::{start_database, stop_database, without_password},
};

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

    /// The data folder.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Gives the log another key.
    ///
    /// # Errors
    /// As [`rotate`]; the database cannot be used.
    pub(crate) async fn rotate_key(&self, accept_loss: bool) -> anyhow::Result<Rotated> {
        let with = || self.named();
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

    /// The log's head, once its tiles give that root.
    ///
    /// # Errors
    /// They do not; the database cannot be used.
    pub(crate) async fn head(&self) -> anyhow::Result<Head> {
        let db = database::pool(&self.config).with_context(|| self.named())?;
        let found = async {
            database::open(&db).await?;
            head(&db).await
        };
        let found = found.await;
        db.close().await;
        found.with_context(|| self.named())
    }

    /// Computes the log again from its rows.
    ///
    /// # Errors
    /// The database cannot be used; what differs is in the answer.
    pub(crate) async fn fsck(&self) -> anyhow::Result<Result<Report, FsckError>> {
        let db = database::pool(&self.config).with_context(|| self.named())?;
        let checked = fsck(&db).await;
        db.close().await;
        Ok(checked)
    }

    /// Writes all of the database to a file that does not depend on the server's version.
    ///
    /// # Errors
    /// `pg_dump` is not there or fails.
    pub(crate) async fn dump(&self, file: &Path) -> anyhow::Result<()> {
        let mut command = self.program("pg_dump")?;
        command.args(["--format=custom", "--no-owner", "--no-privileges", "--file"]).arg(file);
        done("pg_dump", command).await
    }

    /// Reads such a file into the database, all of it or nothing.
    ///
    /// # Errors
    /// `pg_restore` is not there or fails, because there is something in the database already.
    pub(crate) async fn load(&self, file: &Path) -> anyhow::Result<()> {
        let mut command = self.program("pg_restore")?;
        command.args(["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]).arg(file);
        done("pg_restore", command).await
    }

    /// Gives the folder back.
    pub(crate) async fn close(self) {
        stop_database(self.cluster).await;
    }

    /// One of PostgreSQL's programs, on this database. The URL, which may have a password, is no argument that others see.
    fn program(&self, name: &str) -> anyhow::Result<Command> {
        let folder = match &self.cluster {
            Some(cluster) => cluster.binaries().folder.clone(),
            None => find_binaries()?.folder,
        };
        let path = folder.join(name);
        if !path.is_file() {
            return Err(anyhow!(
                "{name} is not in {}: install PostgreSQL's client programs, or set PG_BINDIR to a folder that has them",
                folder.display()
            ));
        }
        let mut command = Command::new(path);
        command.arg("--dbname").arg(without_secret(&self.config.database_url));
        if let Some(password) = password(&self.config.database_url) {
            command.env("PGPASSWORD", password);
        }
        command.kill_on_drop(true);
        Ok(command)
    }

    fn named(&self) -> String {
        format!("with the database {}", without_password(&self.config.database_url))
    }
}

async fn done(name: &str, mut command: Command) -> anyhow::Result<()> {
    let output = command.output().await.with_context(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(anyhow!("{name} failed: {}", said.join("; ")))
}

/// The part of a URL between user and host.
fn secret(url: &str) -> Option<(usize, usize)> {
    let begin = url.find("://")? + 3;
    let end = url[begin..].find(['/', '?']).map_or(url.len(), |at| begin + at);
    let at = begin + url[begin..end].rfind('@')?;
    let colon = begin + url[begin..at].find(':')?;
    Some((colon, at))
}

fn without_secret(url: &str) -> String {
    match secret(url) {
        Some((colon, at)) => format!("{}{}", &url[..colon], &url[at..]),
        None => url.to_owned(),
    }
}

/// The password in a URL, as it is and not as the URL spells it.
fn password(url: &str) -> Option<String> {
    let (colon, at) = secret(url)?;
    let spelled = &url.as_bytes()[colon + 1..at];
    let mut bytes = Vec::with_capacity(spelled.len());
    let mut rest = spelled;
    while let Some((byte, after)) = rest.split_first() {
        let code = (*byte == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_given_to_a_program_where_others_do_not_see_it() {
        let url = "postgres://u:se%40cret@host:5432/db?x=1";
        assert_eq!(without_secret(url), "postgres://u@host:5432/db?x=1");
        assert_eq!(password(url).as_deref(), Some("se@cret"));
        for open in ["postgres://u@%2Ftmp%2Fx:5432/db", "postgres:///db"] {
            assert_eq!((without_secret(open).as_str(), password(open)), (open, None));
        }
    }
}
