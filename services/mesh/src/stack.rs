//! All four services in this process, with a PostgreSQL of their own or a given one.

mod data_dir;
mod database;
pub(crate) mod disk;
mod going_on;
mod idle_ledger;
mod ports;
mod service_settings;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use client::{ClientError, Endpoint};
use embedded_postgres::Cluster;
use remembrancer::signing::KeyFolder;
use service_kit::App;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use trainer::federation::Peer;

use data_dir::DataDir;
pub(crate) use data_dir::data_folder;
pub(crate) use database::without_password;
use database::{start_database, stop_database};
pub(crate) use going_on::going_on;
pub(crate) use idle_ledger::IdleLedger;
pub(crate) use ports::Ports;
use ports::ReservedPort;
use service_settings::{ServiceSettings, key};

/// The settings of a stack.
#[derive(Clone, Debug)]
pub(crate) struct StackSettings {
    /// The folder of the database and of the log's key; the user's data folder when absent.
    pub(crate) data_dir: Option<PathBuf>,
    /// A running PostgreSQL's database instead of one of its own.
    pub(crate) database_url: Option<String>,
    /// Where the services listen.
    pub(crate) ports: Ports,
    /// A file with settings of the services.
    pub(crate) config: Option<PathBuf>,
    /// A psi-field elsewhere, instead of one in this process.
    pub(crate) psi_field_url: Option<String>,
    /// Other nodes to learn with.
    pub(crate) federation: FederationArgs,
    /// The log, its witnesses, and the logs that it witnesses.
    pub(crate) log: LogSettings,
    /// Whether runs that an earlier stack left go on.
    pub(crate) resume: bool,
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
    key: Option<String>,
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
        let services = settings.services()?;
        let data_dir =
            DataDir::lock(settings.data_dir.clone().or_else(|| set_data_dir(&services.remembrancer)))?;
        // ports first, so that one in use is noticed at once and not after the database has started
        let ports = settings.take_ports(&services).await?;
        let database_url = settings.database_url.clone().or_else(|| set_database(&services.remembrancer));
        let (cluster, database_url) = start_database(database_url, &data_dir).await?;
        let watch = || AbortOnDropHandle::new(tokio::spawn(disk::watch(data_dir.path().to_owned())));
        let disk = cluster.is_some().then(watch);

        let mut stack = Self { services: Vec::new(), cluster, database_url, data_dir, _disk: disk };
        match stack.start_services(services, ports, settings.psi_field_url).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    /// Where and with which key one of the services is called.
    pub(crate) fn endpoint(&self, name: &str) -> Endpoint {
        let service = self.services.iter().find(|service| service.name == name);
        Endpoint::new(self.url(name)).with_api_key(service.and_then(|service| service.key.clone()))
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

    /// Starts them in the order in which they need each other.
    async fn start_services(
        &mut self,
        services: ServiceSettings,
        ports: TakenPorts,
        psi_field_elsewhere: Option<String>,
    ) -> anyhow::Result<()> {
        let ServiceSettings { psi_field, trainer, remembrancer, evaluator } = services;
        let ledger_key = key(&remembrancer.http);
        let ledger_url = ports.remembrancer.url.clone();
        let config = remembrancer::Config {
            http: ports.remembrancer.http.clone(),
            database_url: self.database_url.clone(),
            data_dir: self.data_dir.path().to_owned(),
            log_name: self.log_name(remembrancer.log_name.clone()),
            ..remembrancer
        };
        let stop = CancellationToken::new();
        let app = remembrancer::build(config, stop.clone()).await.context("remembrancer")?;
        self.serve(ports.remembrancer, app, stop).await?;

        let mut psi_field_key = trainer.psi_field_api_key.clone();
        let mut psi_field_url = psi_field_elsewhere.unwrap_or_default();
        if let Some(port) = ports.psi_field {
            psi_field_key = psi_field_key.or_else(|| key(&psi_field.http));
            psi_field_url.clone_from(&port.url);
            let config = psi_field::Config {
                http: port.http.clone(),
                remembrancer_url: Some(ledger_url.clone()),
                remembrancer_api_key: psi_field.remembrancer_api_key.clone().or_else(|| ledger_key.clone()),
                ..psi_field
            };
            let stop = CancellationToken::new();
            let app = psi_field::build(config, stop.clone()).await.context("psi-field")?;
            self.serve(port, app, stop).await?;
        }

        let config = trainer::Config {
            http: ports.trainer.http.clone(),
            remembrancer_url: ledger_url.clone(),
            remembrancer_api_key: trainer.remembrancer_api_key.clone().or_else(|| ledger_key.clone()),
            psi_field_url,
            psi_field_api_key: psi_field_key,
            data_dir: trainer.data_dir.clone().or_else(|| Some(self.data_dir.path().join("trainer"))),
            ..trainer
        };
        let stop = CancellationToken::new();
        let app = trainer::build(config, stop.clone()).await.context("trainer")?;
        self.serve(ports.trainer, app, stop).await?;

        let config = evaluator::Config {
            http: ports.evaluator.http.clone(),
            remembrancer_url: ledger_url,
            remembrancer_api_key: evaluator.remembrancer_api_key.clone().or(ledger_key),
            ..evaluator
        };
        let stop = CancellationToken::new();
        let app = evaluator::build(config, stop.clone()).await.context("evaluator")?;
        self.serve(ports.evaluator, app, stop).await
    }

    /// The log's name: the one that is asked for, else that of the folder's key. A key that cannot be read is told by the
    /// remembrancer.
    fn log_name(&self, asked: String) -> String {
        if asked != remembrancer::Config::default().log_name {
            return asked;
        }
        let kept = KeyFolder::at(self.data_dir.path()).key().ok().flatten();
        kept.map_or(asked, |key| key.name().to_owned())
    }

    /// Serves, and waits until it is ready; what is started later is stopped earlier.
    async fn serve(
        &mut self,
        place: ReservedPort,
        app: impl Into<App>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let ReservedPort { name, listener, url, http } = place;
        let task = tokio::spawn(service_kit::serve(listener, app.into(), http.deadlines(), stop.clone()));
        self.services.insert(0, Service { name, url: url.clone(), key: key(&http), stop, task });
        ready(name, || client::ready(Endpoint::new(url.clone()))).await
    }
}

impl StackSettings {
    /// The services' settings, with what was asked for over them.
    fn services(&self) -> anyhow::Result<ServiceSettings> {
        let mut services = ServiceSettings::read(self.config.as_deref())?;
        services.trainer.resume_runs &= self.resume;
        if !self.federation.peers.is_empty() {
            services.trainer.peers.clone_from(&self.federation.peers);
        }
        if self.federation.peers_api_key.is_some() {
            services.trainer.peers_api_key.clone_from(&self.federation.peers_api_key);
        }
        let (remembrancer, log) = (&mut services.remembrancer, &self.log);
        if let Some(name) = &log.name {
            remembrancer.log_name.clone_from(name);
        }
        if !log.witness_logs.is_empty() {
            remembrancer.witness_logs.clone_from(&log.witness_logs);
        }
        if log.trust_policy.is_some() {
            remembrancer.trust_policy.clone_from(&log.trust_policy);
        }
        Ok(services)
    }

