use std::{
    error::Error,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use remembrancer::{
    Config, build, database,
    fsck::{FsckError, fsck},
};
use service_kit::{
    ConfigError,
    cli::{self, Program},
};

/// The ledger of AI Mesh: every decision and record in one append-only log, provable offline.
#[derive(Parser)]
#[command(
    name = NAME,
    version = service_kit::VERSION,
    after_help = cli::after_help(NAME, &EXAMPLES),
    after_long_help = cli::after_long_help::<Config>(NAME, &EXAMPLES)
)]
struct Arguments {
    #[command(flatten)]
    common: cli::Arguments,
    /// The PostgreSQL database; stronger than the other settings.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Common(cli::Command),
    /// Compute every leaf, tile and root again from the rows.
    ///
    /// Exits with 0 when the log is intact, with 1 and the first difference when it is not.
    Fsck,
}

/// Reads the arguments and does what they ask for.
pub(crate) fn run() -> ExitCode {
    let Arguments { common, database_url, command } = Arguments::parse();
    let config = move || config(common.config.as_deref(), database_url);
    let command = match command {
        Some(Command::Fsck) => return service_kit::run(NAME, async { check(config()?).await }),
        Some(Command::Common(command)) => command,
        None => cli::Command::default(),
    };
    let program = Program { name: NAME, parts: |config: &Config| (&config.http, &config.log) };
    cli::run_command(program, command, config, build)
}

const NAME: &str = "remembrancer";

const EXAMPLES: [&str; 2] = [
    "remembrancer --database-url postgres://ai_mesh@db/ai_mesh",
    "remembrancer fsck --database-url postgres://ai_mesh@db/ai_mesh",
];

/// 0 when the log is intact, 1 when it is not.
async fn check(config: Config) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    service_kit::telemetry::init(&config.log)?;
    let pool = database::pool(&config)?;
    match fsck(&pool).await {
        Ok(report) => {
            // The exit code says it too; nobody need read this.
            let _ = writeln!(
                io::stdout(),
                "intact: {} leaves ({} decisions of {} runs{}, {} records), {} tiles, {} artifacts",
                report.leaves,
                report.decisions,
                report.runs,
                report.deleted_in_words(),
                report.records,
                report.tiles,
                report.artifacts
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(FsckError::Difference(difference)) => {
            let _ = writeln!(io::stdout(), "NOT intact: {difference}");
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(error.into()),
    }
}

fn config(file: Option<&Path>, database_url: Option<String>) -> Result<Config, ConfigError> {
    let mut config: Config = service_kit::load_config(NAME, file)?;
    if let Some(url) = database_url {
        config.database_url = url;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_common_arguments_and_those_of_its_own_go_together() {
        Arguments::command().debug_assert();
        let parse =
            |line: &str| Arguments::try_parse_from(line.split(' ')).map_err(|error| error.exit_code());
        let parsed = parse("remembrancer fsck --config a.toml --database-url postgres://db").unwrap();
        assert!(matches!(parsed.command, Some(Command::Fsck)));
        assert_eq!(parsed.common.config.as_deref(), Some(Path::new("a.toml")));
        assert_eq!(parsed.database_url.as_deref(), Some("postgres://db"));
        let parsed = parse("remembrancer healthcheck").unwrap();
        assert!(matches!(parsed.command, Some(Command::Common(cli::Command::Healthcheck))));
        assert!(parse("remembrancer").unwrap().command.is_none(), "it serves");
        assert_eq!(parse("remembrancer check").err(), Some(2));
    }
}
