//! All four services in this process, with a PostgreSQL of their own or a given one.

mod data_dir;
mod disk;
mod idle_ledger;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use client::{ClientError, Endpoint, Evaluator, PsiField, Remembrancer, Trainer};
use embedded_postgres::{Cluster, Durability, Settings};
use remembrancer::signing::KeyFolder;
use service_kit::{App, HttpConfig};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use trainer::federation::Peer;

use data_dir::DataDir;
pub(crate) use data_dir::data_folder;
pub(crate) use idle_ledger::IdleLedger;

/// The settings of a stack.
#[derive(Clone, Debug)]
pub(crate) struct StackSettings {
    /// The folder of the database and of the log's key; the user's data folder when absent.
    pub(crate) data_dir: Option<PathBuf>,
    /// A running PostgreSQL's database instead of one of its own.
    pub(crate) database_url: Option<String>,
    /// Where the services listen on 127.0.0.1.
    pub(crate) ports: Ports,
    /// A psi-field elsewhere, instead of one in this process.
    pub(crate) psi_field_url: Option<String>,
    /// Other nodes to learn with.
    pub(crate) federation: FederationArgs,
    /// The log, its witnesses, and the logs that it witnesses.
    pub(crate) log: LogSettings,
}

/// What a stack's log is called, and who witnesses whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogSettings {
    /// The log's name; that of the folder's key when absent, and the usual one when there is none yet.
    pub(crate) name: Option<String>,
    /// The verifier keys of the logs whose checkpoints it cosigns.
    pub(crate) witness_logs: Vec<String>,
    /// The file with its own witnesses.
    pub(crate) trust_policy: Option<PathBuf>,
}

/// Flags that make the stack a node of a federation.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Learning with other nodes")]
pub(crate) struct FederationArgs {
    /// Another node to learn with, once for each: the key of its log, `@`, and the address of its trainer, as `mesh
    /// federation status` there says them
    #[arg(long = "peer", value_name = "KEY@URL")]
    peers: Vec<Peer>,
    /// The API key to send to the other nodes
    #[arg(long, value_name = "KEY", env = "MESH_PEERS_API_KEY", hide_env_values = true)]
    peers_api_key: Option<String>,
}

/// The services' ports; 0 takes a free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) psi_field: u16,
    pub(crate) trainer: u16,
    pub(crate) remembrancer: u16,
    pub(crate) evaluator: u16,
}

/// A running stack. It must be [stopped](Stack::stop).
pub(crate) struct Stack {
    /// In the order in which they are stopped: callers before those whom they call.
    services: Vec<Service>,
    cluster: Option<Cluster>,
    database_url: String,
    data_dir: DataDir,
    /// Warns when the disk is full; none with a database elsewhere.
    _disk: Option<AbortOnDropHandle<()>>,
}

