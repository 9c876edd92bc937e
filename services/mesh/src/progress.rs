//! Bars on standard error that nothing tears: whatever else is written there first takes them away, and then puts them
//! back.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::LazyLock,
    thread,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle, WeakProgressBar};

use crate::{hints, wrapping::prose};

/// All bars of this process.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How often a bar that nobody can see says in a line how far it is.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A bar of this length, where standard error is a terminal; elsewhere, as in a build's log, it is a line a minute.
pub(crate) fn bar(length: u64, style: ProgressStyle) -> ProgressBar {
    let bar = BARS.add(ProgressBar::new(length).with_style(style));
    if !io::stderr().is_terminal() {
        let bar = bar.downgrade();
        thread::spawn(move || tell(&bar));
    }
    bar
}

/// Tells how far the bar is until it has ended.
fn tell(bar: &WeakProgressBar) {
    loop {
        thread::sleep(TELL_EVERY);
        match bar.upgrade() {
            Some(bar) if !bar.is_finished() => note(&line(&bar)),
            _ => return,
        }
    }
}

/// How far the bar is.
fn line(bar: &ProgressBar) -> String {
    let done = bar.position() * 100 / bar.length().unwrap_or_default().max(1);
    let parts = [format!("{done} % done"), bar.message()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// Writes a line to standard error, above the bars.
pub(crate) fn note(text: &str) {
    // progress that nobody can see is no reason to stop
    let text = hints::with_commands(text);
    let _ = BARS.suspend(|| writeln!(io::stderr(), "{}", prose(&text, width())));
}

/// A note that stays on one line where standard error is a terminal.
pub(crate) fn calm_note(text: &str) {
    match width().filter(|width| text.chars().count() > *width) {
        Some(width) => note(&text.chars().take(width.saturating_sub(1)).chain(['…']).collect::<String>()),
        None => note(text),
    }
}

/// How wide standard error is, where it is a terminal.
fn width() -> Option<usize> {
    let told = || terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    io::stderr().is_terminal().then(|| told().filter(|columns| *columns > 0).unwrap_or(80))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_nobody_sees_tells_how_far_it_is() {
        let bar = ProgressBar::hidden();
        assert_eq!(line(&bar), "0 % done");
        bar.set_length(810);
        bar.set_position(405);
        bar.set_message("episodes of the evaluation");
        assert_eq!(line(&bar), "50 % done · episodes of the evaluation");
    }
}
