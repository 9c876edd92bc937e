//! Commands that are printed run as they stand, also for who has no `mesh` on the path: Cargo builds and starts it then.

use std::sync::LazyLock;

/// What a command begins with. Cargo sets the variable for what it starts.
static PROGRAM: LazyLock<&str> =
    LazyLock::new(|| program(std::env::var_os("CARGO").is_some_and(|cargo| !cargo.is_empty())));

fn program(is_started_by_cargo: bool) -> &'static str {
    if is_started_by_cargo { "cargo run --release --" } else { "mesh" }
}

/// A command with these arguments, as it can be given here.
pub(crate) fn command(arguments: &str) -> String {
    format!("{} {arguments}", *PROGRAM)
}

/// A text of this program or of a service, with the commands that stand in it between backticks as they can be given here.
pub(crate) fn with_commands(text: &str) -> String {
    replaced(text, &PROGRAM)
}

fn replaced(text: &str, program: &str) -> String {
    text.replace("`mesh ", &format!("`{program} "))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_command_begins_with_what_started_this_program() {
        let text = "start a stack with `mesh up`, or read ~/.config/ai-mesh/mesh up.log";
        assert_eq!(replaced(text, program(false)), text);
        assert_eq!(
            replaced(text, program(true)),
            "start a stack with `cargo run --release -- up`, or read ~/.config/ai-mesh/mesh up.log"
        );
    }

    #[test]
    fn no_text_of_this_program_has_a_command_that_is_neither_between_backticks_nor_an_example() {
        let commands: Vec<String> = crate::Cli::command()
            .get_subcommands()
            .map(|command| format!("mesh {}", command.get_name()))
            .collect();
        let mut looked_at = 0;
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let source = fs::read_to_string(&entry).unwrap();
                let source = source.split("#[cfg(test)]").next().unwrap_or_default();
                let is_text = |line: &&str| {
                    !["//", "mesh ", "MESH_", "docker compose", "#[command(after_help"]
                        .iter()
                        .any(|start| line.starts_with(start))
                };
                for line in source.lines().map(str::trim).filter(is_text) {
                    looked_at += 1;
                    for command in &commands {
                        for (at, _) in line.match_indices(command.as_str()) {
                            let before = line[..at].chars().next_back();
                            assert!(
                                before.is_some_and(|c| c == '`' || c == '-'),
                                "{}: `{line}`: write `hints::command(…)`, or the command between backticks",
                                entry.display()
                            );
                        }
                    }
                }
            }
        }
        assert!(looked_at > 5000, "{looked_at}");
    }
}