/// A running service.
struct Service {
    name: &'static str,
    url: String,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Stack {
    /// Starts everything and waits until all services can serve.
    ///
    /// # Errors
    /// A port or the data folder is in use, there is no database, a service is not ready in time. What had
    /// been started is stopped again.
    pub(crate) async fn start(settings: StackSettings) -> anyhow::Result<Self> {
        let data_dir = DataDir::lock(settings.data_dir.clone())?;
        // ports first, so that one in use is noticed at once and not after the database has started
        let remembrancer = ReservedPort::take("remembrancer", settings.ports.remembrancer).await?;
        let psi_field = match &settings.psi_field_url {
            None => Some(ReservedPort::take("psi-field", settings.ports.psi_field).await?),
            Some(_) => None,
        };
        let trainer = ReservedPort::take("trainer", settings.ports.trainer).await?;
        let evaluator = ReservedPort::take("evaluator", settings.ports.evaluator).await?;
        let (cluster, database_url) = start_database(settings.database_url.clone(), &data_dir).await?;
        let watch = || AbortOnDropHandle::new(tokio::spawn(disk::watch(data_dir.path().to_owned())));
        let disk = cluster.is_some().then(watch);

        let mut stack = Self { services: Vec::new(), cluster, database_url, data_dir, _disk: disk };
        let urls = Urls {
            remembrancer: remembrancer.url.clone(),
            psi_field: psi_field
                .as_ref()
                .map(|p| p.url.clone())
                .or(settings.psi_field_url)
                .unwrap_or_default(),
        };
        let others = (settings.federation, settings.log);
        match stack.start_services(&urls, others, remembrancer, psi_field, trainer, evaluator).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    /// The URL of one of the services.
    pub(crate) fn url(&self, name: &str) -> String {
        self.services.iter().find(|s| s.name == name).map(|s| s.url.clone()).unwrap_or_default()
    }

    /// The database's URL, its password hidden.
    pub(crate) fn shown_database_url(&self) -> String {
        without_password(&self.database_url)
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self.data_dir.path()
    }

    /// Waits until a service ends by itself, which none should.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        loop {
            for service in &mut self.services {
                if service.task.is_finished() {
                    let name = service.name;
                    return match (&mut service.task).await {
                        Ok(Ok(())) => anyhow!("{name} has ended by itself"),
                        Ok(Err(error)) => anyhow::Error::new(error).context(format!("{name} has ended")),
                        Err(error) => anyhow::Error::new(error).context(format!("{name} has ended")),
                    };
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Stops the services, callers first, then the database.
    pub(crate) async fn stop(self) {
        for service in self.services {
            service.stop.cancel();
            if service.task.is_finished() {
                continue; // its end has been reported, and a task can be awaited only once
            }
            if let Ok(Err(error)) = service.task.await {
                tracing::warn!(service = service.name, %error, "did not stop well");
            }
        }
        stop_database(self.cluster).await;
    }

    async fn start_services(
        &mut self,
        urls: &Urls,
        (federation, log): (FederationArgs, LogSettings),
        remembrancer: ReservedPort,
        psi_field: Option<ReservedPort>,
        trainer: ReservedPort,
        evaluator: ReservedPort,
    ) -> anyhow::Result<()> {
        let usual = remembrancer::Config::default();
        // A key that cannot be read is told by the remembrancer.
        let kept = KeyFolder::at(self.data_dir.path()).key().ok().flatten();
        let kept = kept.map(|key| key.name().to_owned());
        let config = remembrancer::Config {
            http: remembrancer.http(),
            database_url: self.database_url.clone(),
            data_dir: self.data_dir.path().to_owned(),
            log_name: log.name.or(kept).unwrap_or(usual.log_name),
            witness_logs: log.witness_logs,
            trust_policy: log.trust_policy,
            ..usual
        };
        let stop = CancellationToken::new();
        let app = remembrancer::build(config, stop.clone()).await.context("remembrancer")?;
        self.serve(remembrancer, app, stop);
        let limit = if self.cluster.is_some() { READY_LIMIT } else { DATABASE_LIMIT };
        let asked = ready("remembrancer", limit, || async {
            Remembrancer::new(Endpoint::new(&urls.remembrancer))?.ready().await
        })
        .await;
        if self.cluster.is_none() {
            let hint = || format!("with --database-url {}", self.shown_database_url());
            asked.with_context(hint)?;
        } else {
            asked?;
        }

        if let Some(psi_field) = psi_field {
            let config = psi_field::Config {
                http: psi_field.http(),
                remembrancer_url: Some(urls.remembrancer.clone()),
                ..psi_field::Config::default()
            };
            let stop = CancellationToken::new();
            let app = psi_field::build(config, stop.clone()).await.context("psi-field")?;
            self.serve(psi_field, app, stop);
            ready("psi-field", READY_LIMIT, || async {
                PsiField::new(Endpoint::new(&urls.psi_field))?.ready().await
            })
            .await?;
        }

        let stop = CancellationToken::new();
        let url = trainer.url.clone();
        let config = trainer::Config {
            http: trainer.http(),
            remembrancer_url: urls.remembrancer.clone(),
            psi_field_url: urls.psi_field.clone(),
            peers: federation.peers,
            peers_api_key: federation.peers_api_key,
            ..trainer::Config::default()
        };
        let app = trainer::build(config, stop.clone()).await.context("trainer")?;
        self.serve(trainer, app, stop);
        ready("trainer", READY_LIMIT, || async { Trainer::new(Endpoint::new(&url))?.ready().await }).await?;

        let stop = CancellationToken::new();
        let url = evaluator.url.clone();
        let config = evaluator::Config {
            http: evaluator.http(),
            remembrancer_url: urls.remembrancer.clone(),
            ..evaluator::Config::default()
        };
        let app = evaluator::build(config, stop.clone()).await.context("evaluator")?;
        self.serve(evaluator, app, stop);
        ready("evaluator", READY_LIMIT, || async { Evaluator::new(Endpoint::new(&url))?.ready().await }).await
    }

    /// Serves; what is started later is stopped earlier.
    fn serve(&mut self, place: ReservedPort, app: impl Into<App>, stop: CancellationToken) {
        let deadlines = HttpConfig::default().deadlines();
        let task = tokio::spawn(service_kit::serve(place.listener, app.into(), deadlines, stop.clone()));
        self.services.insert(0, Service { name: place.name, url: place.url, stop, task });
    }
}

struct Urls {
    remembrancer: String,
    psi_field: String,
}

/// A port that has been taken for a service.
struct ReservedPort {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
    url: String,
}

impl ReservedPort {
    async fn take(name: &'static str, port: u16) -> anyhow::Result<Self> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = service_kit::bind(wanted)
            .await
            .with_context(|| format!("{name} (its port is set with --{name}-port, all with --port-base)"))?;
        let address = listener.local_addr().with_context(|| format!("{name} has no address"))?;
        Ok(Self { name, listener, address, url: format!("http://{address}") })
    }

    fn http(&self) -> HttpConfig {
        HttpConfig { bind: self.address, ..HttpConfig::default() }
    }
}

/// The given database, or a cluster of the folder's own.
async fn start_database(
    given: Option<String>,
    data_dir: &DataDir,
) -> anyhow::Result<(Option<Cluster>, String)> {
    if let Some(url) = given {
        return Ok((None, url));
    }
    let settings = Settings::new(data_dir.path().join("postgres"), Durability::Durable);
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(settings))
        .await
        .context("starting PostgreSQL broke off")??;
    cluster.create_database(DATABASE).await?;
    let url = cluster.url(DATABASE);
    Ok((Some(cluster), url))
}

/// Stops the cluster, if there is one.
async fn stop_database(cluster: Option<Cluster>) {
    let Some(cluster) = cluster else { return };
    // this waits until the server has ended; only then may the folder's lock be released
    let stopped = tokio::task::spawn_blocking(move || cluster.stop()).await;
    if stopped.is_err() {
        tracing::warn!("PostgreSQL did not stop well");
    }
}

/// The database in a cluster of its own.
const DATABASE: &str = "ai_mesh";

/// How long a service may take until it can serve: the remembrancer compares its log with its tiles, the
/// trainer reads the runs that it resumes.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A given database that does not answer for this long is not going to.
const DATABASE_LIMIT: Duration = Duration::from_secs(15);

/// The pauses between two questions whether a service is ready: they double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

async fn ready<F, Fut>(name: &str, limit: Duration, ask: F) -> anyhow::Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<(), ClientError>>,
{
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // First a pause: a service that has just started is not ready, and would log the question as a failed request.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match ask().await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() && begun.elapsed() < limit => {
                tracing::debug!(service = name, %error, "not ready yet");
            }
            Err(error) => {
                let why = error.problem().map_or_else(|| error.to_string(), |problem| problem.detail.clone());
                return Err(anyhow!("{name} is not ready after {} s: {why}", begun.elapsed().as_secs()));
            }
        }
    }
}

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
    async fn a_port_in_use_is_told_with_the_service_and_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = crate::exit::line(&ReservedPort::take("trainer", port).await.err().unwrap());
        for part in ["trainer", &port.to_string(), "in use", "--trainer-port"] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }
}
