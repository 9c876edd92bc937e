//! The runtime of commands that talk to services.

use std::time::Duration;

use anyhow::Context as _;
use service_kit::telemetry::{self, LogConfig, LogFormat};

use crate::{exit::usage, progress::AboveBars};

/// Runs a command on a runtime of its own. What is logged says `MESH_LOG`, else `filter`; how, says `MESH_LOG_FORMAT`
/// (`pretty` or `json`).
pub(crate) fn block_on<T>(
    filter: &str,
    command: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let filter = std::env::var("MESH_LOG").unwrap_or_else(|_| filter.to_owned());
    let format = match std::env::var("MESH_LOG_FORMAT").as_deref() {
        Err(_) | Ok("pretty") => LogFormat::Pretty,
        Ok("json") => LogFormat::Json,
        Ok(other) => return Err(usage(format!("MESH_LOG_FORMAT is `{other}`: expected `pretty` or `json`"))),
    };
    telemetry::init_to(&LogConfig { filter, format }, || AboveBars)
        .map_err(|error| usage(format!("MESH_LOG: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime's threads")?;
    let result = runtime.block_on(command);
    // a blocking task that never ends must not keep the process
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}
