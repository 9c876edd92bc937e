//! Standard output: tables for people, or exactly one JSON object.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

pub(crate) use crate::progress::note;
use crate::wrapping::{folded, prose};

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
    let terminal = io::stdout().is_terminal().then(|| width().unwrap_or(usize::MAX));
    written(writeln!(io::stdout(), "{}", prose(text, terminal)))
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
/// that: columns that do not fit are left out, the first ones first in, and a line below names them. A long text is cut
/// instead, where there is room for enough of it.
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
        shown.iter().filter_map(|(column, letters)| Some(cut(cells.get(*column)?, *letters))).collect()
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(of(&header));
    table.add_rows(rows.iter().map(|row| of(&row.iter().map(String::as_str).collect::<Vec<_>>())));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let is_shown = |column: usize| shown.iter().any(|(shown, _)| *shown == column);
    let left_out: Vec<&str> =
        (0..header.len()).filter(|column| !is_shown(*column)).map(|column| header[column]).collect();
    if left_out.is_empty() {
        return table.trim_fmt();
    }
    let note = format!("Not shown for want of width: {}; --json has all.", left_out.join(", "));
    format!("{}\n{}", table.trim_fmt(), folded(&note, width.unwrap_or(usize::MAX)))
}

/// The columns that fit beside each other, with the letters that each has room for: each in turn, if there is still room for
/// it or enough of it; always the first one.
fn columns_within(width: Option<usize>, header: &[&str], rows: &[Vec<String>]) -> Vec<(usize, usize)> {
    let letters = |text: &str| text.chars().count();
    let mut left = width.unwrap_or(usize::MAX).saturating_sub(1);
    let mut shown = Vec::new();
    for (column, heading) in header.iter().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| letters(cell));
        let wanted = cells.chain([letters(heading)]).max().unwrap_or_default();
        let room = left.saturating_sub(BESIDE_CELL);
        if column == 0 || wanted <= room || room >= ENOUGH.max(letters(heading)) {
            let letters = wanted.min(room.max(1));
            left = left.saturating_sub(letters + BESIDE_CELL);
            shown.push((column, letters));
        }
    }
    shown
}

/// With so many letters the beginning of a text tells something.
const ENOUGH: usize = 24;

/// What a cell takes beside its text: a space on either side, and a line.
const BESIDE_CELL: usize = 3;

/// A cell in a column that may be too narrow for it.
fn cut(cell: &str, letters: usize) -> String {
    if cell.chars().count() <= letters {
        return cell.to_owned();
    }
    cell.chars().take(letters - 1).chain(['…']).collect()
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
        assert!(!told.contains("it was told in m"), "too little of it has room: {told}");
        assert!(told.contains("fill") && told.contains("0.98"), "{told}");
        assert!(told.ends_with("want of width: a very long\nstory; --json has all."), "{told}");
    }

    #[test]
    fn a_long_text_is_cut_where_there_is_room_for_enough_of_it() {
        let header = ["record", "text that matches", "log index"];
        let rows = vec![vec!["65b49853".to_owned(), "what was found there ".repeat(4), "17".into()]];
        let told = table_within(Some(60), &header, rows);
        assert!(told.contains("what was found there what was found there wh…"), "{told}");
        assert!(told.contains("Not shown for want of width: log index;"), "{told}");
    }

    #[test]
    fn what_is_read_by_a_program_has_every_column() {
        let told = table_within(None, &HEADER, rows());
        assert!(told.contains("it was told in many words") && !told.contains("Not shown"), "{told}");
    }
}
