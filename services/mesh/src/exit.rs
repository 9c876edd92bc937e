//! How a command ends.

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{hints, output::Enough};

/// The answer of a command that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Success: 0.
    Yes,
    /// The work was done, and its answer is no: 1.
    No,
    /// The proof holds under a key that nobody vouches for: 4.
    UnknownKey,
    /// What is proved is written in another form: 5.
    NotCanonical,
    /// The file is nothing that could be proved: 6.
    NotEvidence,
    /// A promise was broken: 7.
    Broken,
    /// What became of a promise is not known: 8.
    NotKnown,
}

/// The command was used wrongly: 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error for wrong usage.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// The exit code, after printing an error as one line on standard error: 2 for wrong usage, 3 for work that
/// could not be done.
pub(crate) fn code(result: anyhow::Result<Answer>) -> ExitCode {
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) if error.is::<Enough>() => ExitCode::SUCCESS,
        Ok(Answer::UnknownKey) => ExitCode::from(4),
        Ok(Answer::NotCanonical) => ExitCode::from(5),
        Ok(Answer::NotEvidence) => ExitCode::from(6),
        Ok(Answer::Broken) => ExitCode::from(7),
        Ok(Answer::NotKnown) => ExitCode::from(8),
        Err(error) => {
            // when standard error is closed, nobody is left to read it
            let _ = writeln!(io::stderr(), "mesh: {}", hints::with_commands(&line(&error)));
            ExitCode::from(if error.chain().any(|cause| cause.is::<Usage>()) { 2 } else { 3 })
        }
    }
}

/// An error and its causes in one line, leaving out a cause that is quoted already.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let next = cause.to_string();
        if text.is_empty() {
            text = next;
        } else if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_causes_and_none_of_them_twice() {
        let error: anyhow::Result<()> =
            Err(io::Error::other("disk on fire")).context("reading x: disk on fire").context("cannot start");
        assert_eq!(line(&error.unwrap_err()), "cannot start: reading x: disk on fire");
    }
}
