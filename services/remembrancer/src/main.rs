//! The remembrancer's binary: serves by default, and checks the log with `fsck`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
