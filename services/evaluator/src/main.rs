//! The evaluator as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tokio_util::sync::CancellationToken;

/// Judges policies on paired, held-out seeds.
///
/// Every setting has an environment variable, e.g. AI_MESH_EVALUATOR_REMEMBRANCER_URL.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// A TOML file with settings; the environment goes before it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    service_kit::run("evaluator", async move {
        let config: evaluator::Config = service_kit::load_config("evaluator", arguments.config.as_deref())?;
        service_kit::telemetry::init(&config.log)?;
        let listener = service_kit::listen(&config.http).await?;
        let shutdown = CancellationToken::new();
        let grace = config.http.shutdown_grace();
        let app = evaluator::build(config, shutdown.clone()).await?;
        let stop = shutdown.clone();
        tokio::spawn(async move {
            service_kit::shutdown_signal().await;
            stop.cancel();
        });
        service_kit::serve(listener, app, grace, shutdown).await?;
        Ok(())
    })
}
