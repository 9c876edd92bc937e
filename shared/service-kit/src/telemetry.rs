//! Logs: to standard error, so that standard output stays the program's answer.

use std::io::{self, IsTerminal as _};

use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};
use utoipa::ToSchema;

use crate::ConfigError;

/// What is logged, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by target, such as
    /// `warn,trainer=debug`.
    pub filter: String,
    /// How a line looks: `pretty` for people, `json` for machines.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Pretty }
    }
}

/// Installs the process's logger. The first call counts; a later one changes nothing, so that four
/// services in one process and tests may all call it.
///
/// # Errors
/// The filter is not in the syntax.
pub fn init(config: &LogConfig) -> Result<(), ConfigError> {
    init_to(config, io::stderr)
}

/// The same with lines that go elsewhere, in colour where standard error is a terminal: each is written at once.
///
/// # Errors
/// As [`init`].
pub fn init_to<W>(config: &LogConfig, writer: W) -> Result<(), ConfigError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // PostgreSQL notes at each start that what the start would make is there already
    let filter = format!("sqlx::postgres::notice=warn,{}", config.filter);
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        ConfigError::new(format!(
            "log.filter `{}`: {error}; expected a level (`error`, `warn`, `info`, `debug`, `trace`) or \
             `target=level` pairs with commas",
            config.filter
        ))
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    // The only error is that a logger is there already.
    let _ = match config.format {
        LogFormat::Pretty => registry.with(lines.with_ansi(io::stderr().is_terminal())).try_init(),
        // One span, the request: a list of spans beside it would tell everything twice.
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named_with_what_was_expected() {
        let config = LogConfig { filter: "trainer=loud".into(), ..LogConfig::default() };
        let error = init(&config).unwrap_err().to_string();
        assert!(error.contains("log.filter `trainer=loud`") && error.contains("`debug`"), "{error}");
    }
}
