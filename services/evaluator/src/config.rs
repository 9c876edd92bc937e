use serde::{Deserialize, Serialize};
use service_kit::{ConfigError, HttpConfig, telemetry::LogConfig};
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
    /// Seconds for which an evaluation stays this evaluator's after its last sign of life, 1 to 3600. Then another
    /// evaluator on the same remembrancer takes it over.
    pub lease_seconds: u64,
    /// What is logged, and how it looks.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(crate::INFO.port),
            remembrancer_url: "http://127.0.0.1:8002".into(),
            remembrancer_api_key: None,
            max_concurrent_evaluations: 1,
            lease_seconds: 15,
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// Refuses values that no evaluator can work with.
    ///
    /// # Errors
    /// Names the setting and what was expected.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.max_concurrent_evaluations == 0 {
            return Err(ConfigError::new("max_concurrent_evaluations is 0: expected at least 1"));
        }
        if !(1..=3600).contains(&self.lease_seconds) {
            return Err(ConfigError::new(format!(
                "lease_seconds is {}: expected 1 to 3600",
                self.lease_seconds
            )));
        }
        Ok(())
    }
}
