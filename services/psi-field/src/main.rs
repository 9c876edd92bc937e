//! The psi-field service's program.

use std::process::ExitCode;

use psi_field::{Config, build};
use service_kit::cli::{self, Program};

fn main() -> ExitCode {
    let about = "Watches over swarms: metrics of each window in, the field's state and interventions out.";
    let program = Program { name: "psi-field", parts: |config: &Config| (&config.http, &config.log) };
    cli::main(program, about, build)
}
