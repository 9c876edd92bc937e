use std::path::PathBuf;

use merkle_log::note::VerifierKey;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use service_kit::{HttpConfig, telemetry::LogConfig};
use utoipa::ToSchema;

/// The remembrancer's settings. Each has the environment variable `AI_MESH_REMEMBRANCER_<PATH>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How it listens; port 8002 by default.
    pub http: HttpConfig,
    /// What is logged, and how it looks.
    pub log: LogConfig,
    /// The PostgreSQL database, `postgres://user@host/name`. No other service may write to it.
    pub database_url: String,
    /// The folder of the log's signing key and of the witness's, which are never in the database.
    #[schema(value_type = String)]
    pub data_dir: PathBuf,
    /// The log's name, which every checkpoint and its key carry. It must never change.
    pub log_name: String,
    /// The verifier keys of the logs that this one cosigns as a witness, separated by commas. The keys of one log have one
    /// name, its origin, by which its checkpoints are told from those of others: no two logs may share it.
    #[serde(deserialize_with = "log_keys")]
    pub witness_logs: Vec<String>,
    /// The name of the witness, which its key and its cosignatures carry; none means the log's with `/witness` behind it.
    pub witness_name: Option<String>,
    /// The file of the log's own trust policy (C2SP tlog-policy). The cosignatures of its witnesses are kept, and
    /// `/checkpoint` is the last one that they are enough for; none means that no cosignatures are kept.
    #[schema(value_type = Option<String>)]
    pub trust_policy: Option<PathBuf>,
    /// The longest artifact in bytes.
    pub artifact_limit_bytes: usize,
    /// The longest body of a batch of decisions in bytes; 20,000 decisions fit into the default.
    pub batch_limit_bytes: usize,
    /// Connections to the database at most.
    pub database_connections: u32,
    /// Seconds that a request waits for a connection before it gets 503.
    pub database_wait_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(crate::INFO.port),
            log: LogConfig::default(),
            database_url: "postgres://postgres@127.0.0.1/ai_mesh".into(),
            data_dir: "remembrancer-data".into(),
            log_name: "ai-mesh/log".into(),
            witness_logs: Vec::new(),
            witness_name: None,
            trust_policy: None,
            artifact_limit_bytes: 256 << 20,
            batch_limit_bytes: 32 << 20,
            database_connections: 16,
            database_wait_seconds: 5,
        }
    }
}

/// A text that is no key would be a log that nobody witnesses.
fn log_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let keys = Vec::<String>::deserialize(deserializer)?;
    for key in &keys {
        VerifierKey::parse(key)
            .map_err(|error| D::Error::custom(format!("`{key}` is no log's key: {error}")))?;
    }
    Ok(keys)
}
