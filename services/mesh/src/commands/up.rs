use std::path::PathBuf;

use clap::Args;
use client::{Remembrancer, Trainer};
use merkle_log::{
    note::{KeyError, VerifierKey},
    trust_policy::TrustPolicy,
};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    exit::{Answer, line, usage},
    feeding::{self, News},
    known_ledger::KnownLedger,
    known_logs::KnownLogsArgs,
    output::{note, say, say_json},
    runtime,
    stack::{FederationArgs, LogSettings, Ports, Stack, StackSettings, going_on},
};

/// Run all four services in this process, with a PostgreSQL of their own
///
/// Serves on 127.0.0.1 until SIGINT (Ctrl-C), SIGTERM or SIGHUP. Each service takes the settings that it has alone (docs/settings.md),
/// from --config and from the variables AI_MESH_…. The first start creates the database with this machine's
/// PostgreSQL server; it is restarted when it dies, and what was recorded survives.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh up
  mesh up --data-dir /srv/ai-mesh --port-base 9000
  mesh up --database-url postgres://ai_mesh@db.example/ai_mesh --trainer-port 18001
  mesh up --config stack.toml
  mesh up --port-base 9000 --data-dir node-b --peer ai-mesh.example/log+c3482a7f+AZCzqNDHB0LcM/BGSGyiF3YUwFBUSQm65eMZ1w0O4Iyh@http://127.0.0.1:8001
  mesh up --log-name a.example/log --policy witnesses.policy
  MESH_LOG=debug mesh up
  MESH_LOG_FORMAT=json mesh up 2> mesh.log")]
pub(crate) struct Up {
    /// The folder for the database and the log's signing key [default: ai-mesh in the user's data folder;
    /// /var/lib/ai-mesh as root]
    #[arg(long, value_name = "DIR", env = "MESH_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A database of a running PostgreSQL, instead of one of its own
    #[arg(long, value_name = "URL", env = "MESH_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A TOML file with settings of the services: a table for each, such as [trainer]. Variables such as
    /// AI_MESH_TRAINER_LEASE_SECONDS are stronger
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The port of psi-field; trainer, remembrancer and evaluator get the next three, and 0 gives all free ones [default: 8000,
    /// or what the services' settings say]
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
    /// The port of psi-field
    #[arg(long, value_name = "PORT")]
    psi_field_port: Option<u16>,
    /// The port of the trainer
    #[arg(long, value_name = "PORT")]
    trainer_port: Option<u16>,
    /// The port of the remembrancer
    #[arg(long, value_name = "PORT")]
    remembrancer_port: Option<u16>,
    /// The port of the evaluator
    #[arg(long, value_name = "PORT")]
    evaluator_port: Option<u16>,
    /// Leave runs as they are that an earlier stack left; else they go on
    #[arg(long)]
    no_resume: bool,
    /// Print the addresses as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    federation: FederationArgs,
    #[command(flatten)]
    witnesses: WitnessArgs,
    #[command(flatten)]
    known: KnownLogsArgs,
}

/// Who witnesses whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Witnesses")]
struct WitnessArgs {
    /// The log's name, by which witnesses know it; it is chosen when the log is new, and stays [default: the name that
    /// it has; ai-mesh/log for a new one]
    #[arg(long, value_name = "NAME", env = "MESH_LOG_NAME")]
    log_name: Option<String>,
    /// The verifier key of another log, whose checkpoints this stack cosigns as a witness; may be given several times
    #[arg(long = "witness-log", value_name = "KEY", value_parser = log_key)]
    witness_logs: Vec<String>,
    /// The trust policy with this log's witnesses (C2SP tlog-policy): their cosignatures are asked for every second in which
    /// the log has grown, and kept
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

fn log_key(text: &str) -> Result<String, KeyError> {
    VerifierKey::parse(text).map(|key| key.to_string())
}

/// Makes the log of the stack one that `mesh verify` knows.
async fn introduce(stack: &Stack, known: &KnownLogsArgs) -> anyhow::Result<()> {
    let remembrancer = Remembrancer::new(stack.endpoint("remembrancer"))?;
    let tell = |text: &str| tracing::info!("{text}"); // between the services' lines
    KnownLedger::meet(&remembrancer, known.file()?, true, tell).await.map(drop)
}

/// Says which runs go on by themselves; a stack that cannot say it serves nevertheless.
async fn announce(stack: &Stack) {
    let Ok(trainer) = Trainer::new(stack.endpoint("trainer")) else { return };
    match going_on(&trainer).await {
        Ok(lines) => lines.iter().for_each(|line| tracing::info!("{line}; --no-resume leaves it")),
        Err(error) => tracing::warn!(%error, "the trainer does not say which runs go on"),
    }
}

/// Asks the policy's witnesses for cosignatures until the handle is dropped.
fn feed(stack: &Stack, policy: &TrustPolicy) -> anyhow::Result<AbortOnDropHandle<()>> {
    let remembrancer = Remembrancer::new(stack.endpoint("remembrancer"))?;
    let feeder = feeding::feeder(&remembrancer, policy)?;
    let fed = feeding::keep_feeding(feeder, feeding::EVERY, News::trace);
    Ok(AbortOnDropHandle::new(tokio::spawn(fed)))
}

impl Up {
    /// Runs until it is asked to end.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let policy = self.witnesses.policy.as_deref().map(feeding::read_policy).transpose()?;
        let settings = StackSettings {
            ports: self.ports()?,
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            database_url: self.database_url.clone(),
            psi_field_url: None,
            federation: self.federation.clone(),
            log: LogSettings {
                name: self.witnesses.log_name.clone(),
                witness_logs: self.witnesses.witness_logs.clone(),
                trust_policy: self.witnesses.policy.clone(),
            },
            resume: !self.no_resume,
        };
        runtime::block_on("info", async {
            // a signal counts from the start on, while the database is being made too
            let signal = service_kit::shutdown_signal();
            tokio::pin!(signal);
            let mut stack = tokio::select! {
                stack = Stack::start(settings) => stack?,
                () = &mut signal => return Ok(Answer::Yes),
            };
            // those who ask it may doubt it: it serves them nevertheless
            if let Err(error) = introduce(&stack, &self.known).await {
                tracing::warn!("{}", line(&error));
            }
            let _feeding = match policy.map(|policy| feed(&stack, &policy)).transpose() {
                Ok(feeding) => feeding,
                Err(error) => {
                    stack.stop().await;
                    return Err(error);
                }
            };
            let told = self.tell(&stack);
            if !self.no_resume {
                announce(&stack).await;
            }
            let ended = match told {
                Err(error) => Err(error),
                Ok(()) => tokio::select! {
                    () = &mut signal => Ok(Answer::Yes),
                    error = stack.failed() => Err(error),
                },
            };
            stack.stop().await;
            note("AI Mesh is down.");
            ended
        })
    }

