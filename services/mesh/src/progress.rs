//! Bars on standard error that nothing tears: whatever else is written there first takes them away, and then puts them
//! back.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::LazyLock,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::hints;

/// All bars of this process.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar of this length, where standard error is a terminal; elsewhere it is not seen.
pub(crate) fn bar(length: u64, style: ProgressStyle) -> ProgressBar {
    BARS.add(ProgressBar::new(length).with_style(style))
}

/// Writes a line to standard error, above the bars.
pub(crate) fn note(text: &str) {
    // progress that nobody can see is no reason to stop
    let _ = BARS.suspend(|| writeln!(io::stderr(), "{}", hints::with_commands(text)));
}

/// A note that stays on one line where standard error is a terminal.
pub(crate) fn calm_note(text: &str) {
    let width = io::stderr()
        .is_terminal()
        .then(|| terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0)));
    match width.filter(|width| text.chars().count() > *width) {
        Some(width) => note(&text.chars().take(width.saturating_sub(1)).chain(['…']).collect::<String>()),
        None => note(text),
    }
}

/// Standard error for log lines, each above the bars.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
