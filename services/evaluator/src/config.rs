use serde::{Deserialize, Serialize};
use service_kit::{HttpConfig, telemetry::LogConfig};

/// The evaluator's settings. Each has the environment variable `AI_MESH_EVALUATOR_<FIELD>`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How it listens; port 8003 by default.
    pub http: HttpConfig,
    /// Where the remembrancer is: policies come from there and results go there.
    pub remembrancer_url: String,
    /// The key that the remembrancer wants, if it wants one.
    pub remembrancer_api_key: Option<String>,
    /// How many evaluations are at work at once, at least 1. Each uses all processors.
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
