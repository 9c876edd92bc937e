//! From the journal into the ledger: what is promised is appended in its order, as soon as the ledger takes it.

use std::{collections::VecDeque, time::Duration};

use client::{Ledger, LedgerError};
use metrics::Counter;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::journal::Entry;

/// Entries that are taken from the queue at once.
const GROUP: usize = 1024;

/// How long the first try lasts before the ledger counts as away. The next ones last longer, up to [`LONGEST_TRY`]: a slow ledger
/// must get to the end of one.
const FIRST_TRY: Duration = Duration::from_secs(1);

const LONGEST_TRY: Duration = Duration::from_secs(30);

/// The pause after a try.
const PAUSE: Duration = Duration::from_millis(100);

/// An entry on its way.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) entry: Entry,
    /// By when it was promised to be there.
    pub(super) due: Instant,
}

/// How far the ledger is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Entries that it has.
    pub(super) entries: u64,
    /// Leaves that it has of them.
    pub(super) leaves: u64,
    /// Whether the last try found it away.
    pub(super) is_away: bool,
    /// Why nothing goes on.
    pub(super) failed: Option<String>,
}

/// Appends what comes, until nobody sends any more or the ledger refuses. `late` counts leaves that came later than promised.
pub(super) async fn drain(
    ledger: Ledger,
    mut queue: mpsc::UnboundedReceiver<Queued>,
    progress: watch::Sender<Progress>,
    late: Counter,
) {
    let mut group = Vec::new();
    while queue.recv_many(&mut group, GROUP).await > 0 {
        let mut waiting: VecDeque<_> = group.drain(..).collect();
        while let Some(Queued { mut entry, due }) = waiting.pop_front() {
            let mut dues = vec![(due, entry.leaves())];
            while let Some(Queued { entry: later, due }) = waiting.pop_front() {
                let leaves = later.leaves();
                match entry.join(later) {
                    None => dues.push((due, leaves)),
                    Some(entry) => {
                        waiting.push_front(Queued { entry, due });
                        break;
                    }
                }
            }
            if let Err(error) = append(&ledger, &entry, &progress).await {
                tracing::error!(%error, "what was promised cannot be appended");
                progress.send_modify(|progress| progress.failed = Some(error.to_string()));
                return;
            }
            let now = Instant::now();
            late.increment(dues.iter().filter(|(due, _)| *due < now).map(|(_, leaves)| leaves).sum());
            progress.send_modify(|progress| {
                progress.entries += dues.len() as u64;
                progress.leaves += entry.leaves();
                progress.is_away = false;
            });
        }
    }
}

/// Appends an entry, however long the ledger is away.
async fn append(
    ledger: &Ledger,
    entry: &Entry,
    progress: &watch::Sender<Progress>,
) -> Result<(), LedgerError> {
    let mut time = FIRST_TRY;
    loop {
        match entry.append_to(&ledger.within(time)).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_away() => {
                progress.send_if_modified(|progress| !std::mem::replace(&mut progress.is_away, true));
                time = (time * 2).min(LONGEST_TRY);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}
