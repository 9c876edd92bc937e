use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service_kit::{ConfigError, HttpConfig, telemetry::LogConfig};
use utoipa::ToSchema;

use crate::federation::Peer;

/// The trainer's settings. Each has an environment variable, `AI_MESH_TRAINER_<PATH>`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How it listens; port 8001 by default.
    pub http: HttpConfig,
    /// The remembrancer's address: it holds decisions, checkpoints and the records of runs.
    pub remembrancer_url: String,
    /// The remembrancer's address as callers of the trainer know it, for links to proofs; none means the same as
    /// `remembrancer_url`.
    pub remembrancer_public_url: Option<String>,
    /// The API key to send to the remembrancer.
    pub remembrancer_api_key: Option<String>,
    /// The address of psi-field.
    pub psi_field_url: String,
    /// The API key to send to psi-field.
    pub psi_field_api_key: Option<String>,
    /// Runs that are trained at the same time, at least 1, each in a thread of its own; the others are queued.
    pub max_concurrent_runs: usize,
    /// Runs that may be queued or trained at the same time, at least 1; one more is refused for now.
    pub max_unfinished_runs: usize,
    /// Whether runs that nobody plays are taken up, those of an earlier process too; else only those are played that are
    /// asked for here.
    pub resume_runs: bool,
    /// How long a run stays this trainer's after its last sign of life, in seconds, 1 to 3600. Another trainer on the
    /// same remembrancer takes over what nobody holds.
    pub lease_seconds: u64,
    /// Environments that callers may play at the same time (`POST /v1/environments`), each in a thread of its own; 0: none.
    pub max_environments: usize,
    /// An environment that was not used for so many seconds is deleted, 1 to 86400.
    pub environment_idle_seconds: u64,
    /// Other nodes to learn with, separated by commas: the verifier key of each one's log (`mesh federation status` there
    /// says it), `@`, and the address of its trainer.
    #[schema(value_type = Vec<String>)]
    pub peers: Vec<Peer>,
    /// The API key to send to them.
    pub peers_api_key: Option<String>,
    /// Seconds between two talks with one of them, 1 to 3600.
    pub gossip_seconds: u64,
    /// The folder of what must not be lost before the ledger has it: the journals of deployments that promise decisions, and
    /// the key that promises are signed with. No other trainer may use it; none means that this one promises nothing.
    #[schema(value_type = Option<String>)]
    pub data_dir: Option<PathBuf>,
    /// Decisions and records of a deployment that may wait for the ledger while they are promised, 2000 to 10,000,000; one
    /// more is refused for now.
    pub promise_buffer: u64,
    /// After how many decisions a deployment's next window begins with a checkpoint, 1 to 10,000,000: a start reads no more
    /// than about so many again.
    pub checkpoint_decisions: u64,
    /// What is logged, and how it looks.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(crate::INFO.port),
            remembrancer_url: "http://127.0.0.1:8002".into(),
            remembrancer_public_url: None,
            remembrancer_api_key: None,
            psi_field_url: "http://127.0.0.1:8000".into(),
            psi_field_api_key: None,
            max_concurrent_runs: 2,
            max_unfinished_runs: 1000,
            resume_runs: true,
            lease_seconds: 15,
            max_environments: 16,
            environment_idle_seconds: 600,
            peers: Vec::new(),
            peers_api_key: None,
            gossip_seconds: 1,
            data_dir: None,
            promise_buffer: 100_000,
            checkpoint_decisions: 20_000,
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// # Errors
    /// A number that nothing can be done with: which, what was expected, what was found.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let numbers = [
            ("max_concurrent_runs", self.max_concurrent_runs as u64, 1..=u64::MAX),
            ("max_unfinished_runs", self.max_unfinished_runs as u64, 1..=u64::MAX),
            ("lease_seconds", self.lease_seconds, 1..=3600),
            ("gossip_seconds", self.gossip_seconds, 1..=3600),
            ("environment_idle_seconds", self.environment_idle_seconds, 1..=86_400),
            ("promise_buffer", self.promise_buffer, 2000..=10_000_000),
            ("checkpoint_decisions", self.checkpoint_decisions, 1..=10_000_000),
        ];
        for (name, found, expected) in numbers {
            if !expected.contains(&found) {
                let expected = match (*expected.start(), *expected.end()) {
                    (least, u64::MAX) => format!("at least {least}"),
                    (least, most) => format!("{least} to {most}"),
                };
                return Err(ConfigError::new(format!("{name}: expected {expected}, found {found}")));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Config {
    /// Everything but the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("http", &self.http)
            .field("remembrancer_url", &self.remembrancer_url)
            .field("remembrancer_public_url", &self.remembrancer_public_url)
            .field("psi_field_url", &self.psi_field_url)
            .field("max_concurrent_runs", &self.max_concurrent_runs)
            .field("max_unfinished_runs", &self.max_unfinished_runs)
            .field("resume_runs", &self.resume_runs)
            .field("lease_seconds", &self.lease_seconds)
            .field("max_environments", &self.max_environments)
            .field("environment_idle_seconds", &self.environment_idle_seconds)
            .field("peers", &self.peers)
            .field("gossip_seconds", &self.gossip_seconds)
            .field("data_dir", &self.data_dir)
            .field("promise_buffer", &self.promise_buffer)
            .field("checkpoint_decisions", &self.checkpoint_decisions)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}
