//! Standard output: tables for people, or exactly one JSON object.

use std::{
    fmt,
    io::{self, Write as _},
};

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};

/// Writes a command's answer to standard output. Where nobody reads it any more, its exit code still says what it is.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    match tell(text) {
        Err(error) if error.is::<Enough>() => Ok(()),
        told => told,
    }
}

/// Writes a line of many to standard output.
///
/// # Errors
/// [`Enough`], when nobody reads them any more.
pub(crate) fn tell(text: &str) -> anyhow::Result<()> {
    written(writeln!(io::stdout(), "{text}"))
}

/// What became of a piece of what is written without end.
pub(crate) fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Enough.into()),
        result => result.context("cannot write to standard output"),
    }
}

/// Whoever read standard output has enough, as `head` has after ten lines. The command ends then, and well.
#[derive(Debug)]
pub(crate) struct Enough;

impl fmt::Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output any more")
    }
}

impl std::error::Error for Enough {}

/// Writes a line to standard error, where progress goes.
pub(crate) fn note(text: &str) {
    // progress that nobody can see is no reason to stop
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes one JSON object to standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value).context("cannot write the answer as JSON")?)
}

/// A table whose first column is left-aligned and whose other columns are right-aligned.
pub(crate) fn table(header: &[impl AsRef<str>], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header.iter().map(AsRef::as_ref));
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A number with this many decimals; `-` where there is none.
pub(crate) fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.decimals$}"))
}
