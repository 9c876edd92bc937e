//! The command line of AI Mesh.

mod audit;
#[cfg(test)]
mod cli_document;
mod commands;
#[cfg(test)]
mod compose_files;
mod connection;
mod detection;
#[cfg(test)]
mod documented_commands;
mod environment;
mod evaluation;
mod exit;
mod feeding;
mod files;
mod hints;
mod interrupts;
mod known_ledger;
mod known_logs;
mod output;
mod policy_command;
mod preference;
mod progress;
mod remote;
mod runtime;
mod simulation;
mod stack;
mod training;
mod verification;
mod visualization;
mod whole_numbers;
mod wrapping;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Trains swarms of routing agents, proves what they decided, and says how good they are.
///
/// Exit codes: 0 success, 1 the answer is no, 2 wrong usage, 3 the work could not be done; of `verify` also 4 unknown key,
/// 5 not canonical, 6 not evidence.
#[derive(Parser)]
#[command(name = "mesh", version = service_kit::VERSION, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(commands::up::Up),
    Proxy(commands::proxy::Proxy),
    Train(Box<commands::train::Train>),
    MetaTrain(commands::meta_train::MetaTrain),
    Evaluate(commands::evaluate::Evaluate),
    Pareto(commands::pareto::Pareto),
    Visualize(commands::visualize::Visualize),
    Simulate(commands::simulate::Simulate),
    Detect(commands::detect::Detect),
    Prove(commands::prove::Prove),
    Verify(commands::verify::Verify),
    Witness(commands::witness::Witness),
    Runs(commands::runs::Runs),
    Watch(commands::watch::Watch),
    Interventions(commands::interventions::Interventions),
    Deploy(commands::deploy::Deploy),
    Record(commands::record::Record),
    Query(Box<commands::query::Query>),
    Key(commands::key::Key),
    #[command(name = "api-key")]
    ApiKeys(commands::api_key::ApiKeys),
    Federation(commands::federation::Federation),
    Fsck(commands::fsck::Fsck),
    Backup(commands::backup::Backup),
    Restore(commands::backup::Restore),
    Completions(commands::completions::Completions),
    Man(commands::completions::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(whole_numbers::spelled(Cli::command(), std::env::args_os()));
    exit::code(match cli.command {
        Command::Up(command) => command.run(),
        Command::Proxy(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::MetaTrain(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Pareto(command) => command.run(),
        Command::Visualize(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Detect(command) => command.run(),
        Command::Prove(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Witness(command) => command.run(),
        Command::Runs(command) => command.run(),
        Command::Watch(command) => command.run(),
        Command::Interventions(command) => command.run(),
        Command::Deploy(command) => command.run(),
        Command::Record(command) => command.run(),
        Command::Query(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::ApiKeys(command) => command.run(),
        Command::Federation(command) => command.run(),
        Command::Fsck(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    })
}
