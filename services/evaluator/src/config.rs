use serde::{Deserialize, Serialize};
use service_kit::{HttpConfig, telemetry::LogConfig};
use utoipa::ToSchema;

/// The evaluator's settings. Each has the environment variable `AI_MESH_EVALUATOR_<FIELD>`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How it listens; port 8003 by default.
    pub http: HttpConfig,
    /// The remembrancer's address: policies are read there, and results recorded.
    pub remembrancer_url: String,
    /// The API key to send to the remembrancer.
    pub remembrancer_api_key: Option<String>,
    /// Evaluations that run at the same time, at least 1; each uses all processors. The others are queued.
    pub max_concurrent_evaluations: usize,
    /// What is logged, and how it looks.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(8003),
            remembrancer_url: "http://127.0.0.1:8002".into(),
            remembrancer_api_key: None,
            max_concurrent_evaluations: 1,
            log: LogConfig::default(),
        }
    }
}
