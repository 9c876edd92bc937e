//! The trainer as a process of its own. Its settings come from a TOML file (`--config FILE`) and the
//! environment (`AI_MESH_TRAINER_…`).

use std::{path::PathBuf, process::ExitCode};

use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    service_kit::run("trainer", async {
        let config: trainer::Config = service_kit::load_config("trainer", settings_file()?.as_deref())?;
        service_kit::telemetry::init(&config.log)?;
        let listener = service_kit::listen(&config.http).await?;
        let address = listener.local_addr()?;
        let grace = config.http.shutdown_grace();
        let shutdown = CancellationToken::new();
        let app = trainer::build(config, shutdown.clone()).await?;
        tracing::info!(%address, "trainer listens");
        let stop = shutdown.clone();
        tokio::spawn(async move {
            service_kit::shutdown_signal().await;
            stop.cancel();
        });
        service_kit::serve(listener, app, grace, shutdown).await?;
        Ok(())
    })
}

/// The file after `--config`.
fn settings_file() -> Result<Option<PathBuf>, service_kit::ConfigError> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => Ok(None),
        (Some(flag), Some(file), None) if flag == "--config" => Ok(Some(file.into())),
        _ => Err(service_kit::ConfigError::new("expected no arguments, or --config FILE")),
    }
}
