use std::path::PathBuf;

use serde::{Deserialize, Serialize};
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
    /// The folder of the log's signing key, which is never in the database.
    #[schema(value_type = String)]
    pub data_dir: PathBuf,
    /// The log's name, which every checkpoint and its key carry. It must never change.
    pub log_name: String,
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
            artifact_limit_bytes: 256 << 20,
            batch_limit_bytes: 32 << 20,
            database_connections: 16,
            database_wait_seconds: 5,
        }
    }
}
