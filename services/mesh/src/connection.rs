//! The services that a command talks to: a running stack, or one of its own.

use std::path::PathBuf;

use client::{Endpoint, Evaluator, Remembrancer, Trainer};

use crate::{
    exit::usage,
    known_ledger::KnownLedger,
    known_logs::KnownLogsArgs,
    output::note,
    stack::{FederationArgs, LogSettings, Ports, Stack, StackSettings, without_password},
};

/// Flags that name the services.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct StackArgs {
    /// The trainer of a running stack
    #[arg(long, value_name = "URL", env = "MESH_TRAINER_URL")]
    pub(crate) trainer: Option<String>,
    /// The remembrancer of a running stack
    #[arg(long, value_name = "URL", env = "MESH_REMEMBRANCER_URL")]
    pub(crate) remembrancer: Option<String>,
    /// The evaluator of a running stack
    #[arg(long, value_name = "URL", env = "MESH_EVALUATOR_URL")]
    pub(crate) evaluator: Option<String>,
    /// The API key of the running stack
    #[arg(long, value_name = "KEY", env = "MESH_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
    /// The folder for the database and the log's signing key of a stack of its own
    #[arg(long, value_name = "DIR", env = "MESH_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A database of a running PostgreSQL, for a stack of its own
    #[arg(long, value_name = "URL", env = "MESH_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    #[command(flatten)]
    pub(crate) known: KnownLogsArgs,
}

/// Which services there must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Remembrancer and evaluator.
    Evaluation,
    /// The trainer too.
    Training,
}

/// Clients of the services, and the stack if it is this process's own.
pub(crate) struct Connection {
    pub(crate) trainer: Option<Trainer>,
    pub(crate) remembrancer: Remembrancer,
    pub(crate) evaluator: Evaluator,
    pub(crate) stack: Option<Stack>,
    /// The remembrancer's log, as it is known.
    pub(crate) ledger: KnownLedger,
}

impl StackArgs {
    /// True when a running stack is named.
    pub(crate) fn is_remote(&self, needs: Needs) -> bool {
        self.remembrancer.is_some()
            || self.evaluator.is_some()
            || (needs == Needs::Training && self.trainer.is_some())
    }

    /// Refuses a stack that is named in part, and flags that decide nothing.
    pub(crate) fn check(&self, needs: Needs) -> anyhow::Result<()> {
        if !self.is_remote(needs) && !self.of_running()[0].is_by_hand() {
            return refuse(
                &self.of_running(),
                "only beside --trainer, --remembrancer and --evaluator: no running stack is named",
            );
        }
        refuse(
            &self.of_own(),
            "only for a stack of its own: a running one is named, by a flag or a variable (MESH_…_URL)",
        )?;
        let mut missing = Vec::new();
        if needs == Needs::Training && self.trainer.is_none() {
            missing.push("--trainer (MESH_TRAINER_URL)");
        }
        if self.remembrancer.is_none() {
            missing.push("--remembrancer (MESH_REMEMBRANCER_URL)");
        }
        if self.evaluator.is_none() {
            missing.push("--evaluator (MESH_EVALUATOR_URL)");
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(usage(format!(
            "only a part of a running stack is named: give {} too, or none of them to start a stack of its own",
            missing.join(" and ")
        )))
    }

    /// Whether any services are named: those of a running stack, or what a stack of its own is to keep.
    pub(crate) fn is_named(&self, needs: Needs) -> bool {
        self.is_remote(needs) || self.data_dir.is_some() || self.database_url.is_some()
    }

    /// Refuses every one of the flags.
    pub(crate) fn refuse_all(&self, expected: &str) -> anyhow::Result<()> {
        let known = Flag::new("--known-logs", "MESH_KNOWN_LOGS", shown(&self.known.known_logs));
        let all: Vec<Flag> = self.of_running().into_iter().chain(self.of_own()).chain([known]).collect();
        refuse(&all, expected)
    }

    fn of_running(&self) -> [Flag; 4] {
        [
            Flag::new("--trainer", "MESH_TRAINER_URL", self.trainer.clone()),
            Flag::new("--remembrancer", "MESH_REMEMBRANCER_URL", self.remembrancer.clone()),
            Flag::new("--evaluator", "MESH_EVALUATOR_URL", self.evaluator.clone()),
            Flag::new("--api-key", "MESH_API_KEY", self.api_key.clone()),
        ]
    }

    fn of_own(&self) -> [Flag; 2] {
        [
            Flag::new("--data-dir", "MESH_DATA_DIR", shown(&self.data_dir)),
            Flag::new("--database-url", "MESH_DATABASE_URL", self.database_url.clone()),
        ]
    }

    /// Connects to the running stack, or starts one, in which runs that an earlier one left do not go on.
    pub(crate) async fn connect(&self, needs: Needs) -> anyhow::Result<Connection> {
        self.connect_resuming(needs, None, false).await
    }

    /// The same with a psi-field elsewhere, and with the choice whether runs go on that an earlier stack left.
    pub(crate) async fn connect_resuming(
        &self,
        needs: Needs,
        psi_field_url: Option<String>,
        resume: bool,
    ) -> anyhow::Result<Connection> {
        self.check(needs)?;
        if self.is_remote(needs) {
            let endpoint = |url: &Option<String>| {
                Endpoint::new(url.clone().unwrap_or_default()).with_api_key(self.api_key.clone())
            };
            let remembrancer = Remembrancer::new(endpoint(&self.remembrancer))?;
            return Ok(Connection {
                trainer: self.trainer.as_ref().map(|_| Trainer::new(endpoint(&self.trainer))).transpose()?,
                ledger: KnownLedger::meet(&remembrancer, self.known.file()?, false, note).await?,
                remembrancer,
                evaluator: Evaluator::new(endpoint(&self.evaluator))?,
                stack: None,
            });
        }
        let known = self.known.file()?;
        let settings = StackSettings {
            data_dir: self.data_dir.clone(),
            database_url: self.database_url.clone(),
            ports: Ports::default(),
            config: None,
            psi_field_url,
            federation: FederationArgs::default(),
            log: LogSettings::default(),
            resume,
        };
        let stack = Stack::start(settings).await?;
        let remembrancer = Remembrancer::new(stack.endpoint("remembrancer"))?;
        let ledger = match KnownLedger::meet(&remembrancer, known, true, note).await {
            Ok(ledger) => ledger,
            Err(error) => {
                stack.stop().await;
                return Err(error);
            }
        };
        Ok(Connection {
            trainer: Some(Trainer::new(stack.endpoint("trainer"))?),
            ledger,
            remembrancer,
            evaluator: Evaluator::new(stack.endpoint("evaluator"))?,
            stack: Some(stack),
        })
    }

    /// The flags that were given, for a training that is to be repeated; what is secret is not among them.
    pub(crate) fn to_flags(&self) -> Vec<String> {
        let [trainer, remembrancer, evaluator, _key] = self.of_running();
        let [data_dir, mut database_url] = self.of_own();
        database_url.value = database_url.value.filter(|url| !has_password(url));
        let known = Flag::new("--known-logs", "MESH_KNOWN_LOGS", shown(&self.known.known_logs));
        let flags = if self.is_remote(Needs::Training) {
            vec![trainer, remembrancer, evaluator, known]
        } else {
            vec![data_dir, database_url, known]
        };
        flags.into_iter().filter_map(|flag| Some([flag.name.to_owned(), flag.value?])).flatten().collect()
    }

    /// The variables with what is secret, which a command that is to be repeated needs too.
    pub(crate) fn secrets(&self) -> Vec<&'static str> {
        let url = self.database_url.as_ref().is_some_and(|url| has_password(url));
        let key = self.api_key.as_ref().is_some_and(|key| !key.is_empty());
        [url.then_some("MESH_DATABASE_URL"), key.then_some("MESH_API_KEY")].into_iter().flatten().collect()
    }
}

