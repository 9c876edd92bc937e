use garde::Validate as _;
use psi::{Settings, Weights};
use serde::{Deserialize, Serialize};
use service_kit::{ConfigError, HttpConfig, telemetry::LogConfig};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder},
};

/// With less a swarm of 10,000 agents would hardly fit.
const LEAST_BYTES: usize = 16 << 20;

/// The psi-field's settings. Each has an environment variable, `AI_MESH_PSI_FIELD_<PATH>`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How it listens; port 8000 by default.
    pub http: HttpConfig,
    /// The remembrancer's address: snapshots and interventions are recorded there. Without one, nothing survives
    /// this process.
    pub remembrancer_url: Option<String>,
    /// The API key to send to the remembrancer.
    pub remembrancer_api_key: Option<String>,
    /// Swarms kept in memory. The one that has been quiet for longest makes room, if the remembrancer has its
    /// state.
    pub max_swarms: usize,
    /// Bytes that all swarms together may take in memory, about. Beyond that those that have been quiet for longest make room,
    /// if the remembrancer has their state, and the one that grows keeps fewer answers.
    pub max_bytes: usize,
    /// Answers kept for each swarm whose trainer makes no checkpoints.
    pub retained_answers: usize,
    /// Seconds after which a swarm leaves memory of which no window came meanwhile; 0: never. Where there is a remembrancer, its
    /// state is stored there first, and it comes back when it is asked for; else it is gone.
    pub swarm_ttl_seconds: u64,
    /// The field's settings for new swarms; a swarm keeps those that it began with.
    #[schema(schema_with = field_schema)]
    pub field: Settings,
    /// What is logged, and how it looks.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(crate::INFO.port),
            remembrancer_url: None,
            remembrancer_api_key: None,
            max_swarms: 1000,
            max_bytes: 512 << 20,
            retained_answers: 20_000,
            swarm_ttl_seconds: 7 * 24 * 3600,
            field: Settings::default(),
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// Refuses values that no swarm can live with.
    ///
    /// # Errors
    /// Names the setting and what was expected.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.field.validate().map_err(|report| {
            let wrong: Vec<String> =
                report.iter().map(|(path, error)| format!("`field.{path}`: {error}")).collect();
            ConfigError::new(wrong.join("; "))
        })?;
        if self.field.anomaly_windows > self.field.anomaly_of {
            return Err(ConfigError::new(format!(
                "`field.anomaly_windows` is {}, more than `field.anomaly_of` ({}): no anomaly would ever be found",
                self.field.anomaly_windows, self.field.anomaly_of
            )));
        }
        if self.max_swarms == 0 || self.retained_answers == 0 {
            return Err(ConfigError::new("`max_swarms` and `retained_answers` must be at least 1"));
        }
        if self.max_bytes < LEAST_BYTES {
            let least = format!("`max_bytes` is {}: expected at least {LEAST_BYTES}", self.max_bytes);
            return Err(ConfigError::new(least));
        }
        Ok(())
    }
}

/// What the settings of the field do: their crate is pure, and has their comments but no schemas.
fn field_schema() -> Object {
    let weights = described(Weights::MEANINGS).build();
    described(Settings::MEANINGS).property("weights", weights).build()
}

fn described(meanings: &[(&str, &[&str])]) -> ObjectBuilder {
    meanings.iter().fold(ObjectBuilder::new(), |object, (name, lines)| {
        object.property(*name, ObjectBuilder::new().description(Some(lines.join(" "))))
    })
}

impl std::fmt::Debug for Config {
    /// Everything but the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("http", &self.http)
            .field("remembrancer_url", &self.remembrancer_url)
            .field("max_swarms", &self.max_swarms)
            .field("max_bytes", &self.max_bytes)
            .field("retained_answers", &self.retained_answers)
            .field("swarm_ttl_seconds", &self.swarm_ttl_seconds)
            .field("field", &self.field)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        assert!(Config::default().check().is_ok());
        let wrong = |change: fn(&mut Settings)| {
            let mut config = Config::default();
            change(&mut config.field);
            config.check().unwrap_err().to_string()
        };
        assert!(wrong(|s| s.epsilon_max = 2.0).contains("field.epsilon_max"));
        assert!(wrong(|s| s.weights.gain = -1.0).contains("field.weights.gain"));
        assert!(wrong(|s| s.anomaly_windows = 4).contains("field.anomaly_of"));
    }
}
