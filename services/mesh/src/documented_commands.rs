//! Every `mesh` command that the documents and the help texts show can be given as it stands there.

use std::{fs, path::Path};

use clap::{CommandFactory as _, Parser as _};

use crate::Cli;

/// Documents whose commands work. Those of docs/errors.md are wrong on purpose, and executed elsewhere.
const DOCUMENTS: [&str; 10] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/walk.md",
    "docs/catalog.md",
    "docs/cli.md",
    "docs/performance.md",
    "docs/results.md",
    "docs/witnesses.md",
    "docs/federation.md",
    "docs/operations.md",
];

#[test]
fn every_command_that_a_document_shows_is_understood() {
    let mut tried = 0;
    for document in DOCUMENTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for command in commands(&text) {
            if let Err(error) = Cli::try_parse_from(words(&command)) {
                assert!(
                    !error.use_stderr() || is_only_named(&command, &error),
                    "{document}: `{command}`: {error}"
                );
            }
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} commands were found");
}

#[test]
fn the_definitions_of_the_commands_are_sound() {
    Cli::command().debug_assert();
}

/// Whether a text speaks of a command (`mesh evaluate`) rather than giving it.
fn is_only_named(command: &str, error: &clap::Error) -> bool {
    use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument};
    let incomplete =
        [DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument].contains(&error.kind());
    incomplete && !command.contains("--")
}

/// The commands in a document: lines of its shell blocks, and what stands between backticks. What has an ellipsis in it
/// is no whole command.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let is_code = |number: usize| number % 2 == 1;
    let mut found = Vec::new();
    for (number, part) in joined.split("```").enumerate() {
        if is_code(number) {
            found.extend(part.strip_prefix("sh\n").into_iter().flat_map(str::lines).filter_map(command));
        } else {
            let inline = part.split('`').enumerate().filter(|(number, _)| is_code(*number));
            found.extend(inline.filter_map(|(_, code)| command(code)));
        }
    }
    found
}

/// The part of a line from `mesh` on that is given to the program.
fn command(line: &str) -> Option<String> {
    let line = line.strip_prefix("time ").unwrap_or(line);
    let line = line
        .strip_prefix("cargo run --release -- ")
        .map_or_else(|| line.to_owned(), |rest| format!("mesh {rest}"));
    // a variable may be set in front of it
    let start = if line.starts_with("MESH_") { line.find(" mesh ")? + 1 } else { 0 };
    let command = &line[start..];
    let end = [" #", " > ", " 2> ", " | ", " || "].iter().filter_map(|mark| command.find(mark)).min();
    let command = command[..end.unwrap_or(command.len())].trim();
    let whole = command.starts_with("mesh ") && !command.contains(['…', '[']);
    whole.then(|| command.to_owned())
}

/// The words of a command as a shell splits them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in command.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, blank) if blank.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()))
            }
            _ => word.push(character),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
