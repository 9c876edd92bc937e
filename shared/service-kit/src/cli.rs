//! The command line that all services share: `<service> [--config FILE] [serve | healthcheck]`.
//!
//! A service's `main` is one call of [`main`]; one with more arguments flattens [`Arguments`] into its own
//! and calls [`run_command`].

use std::{error::Error, fmt::Write as _, future::Future, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{
    App, ConfigError, HttpConfig, Setting,
    healthcheck::healthcheck,
    listen, load_config, run, serve,
    server::Signals,
    settings::{prefix, settings},
    telemetry::{self, LogConfig},
};

/// What tells one service's program from another's.
#[derive(Clone, Copy, Debug)]
pub struct Program<C> {
    /// The name in its settings, e.g. `psi-field`; also that of the binary.
    pub name: &'static str,
    /// The parts of the settings that every service has.
    pub parts: fn(&C) -> (&HttpConfig, &LogConfig),
}

/// The arguments that every service takes.
#[derive(Args, Clone, Debug)]
#[group(skip)] // a service's own struct may have the same name, which would be the group's
pub struct Arguments {
    /// A TOML file with settings; the environment is stronger.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What every service can be told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT (the default).
    ///
    /// The signal lets running requests end (`http.shutdown_grace_seconds`); a second one cuts them off.
    #[default]
    Serve,
    /// Ask the running service, at its configured address, whether it is ready.
    ///
    /// Exits with 0 when it is, 1 with what is missing when it is not, 3 when it does not answer in 3 s.
    Healthcheck,
}

/// Parses the arguments and does what they ask for.
///
/// `about` says what the service is for, in a sentence; `build` makes it. What works in the background is to stop when its token is cancelled.
///
/// ```no_run
/// # #[derive(Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
/// # struct Config { http: service_kit::HttpConfig, log: service_kit::telemetry::LogConfig }
/// # fn build(_: Config) -> Result<axum::Router, service_kit::ConfigError> { Ok(axum::Router::new()) }
/// fn main() -> std::process::ExitCode {
///     let program = service_kit::cli::Program {
///         name: "trainer",
///         parts: |config: &Config| (&config.http, &config.log),
///     };
///     service_kit::cli::main(program, "Trains swarms.", |config, _shutdown| async { build(config) })
/// }
/// ```
pub fn main<C, F, A, E>(
    program: Program<C>,
    about: &'static str,
    build: impl FnOnce(C, CancellationToken) -> F,
) -> ExitCode
where
    C: Serialize + DeserializeOwned + Default + ToSchema,
    F: Future<Output = Result<A, E>>,
    A: Into<App>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let name = program.name;
    let matches = WholeLine::command()
        .name(name)
        .about(about)
        .after_help(after_help(name, &[]))
        .after_long_help(after_long_help::<C>(name, &[]))
        .get_matches();
    let WholeLine { arguments, command } =
        WholeLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let config = move || load_config(name, arguments.config.as_deref());
    run_command(program, command.unwrap_or_default(), config, build)
}

