//! Standard output: tables for people, or exactly one JSON object.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

pub(crate) use crate::progress::note;

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

/// Writes one JSON object to standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value).context("cannot write the answer as JSON")?)
}

/// A table whose first column is left-aligned and whose other columns are right-aligned. On a terminal it is no wider than
/// that: columns that do not fit are left out, the first ones first in, and a line below names them.
pub(crate) fn table(header: &[impl AsRef<str>], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table_within(width(), header, rows)
}

fn table_within(
    width: Option<usize>,
    header: &[impl AsRef<str>],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let header: Vec<&str> = header.iter().map(AsRef::as_ref).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let shown = columns_within(width, &header, &rows);
    let of = |cells: &[&str]| -> Vec<String> {
        shown.iter().filter_map(|column| cells.get(*column)).map(|cell| cut(cell, width)).collect()
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(of(&header));
    table.add_rows(rows.iter().map(|row| of(&row.iter().map(String::as_str).collect::<Vec<_>>())));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let left_out: Vec<&str> =
        (0..header.len()).filter(|column| !shown.contains(column)).map(|column| header[column]).collect();
    if left_out.is_empty() {
        return table.trim_fmt();
    }
    let note = format!("Not shown for want of width: {}; --json has all.", left_out.join(", "));
    format!("{}\n{}", table.trim_fmt(), folded(&note, width.unwrap_or(usize::MAX)))
}

/// The columns that fit beside each other: each in turn, if there is still room for it; always the first one.
fn columns_within(width: Option<usize>, header: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let letters = |text: &str| text.chars().count();
    // beside each cell stand a space on either side and a line
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| letters(cell));
        cells.chain([letters(header[column])]).max().unwrap_or_default() + BESIDE_CELL
    };
    let mut left = width.unwrap_or(usize::MAX).saturating_sub(1);
    let mut shown = Vec::new();
    for column in 0..header.len() {
        let needed = wide(column);
        if column == 0 || needed <= left {
            left = left.saturating_sub(needed);
            shown.push(column);
        }
    }
    shown
}

/// What a cell takes beside its text: a space on either side, and a line.
const BESIDE_CELL: usize = 3;

/// A cell that alone is wider than all there is.
fn cut(cell: &str, width: Option<usize>) -> String {
    let most = width.unwrap_or(usize::MAX).saturating_sub(BESIDE_CELL + 1).max(1);
    if cell.chars().count() <= most {
        return cell.to_owned();
    }
    cell.chars().take(most - 1).chain(['…']).collect()
}

/// How wide standard output is: what the terminal says, 80 where it says nothing. What is no terminal is as wide as
/// `COLUMNS` says, and without that takes everything, because a program or a file reads it.
pub(crate) fn width() -> Option<usize> {
    if io::stdout().is_terminal() {
        let told = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        return Some(told.filter(|columns| *columns > 0).unwrap_or(80));
    }
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// A sentence in lines of this width, broken at spaces.
pub(crate) fn folded(sentence: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// A number with this many decimals; `-` where there is none.
pub(crate) fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [&str; 4] = ["policy", "reward", "a very long story", "fill"];

    fn rows() -> Vec<Vec<String>> {
        let row = |policy: &str| {
            vec![policy.into(), "41.55".into(), "it was told in many words".into(), "0.98".into()]
        };
        vec![row("adaptive"), row("weighted-score")]
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_and_named_and_nothing_is_wider_than_the_terminal() {
        for width in 8..70 {
            let told = table_within(Some(width), &HEADER, rows());
            let table: Vec<&str> =
                told.lines().filter(|line| line.starts_with(['│', '┌', '╞', '└'])).collect();
            assert!(table.iter().all(|line| line.chars().count() <= width), "{width}:\n{told}");
            assert_eq!(table.len(), 6, "nothing wraps at {width}:\n{told}");
        }
        let told = table_within(Some(40), &HEADER, rows());
        assert!(told.contains("fill") && told.contains("0.98"), "{told}");
        assert!(told.ends_with("want of width: a very long\nstory; --json has all."), "{told}");
    }

    #[test]
    fn what_is_read_by_a_program_has_every_column() {
        let told = table_within(None, &HEADER, rows());
        assert!(told.contains("it was told in many words") && !told.contains("Not shown"), "{told}");
    }
}
