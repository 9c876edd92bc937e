//! All runs of the ledger: which of them this trainer plays now, which wait, which are played elsewhere, which have ended.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use api::Hash;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{run::Run, worker::Outside};

mod cancel;
mod create;
mod feed;
mod history;
mod hold;
mod labels;
mod list;
mod pause;
mod record;
mod rewind;
mod slot;
mod table;

use feed::Feed;
use history::Parts;
use table::ById;

pub use cancel::CancelError;
pub use create::CreateError;
pub use history::HistoryError;
pub use pause::PauseError;
pub use rewind::RewindError;
pub use slot::RunSlot;

/// How much a trainer takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Runs that are played at the same time, each on a thread of its own.
    pub concurrent: usize,
    /// Runs that may wait or be at work.
    pub unfinished: usize,
    /// Whether runs are taken up that others left.
    pub resumes: bool,
    /// When the lease of a run runs out after its trainer has died.
    pub lease: Duration,
}

/// The registry. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Runs(Arc<Inner>);

struct Inner {
    outside: Outside,
    runtime: Handle,
    shutdown: CancellationToken,
    /// Who this trainer is in the leases of its runs; no other process has the same name.
    holder: String,
    limits: Limits,
    slots: Arc<Semaphore>,
    /// A task for each run that has not ended.
    work: TaskTracker,
    feed: tokio::sync::Mutex<Feed>,
    /// False while the remembrancer does not say what is new.
    follows: AtomicBool,
    table: Mutex<Table>,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Table {
    by_id: ById,
    keys: HashMap<String, Key>,
    /// Ended runs whose figures are in memory, the longest unused first.
    histories: VecDeque<Uuid>,
}

/// What an Idempotency-Key stands for.
#[derive(Clone, Copy)]
struct Key {
    request: Hash,
    run: Uuid,
}

impl Runs {
    /// An empty registry. Must be made inside a Tokio runtime.
    #[must_use]
    pub fn new(outside: Outside, limits: Limits, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            outside,
            runtime: Handle::current(),
            shutdown,
            holder: format!("trainer-{}", Uuid::now_v7()),
            limits,
            slots: Arc::new(Semaphore::new(limits.concurrent.max(1))),
            work: TaskTracker::new(),
            feed: tokio::sync::Mutex::default(),
            follows: AtomicBool::new(true),
            table: Mutex::default(),
            parts: Mutex::default(),
        }))
    }

    /// What this trainer does beside requests; it ends in a shutdown, once the leases were given back.
    #[must_use]
    pub fn work(&self) -> &TaskTracker {
        &self.0.work
    }

    /// Cancelled when the trainer shuts down.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// A run by its id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<Run>> {
        self.table().by_id.get(id).cloned()
    }

    fn publish(&self) {
        let counts = self.table().by_id.counts();
        self.0.outside.gauges.runs(&counts);
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Likewise.
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two changes of the table.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
