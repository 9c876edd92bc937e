//! The evaluator's program.

use std::process::ExitCode;

use evaluator::{Config, build};
use service_kit::cli::{self, Program};

fn main() -> ExitCode {
    let about = "Judges policies on paired, held-out seeds.";
    let program = Program { name: "evaluator", parts: |config: &Config| (&config.http, &config.log) };
    cli::main(program, about, build)
}
