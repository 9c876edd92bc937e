//! The psi-field service's program.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use psi_field::{Config, build};
use tokio_util::sync::CancellationToken;

/// Watches over swarms: metrics of each window in, the field's state and interventions out.
///
/// Settings come from defaults, over them the file, over them the environment (`AI_MESH_PSI_FIELD_…`).
#[derive(Parser)]
#[command(name = "psi-field", version, after_help = "Example: psi-field --config psi-field.toml")]
struct Arguments {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    service_kit::run("psi-field", async move {
        let config: Config = service_kit::load_config("psi-field", arguments.config.as_deref())?;
        service_kit::telemetry::init(&config.log)?;
        let app = build(config.clone())?;
        let listener = service_kit::listen(&config.http).await?;
        tracing::info!(address = %listener.local_addr()?, "psi-field listens");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            service_kit::shutdown_signal().await;
            stop.cancel();
        });
        service_kit::serve(listener, app, config.http.shutdown_grace(), shutdown).await?;
        Ok(())
    })
}
