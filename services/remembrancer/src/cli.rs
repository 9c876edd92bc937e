use std::{
    error::Error,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use remembrancer::{
    Config, build, database,
    fsck::{FsckError, fsck},
};
use tokio_util::sync::CancellationToken;

/// The ledger of AI Mesh: every decision and record in one append-only log, provable offline.
///
/// Every setting has an environment variable AI_MESH_REMEMBRANCER_<NAME>.
#[derive(Parser)]
#[command(
    name = "remembrancer",
    version,
    after_help = "Examples:
  remembrancer --database-url postgres://ai_mesh@db/ai_mesh
  remembrancer --config /etc/ai-mesh/remembrancer.toml
  remembrancer fsck --database-url postgres://ai_mesh@db/ai_mesh"
)]
struct Arguments {
    /// A TOML file with settings.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The PostgreSQL database; stronger than the file.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API until SIGTERM or SIGINT (the default).
    Serve,
    /// Compute every leaf, tile and root again from the rows.
    ///
    /// Exits with 0 when the log is intact, with 1 and the first difference when it is not.
    Fsck,
}

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Reads the arguments and does what they ask for.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        None | Some(Command::Serve) => service_kit::run("remembrancer", serve(arguments)),
        Some(Command::Fsck) => {
            let mut intact = true;
            let code = service_kit::run("remembrancer", async {
                intact = check(arguments).await?;
                Ok(())
            });
            if intact { code } else { ExitCode::from(1) }
        }
    }
}

async fn serve(arguments: Arguments) -> Outcome<()> {
    let config = config(&arguments)?;
    service_kit::telemetry::init(&config.log)?;
    let listener = service_kit::listen(&config.http).await?;
    let grace = config.http.shutdown_grace();
    let app = build(config).await?;
    tracing::info!(address = %listener.local_addr()?, "serving; documents are under /docs");
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        service_kit::shutdown_signal().await;
        stop.cancel();
    });
    service_kit::serve(listener, app, grace, shutdown).await?;
    Ok(())
}

/// True when the log is intact.
async fn check(arguments: Arguments) -> Outcome<bool> {
    let config = config(&arguments)?;
    service_kit::telemetry::init(&config.log)?;
    let pool = database::pool(&config)?;
    match fsck(&pool).await {
        Ok(report) => {
            writeln!(
                io::stdout(),
                "intact: {} leaves ({} decisions of {} runs, {} records), {} tiles, {} artifacts",
                report.leaves,
                report.decisions,
                report.runs,
                report.records,
                report.tiles,
                report.artifacts
            )?;
            Ok(true)
        }
        Err(FsckError::Difference(difference)) => {
            writeln!(io::stdout(), "NOT intact: {difference}")?;
            Ok(false)
        }
        Err(FsckError::Unreadable(error)) => Err(error.into()),
    }
}

fn config(arguments: &Arguments) -> Outcome<Config> {
    let mut config: Config = service_kit::load_config("remembrancer", arguments.config.as_deref())?;
    if let Some(url) = &arguments.database_url {
        config.database_url.clone_from(url);
    }
    Ok(config)
}