    async fn take_ports(&self, services: &ServiceSettings) -> anyhow::Result<TakenPorts> {
        let (ports, default) = (&self.ports, ServiceSettings::default());
        let take = |name, port, http, default| ReservedPort::take(name, port, ports.usual, (http, default));
        let ServiceSettings { psi_field, trainer, remembrancer, evaluator } = services;
        Ok(TakenPorts {
            remembrancer: take(
                "remembrancer",
                ports.remembrancer,
                &remembrancer.http,
                &default.remembrancer.http,
            )
            .await?,
            psi_field: match &self.psi_field_url {
                None => {
                    Some(take("psi-field", ports.psi_field, &psi_field.http, &default.psi_field.http).await?)
                }
                Some(_) => None,
            },
            trainer: take("trainer", ports.trainer, &trainer.http, &default.trainer.http).await?,
            evaluator: take("evaluator", ports.evaluator, &evaluator.http, &default.evaluator.http).await?,
        })
    }
}

/// The ports of all services that are started here.
struct TakenPorts {
    remembrancer: ReservedPort,
    psi_field: Option<ReservedPort>,
    trainer: ReservedPort,
    evaluator: ReservedPort,
}

/// The folder that the settings name, where they name one.
fn set_data_dir(settings: &remembrancer::Config) -> Option<PathBuf> {
    let default = remembrancer::Config::default().data_dir;
    (settings.data_dir != default).then(|| settings.data_dir.clone())
}

/// The database that the settings name, where they name one.
fn set_database(settings: &remembrancer::Config) -> Option<String> {
    let default = remembrancer::Config::default().database_url;
    (settings.database_url != default).then(|| settings.database_url.clone())
}

/// How long a service may take until it can serve: the remembrancer compares its log with its tiles, the
/// trainer reads the runs that it resumes.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// The pauses between two questions whether a service is ready: they double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

async fn ready<F, Fut>(name: &str, ask: F) -> anyhow::Result<()>
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
            Err(error) if error.is_transient() && begun.elapsed() < READY_LIMIT => {
                tracing::debug!(service = name, %error, "not ready yet");
            }
            Err(error) => {
                let why = error.problem().map_or_else(|| error.to_string(), |problem| problem.detail.clone());
                return Err(anyhow!("{name} is not ready after {} s: {why}", begun.elapsed().as_secs()));
            }
        }
    }
}