/// A flag, and the variable that says the same to every command.
struct Flag {
    name: &'static str,
    variable: &'static str,
    value: Option<String>,
}

impl Flag {
    fn new(name: &'static str, variable: &'static str, value: Option<String>) -> Self {
        Self { name, variable, value }
    }

    /// True when it says what its variable does not.
    fn is_by_hand(&self) -> bool {
        self.value.is_some() && std::env::var(self.variable).ok() != self.value
    }
}

/// Refuses flags that were given by hand, and would decide nothing. Variables are for all commands and may stay.
fn refuse(flags: &[Flag], expected: &str) -> anyhow::Result<()> {
    let names: Vec<&str> = flags.iter().filter(|flag| flag.is_by_hand()).map(|flag| flag.name).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(usage(format!("{}: expected {expected}", names.join(", "))))
}

fn shown(path: &Option<PathBuf>) -> Option<String> {
    path.as_ref().map(|path| path.display().to_string())
}

fn has_password(url: &str) -> bool {
    without_password(url) != url
}

impl Connection {
    /// Stops the stack, if it is this process's own.
    pub(crate) async fn close(self) {
        if let Some(stack) = self.stack {
            stack.stop().await;
        }
    }
}

/// Waits until a service of the stack ends by itself; for ever without a stack.
pub(crate) async fn stack_failed(stack: &mut Option<Stack>) -> anyhow::Error {
    match stack {
        Some(stack) => stack.failed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_to_be_repeated_names_the_database_but_not_its_password() {
        let stack = |url: &str| StackArgs { database_url: Some(url.into()), ..StackArgs::default() };
        let open = stack("postgres://u@host/db");
        assert_eq!(open.to_flags(), ["--database-url", "postgres://u@host/db"]);
        assert!(open.secrets().is_empty());
        let secret = StackArgs { api_key: Some("k".into()), ..stack("postgres://u:secret@host/db") };
        assert!(secret.to_flags().is_empty());
        let url = Some("http://a".to_owned());
        let running = StackArgs { remembrancer: url, data_dir: Some("d".into()), ..StackArgs::default() };
        assert_eq!(running.to_flags(), ["--remembrancer", "http://a"]);
        assert_eq!(secret.secrets(), ["MESH_DATABASE_URL", "MESH_API_KEY"]);
    }
}
