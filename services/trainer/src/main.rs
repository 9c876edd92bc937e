//! The trainer's program.

use std::process::ExitCode;

use service_kit::cli::{self, Program};
use trainer::{Config, build};

fn main() -> ExitCode {
    let about = "Trains swarms of routing agents, and resumes the runs that an earlier process left.";
    let program = Program { name: "trainer", parts: |config: &Config| (&config.http, &config.log) };
    cli::main(program, about, build)
}
