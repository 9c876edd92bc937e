use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{
    Cli,
    exit::Answer,
    files::writable_folder,
    output::{note, written},
};

/// Print what completes `mesh` in a shell
///
/// The shell reads it from a place of its own, which differs from one to the other; a new shell then completes commands, flags
/// and their values.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh completions bash > ~/.local/share/bash-completion/completions/mesh
  mesh completions zsh > ~/.zfunc/_mesh
  mesh completions fish > ~/.config/fish/completions/mesh.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mesh", &mut script);
        written(io::stdout().write_all(&script))?;
        Ok(Answer::Yes)
    }
}

/// Write the manual pages
///
/// One page for `mesh`, and one for each command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh man ~/.local/share/man/man1
  mesh man .")]
pub(crate) struct Man {
    /// The folder for the pages
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    /// Writes them.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        writable_folder(&self.folder)?;
        clap_mangen::generate_to(Cli::command(), &self.folder)
            .with_context(|| format!("cannot write to {}", self.folder.display()))?;
        note(&format!("the pages are in {}", self.folder.display()));
        Ok(Answer::Yes)
    }
}