/// Does what one of the common commands asks for, with these settings.
pub fn run_command<C, F, A, E>(
    program: Program<C>,
    command: Command,
    config: impl FnOnce() -> Result<C, ConfigError>,
    build: impl FnOnce(C, CancellationToken) -> F,
) -> ExitCode
where
    F: Future<Output = Result<A, E>>,
    A: Into<App>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    run(program.name, async {
        let config = config()?;
        let (http, log) = (program.parts)(&config);
        match command {
            Command::Healthcheck => healthcheck(program.name, http).await,
            Command::Serve => {
                telemetry::init(log)?;
                let http = http.clone();
                serve_until_signalled(program.name, &http, |shutdown| build(config, shutdown)).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// The end of `-h`: examples, those of the service's own too, and exit codes.
#[must_use]
pub fn after_help(name: &str, more_examples: &[&str]) -> String {
    let mut text = format!(
        "Examples:\n  {name}\n  {name} --config /etc/ai-mesh/{name}.toml\n  {prefix}HTTP_BIND=127.0.0.1:9000 {name}\n  \
         {name} healthcheck\n",
        prefix = prefix(name)
    );
    for example in more_examples {
        // Writing to a string never fails.
        let _ = writeln!(text, "  {example}");
    }
    text.push_str("\nExit codes: 0 good, 1 the answer is no, 2 wrong usage or settings, 3 could not.");
    text
}

/// The end of `--help`: [`after_help`], and every setting with its environment variable, default and meaning.
#[must_use]
pub fn after_long_help<C: Serialize + Default + ToSchema>(name: &str, more_examples: &[&str]) -> String {
    let mut text = after_help(name, more_examples);
    text.push_str("\n\nSettings (in the file HTTP_BIND is `bind` under `[http]`):");
    for Setting { variable, default, meaning, .. } in settings::<C>(name) {
        let default = if default.is_empty() { "none" } else { &default };
        let _ = write!(text, "\n  {variable} [default: {default}]\n      {meaning}");
    }
    text
}

/// The whole command line of a service without more arguments.
#[derive(Parser)]
#[command(version = crate::VERSION)]
struct WholeLine {
    #[command(flatten)]
    arguments: Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

async fn serve_until_signalled<F, A, E>(
    name: &str,
    http: &HttpConfig,
    build: impl FnOnce(CancellationToken) -> F,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    F: Future<Output = Result<A, E>>,
    A: Into<App>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    // Watched from the start: a process with the id 1 that does not handle SIGTERM cannot be ended by it.
    let (shutdown, now) = (CancellationToken::new(), CancellationToken::new());
    let tokens = [shutdown.clone(), now.clone()];
    let mut signals = Signals::watch();
    tokio::spawn(async move {
        for token in tokens {
            signals.next().await;
            token.cancel();
        }
    });
    let listener = listen(http).await?;
    let address = listener.local_addr()?;
    let Some(app) = shutdown.run_until_cancelled(build(shutdown.clone())).await else { return Ok(()) };
    let app = app.map_err(Into::into)?;
    tracing::info!(service = name, %address, "serving; its documents are at http://{address}/docs");
    tokio::select! {
        served = serve(listener, app, http.deadlines(), shutdown) => served?,
        () = now.cancelled() => tracing::warn!(service = name, "a second signal: running requests are cut off"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_serves_by_default() {
        WholeLine::command().debug_assert();
        let parse =
            |line: &str| WholeLine::try_parse_from(line.split(' ')).map_err(|error| error.exit_code());
        let parsed = parse("x --config a.toml").unwrap();
        assert_eq!(parsed.arguments.config.as_deref(), Some(Path::new("a.toml")));
        assert_eq!(parsed.command.unwrap_or_default(), Command::Serve);
        let parsed = parse("x healthcheck --config a.toml").unwrap();
        assert_eq!(parsed.arguments.config.as_deref(), Some(Path::new("a.toml")));
        assert_eq!(parsed.command, Some(Command::Healthcheck));
        for wrong in ["x --port 1", "x start", "x --config"] {
            assert_eq!(parse(wrong).err(), Some(2), "{wrong}");
        }
    }

    #[test]
    fn the_help_names_every_setting_with_its_variable_default_and_meaning() {
        let help = after_long_help::<HttpConfig>("psi-field", &["psi-field dance"]);
        for part in [
            "AI_MESH_PSI_FIELD_REQUESTS_PER_SECOND [default: 0]\n",
            "  psi-field dance\n",
            "[default: 127.0.0.1:0]\n      The address to listen on",
            "3 could not",
        ] {
            assert!(help.contains(part), "{part:?} is not in\n{help}");
        }
        let settings = serde_json::to_value(HttpConfig::default()).unwrap();
        let count = help.lines().filter(|line| line.contains("AI_MESH_PSI_FIELD_")).count();
        assert_eq!(count, settings.as_object().unwrap().len() + 1, "the settings, and one example");
    }
}
