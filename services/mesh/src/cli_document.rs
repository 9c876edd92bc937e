//! docs/cli.md, written from the commands' own definitions: what `--help` says and what the document says cannot
//! differ. Only the test of that is built.

use std::{fmt::Write as _, fs, path::Path};

use clap::{Arg, Command, CommandFactory as _};

use crate::Cli;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");

/// How the document is written anew.
const REGENERATE: &str = "UPDATE_DOCUMENTS=1 cargo test -p mesh cli_document";

#[test]
fn the_document_of_the_command_line_is_what_the_commands_say_of_themselves() {
    let expected = document();
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(Path::new(PATH), &expected).unwrap();
    }
    let found = fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        found == expected,
        "docs/cli.md is not up to date: run `{REGENERATE}` and look at the difference"
    );
}

fn document() -> String {
    let mut mesh = Cli::command();
    mesh.build(); // so that subcommands know their whole names
    let mut text = format!(
        "# The command line\n\n<!-- Written by `{REGENERATE}`; change the commands' definitions instead. -->\n\n\
         `mesh` is what `cargo run --release --` runs. {}\n\nResults go to standard output; progress and logs go to \
         standard error, where `MESH_LOG` (`error` to `trace`) says how much is logged and `MESH_LOG_FORMAT` (`pretty` \
         or `json`) how.\n\n| command | what it does |\n|---|---|\n",
        long_about(&mesh)
    );
    for command in visible(&mesh) {
        let name = name(command);
        let anchor = name.replace(' ', "-");
        let _ = writeln!(text, "| [`{name}`](#{anchor}) | {} |", cell(&about(command)));
    }
    for command in visible(&mesh) {
        section(&mut text, command, 2);
    }
    text
}

/// One command: its heading, what it does, its arguments, its examples; then those below it.
fn section(text: &mut String, command: &Command, level: usize) {
    let usage = command.clone().render_usage().to_string();
    let _ = write!(
        text,
        "\n{} {}\n\n{}\n\n```text\n{}\n```\n",
        "#".repeat(level),
        name(command),
        long_about(command),
        usage.trim_start_matches("Usage: ").replace("\n       ", "\n")
    );
    for heading in headings(command) {
        let of_heading = arguments(command).filter(|argument| argument.get_help_heading() == heading);
        let _ = write!(text, "\n| {} | |\n|---|---|\n", heading.unwrap_or("argument"));
        for argument in of_heading {
            let _ = writeln!(text, "| `{}` | {} |", cell(&signature(argument)), cell(&meaning(argument)));
        }
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let after = after.to_string();
        let (more, examples) = after.split_once("Examples:\n").unwrap_or((&after, ""));
        for (language, lines) in [("text", more), ("sh", examples)] {
            let lines = lines.replace("\n  ", "\n");
            if !lines.trim().is_empty() {
                let _ = write!(text, "\n```{language}\n{}\n```\n", lines.trim());
            }
        }
    }
    for below in visible(command) {
        section(text, below, level + 1);
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let own = |argument: &&Arg| {
        !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
    };
    command.get_arguments().filter(own)
}

/// The groups that `--help` shows, in its order.
fn headings(command: &Command) -> Vec<Option<&str>> {
    let mut headings = Vec::new();
    for argument in arguments(command) {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    headings
}

fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn long_about(command: &Command) -> String {
    let text = command.get_long_about().map_or_else(|| about(command), ToString::to_string);
    // clap takes the full stop from a summary, as is right in a list of commands
    match text.split_once("\n\n") {
        Some((summary, rest)) => format!("{}.\n\n{rest}", summary.trim_end_matches('.')),
        None => format!("{}.", text.trim_end_matches('.')),
    }
}

/// `-q, --query <WORDS>`
fn signature(argument: &Arg) -> String {
    let short = argument.get_short().filter(|_| argument.get_long().is_some());
    short.map_or_else(String::new, |letter| format!("-{letter}, ")) + &argument.to_string()
}

/// The help of an argument, with what clap adds to it.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut parts = vec![help];
    if let Some(variable) = argument.get_env() {
        parts.push(format!("[env: {}]", variable.to_string_lossy()));
    }
    if argument.get_action().takes_values() {
        let defaults: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() {
            parts.push(format!("[default: {}]", defaults.join(" ")));
        }
        let values = argument.get_possible_values();
        let values: Vec<_> =
            values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
        if !values.is_empty() {
            parts.push(format!("[possible values: {}]", values.join(", ")));
        }
    }
    parts.join(" ")
}

/// A text as one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
