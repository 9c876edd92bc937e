//! The evaluations that this process works on, and how far they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use evaluation::progress::Progress;
use metrics::Gauge;
use uuid::Uuid;

use crate::ledger::Accepted;

type ById = BTreeMap<Uuid, (Accepted, Arc<Progress>)>;

/// The evaluations that this process works on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AtWork {
    by_id: Arc<Mutex<ById>>,
    /// Evaluations that somebody asked for and that had not ended then.
    awaited: Arc<Mutex<BTreeMap<Uuid, Accepted>>>,
    gauge: Gauge,
}

/// An evaluation counts as worked on as long as this lives; then its work stops, also when the runtime is shut down
/// without a word: it waits for blocking work, which would otherwise play its episodes to the end.
pub(crate) struct Working {
    id: Uuid,
    progress: Arc<Progress>,
    at_work: AtWork,
}

impl AtWork {
    /// Nothing yet; the gauge shows how many there are.
    pub(crate) fn new(gauge: Gauge) -> Self {
        gauge.set(0.0);
        Self { by_id: Arc::default(), awaited: Arc::default(), gauge }
    }

    /// Remembers an evaluation that somebody waits for. The ledger's list of what has not ended is not enough: it lacks an
    /// evaluation about which somebody planted an end that is none.
    pub(crate) fn awaits(&self, accepted: &Accepted) {
        self.lock_awaited().insert(accepted.id, accepted.clone());
    }

    /// Those that somebody waits for.
    pub(crate) fn awaited(&self) -> Vec<Accepted> {
        self.lock_awaited().values().cloned().collect()
    }

    /// Nobody need wait for it any more.
    pub(crate) fn forget(&self, id: Uuid) {
        self.lock_awaited().remove(&id);
    }

    /// An evaluation and how far it is, if this process works on it.
    pub(crate) fn get(&self, id: Uuid) -> Option<(Accepted, Arc<Progress>)> {
        self.lock().get(&id).cloned()
    }

    /// Begins to work on an evaluation.
    pub(crate) fn begin(&self, accepted: Accepted) -> Working {
        let (id, progress) = (accepted.id, Arc::new(Progress::default()));
        self.lock().insert(id, (accepted, progress.clone()));
        self.gauge.increment(1.0);
        Working { id, progress, at_work: self.clone() }
    }

    fn lock_awaited(&self) -> MutexGuard<'_, BTreeMap<Uuid, Accepted>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, (Accepted, Arc<Progress>)>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Working {
    /// How far it is.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.progress.cancel();
        self.at_work.lock().remove(&self.id);
        self.at_work.gauge.decrement(1.0);
    }
}
