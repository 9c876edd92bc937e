use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service_kit::{HttpConfig, telemetry::LogConfig};

/// The remembrancer's settings. Each has the environment variable `AI_MESH_REMEMBRANCER_<PATH>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How it listens, who may call, and the limits on every request.
    pub http: HttpConfig,
    /// What is logged.
    pub log: LogConfig,
    /// The PostgreSQL database that it owns, `postgres://user@host/name`.
    pub database_url: String,
    /// The folder of the signing key, which never goes into the database.
    pub data_dir: PathBuf,
    /// The log's name: the origin of its checkpoints and the name of its key. It never changes.
    pub log_name: String,
    /// The longest artifact, in bytes.
    pub artifact_limit_bytes: usize,
    /// The longest batch of decisions as a body, in bytes: 20,000 decisions fit into the default.
    pub batch_limit_bytes: usize,
    /// The most connections to the database.
    pub database_connections: u32,
    /// How long a request waits for a connection before it gets 503, in seconds.
    pub database_wait_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(8002),
            log: LogConfig::default(),
            database_url: "postgres://postgres@127.0.0.1/ai_mesh".into(),
            data_dir: "remembrancer-data".into(),
            log_name: "ai-mesh/log".into(),
            artifact_limit_bytes: 256 << 20,
            batch_limit_bytes: 32 << 20,
            database_connections: 16,
            database_wait_seconds: 5,
        }
    }
}
