use std::{
    error::Error,
    future::Future,
    io::{self, Write as _},
    process::{ExitCode, Termination},
};

use crate::{BindError, ConfigError, error::chain};

/// Runs a program's `main` on a Tokio runtime. What it returns becomes the exit code, `()` 0; an error
/// becomes one clear line on standard error and the exit code 2 when the settings are wrong
/// ([`ConfigError`] anywhere in its chain), else 3.
///
/// [`cli::main`](crate::cli::main) does this for a service.
pub fn run<T: Termination>(
    name: &str,
    main: impl Future<Output = Result<T, Box<dyn Error + Send + Sync>>>,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(name, &error),
    };
    let result = runtime.block_on(main);
    // A blocking task that never ends must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(end) => end.report(),
        Err(error) => fail(name, error.as_ref()),
    }
}

fn fail(name: &str, error: &(dyn Error + 'static)) -> ExitCode {
    // Nothing is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{name}: {}", chain(error).replace('\n', " "));
    ExitCode::from(exit_code(error))
}

fn exit_code(error: &(dyn Error + 'static)) -> u8 {
    let mut error = Some(error);
    while let Some(current) = error {
        let refused = matches!(current.downcast_ref(), Some(BindError::Refused(_)));
        if refused || current.is::<ConfigError>() {
            return 2;
        }
        error = current.source();
    }
    3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_end_with_2_and_what_could_not_be_done_with_3() {
        assert_eq!(exit_code(&ConfigError::new("x")), 2);
        assert_eq!(exit_code(&BindError::from(ConfigError::new("x"))), 2);
        assert_eq!(exit_code(&BindError::InUse(([127, 0, 0, 1], 80).into())), 3);
        assert_eq!(exit_code(&io::Error::other("x")), 3);
    }
}
