//! The database of a stack: one of its own in the data folder, or one that somebody else runs.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use embedded_postgres::{Cluster, Durability, Settings};
use remembrancer::database::{Unusable, try_out};

use super::data_dir::DataDir;

/// The given database, or a cluster of the folder's own.
pub(super) async fn start_database(
    given: Option<String>,
    data_dir: &DataDir,
) -> anyhow::Result<(Option<Cluster>, String)> {
    if let Some(url) = given {
        let shown = without_password(&url);
        let named = || format!("cannot use the database {shown} (--database-url, MESH_DATABASE_URL)");
        tried(&url).await.with_context(named)?;
        return Ok((None, url));
    }
    let settings = Settings::new(data_dir.path().join("postgres"), Durability::Durable);
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(settings))
        .await
        .context("starting PostgreSQL broke off")??;
    cluster.create_database(DATABASE).await?;
    let url = cluster.url(DATABASE);
    if let Err(error) = tried(&url).await {
        stop_database(Some(cluster)).await;
        let folder = data_dir.path().display();
        return Err(error.context(format!("cannot use the database in {folder} (--data-dir, MESH_DATA_DIR)")));
    }
    Ok((Some(cluster), url))
}

/// Tries a database, and waits for one that is being started.
async fn tried(url: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        match try_out(url).await {
            Err(Unusable::Starting) if begun.elapsed() < STARTING_LIMIT => {
                tokio::time::sleep(PAUSE).await;
            }
            tried => return Ok(tried?),
        }
    }
}

/// Stops the cluster, if there is one.
pub(super) async fn stop_database(cluster: Option<Cluster>) {
    let Some(cluster) = cluster else { return };
    // this waits until the server has ended; only then may the folder's lock be released
    let stopped = tokio::task::spawn_blocking(move || cluster.stop()).await;
    if stopped.is_err() {
        tracing::warn!("PostgreSQL did not stop well");
    }
}

/// The database in a cluster of its own.
const DATABASE: &str = "ai_mesh";

/// A URL to be shown: `postgres://user:…@host/name`.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let Some((userinfo, host)) = rest[..authority_end].rsplit_once('@') else { return url.to_owned() };
    match userinfo.split_once(':') {
        None => url.to_owned(),
        Some((user, _)) => format!("{scheme}://{user}:…@{host}{}", &rest[authority_end..]),
    }
}

/// A database that is being started is waited for so long.
const STARTING_LIMIT: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_password() {
        for (url, shown) in [
            ("postgres://u:secret@host:5432/db", "postgres://u:…@host:5432/db"),
            ("postgres://u:se@cret@host/db", "postgres://u:…@host/db"),
            ("postgres://u@%2Ftmp%2Fx:5432/db", "postgres://u@%2Ftmp%2Fx:5432/db"),
            ("postgres:///db", "postgres:///db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_told_at_once_with_its_cause() {
        let error = tried("postgres://nobody@127.0.0.1:1/nothing").await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }
}