    fn ports(&self) -> anyhow::Result<Ports> {
        let port = |own: Option<u16>, offset: u16| match (own, self.port_base) {
            (None, Some(0)) => Ok(Some(0)), // free ones
            (None, Some(base)) => base
                .checked_add(offset)
                .map(Some)
                .ok_or_else(|| usage(format!("--port-base {base}: expected at most 65532"))),
            (own, _) => Ok(own),
        };
        Ok(Ports {
            psi_field: port(self.psi_field_port, 0)?,
            trainer: port(self.trainer_port, 1)?,
            remembrancer: port(self.remembrancer_port, 2)?,
            evaluator: port(self.evaluator_port, 3)?,
            usual: true,
        })
    }

    fn tell(&self, stack: &Stack) -> anyhow::Result<()> {
        let in_order = ["psi-field", "trainer", "remembrancer", "evaluator"];
        if self.json {
            let services: serde_json::Map<String, serde_json::Value> = in_order
                .iter()
                .map(|name| {
                    let url = stack.url(name);
                    ((*name).to_owned(), json!({"url": url, "docs": format!("{url}/docs")}))
                })
                .collect();
            return say_json(&json!({
                "services": services,
                "database_url": stack.shown_database_url(),
                "data_dir": stack.data_dir(),
            }));
        }
        let mut text = String::from("AI Mesh is up.\n");
        for name in in_order {
            let url = stack.url(name);
            text.push_str(&format!("  {name:<13} {url}   docs: {url}/docs\n"));
        }
        text.push_str(&format!("  {:<13} {}\n", "database", stack.shown_database_url()));
        text.push_str(&format!("  {:<13} {}\n", "data", stack.data_dir().display()));
        text.push_str("Ctrl-C stops it.");
        say(&text)
    }
}
