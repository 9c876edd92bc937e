//! All runs of this trainer: who plays now, who waits, who has ended.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::{
    Hash,
    trainer::{NewRun, RunStatus},
};
use client::LedgerError;
use records::run::Created;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    algorithm,
    checkpoint::CheckpointDocument,
    digest::sha256,
    ledger::FILE_DEADLINE,
    run::{History, Run},
    waiting::Waiting,
    worker::{Outside, end_unplayed, play},
};

mod create;
mod labels;
mod list;
mod pause;
mod record;
mod rewind;
mod turn;

pub use create::CreateError;
pub use pause::PauseError;
pub use rewind::RewindError;
pub use turn::Turn;

/// How many runs may wait or be at work.
pub const MOST_UNFINISHED: usize = 1000;

/// The figures of so many ended runs are in memory; those of the others are read again from their
/// checkpoints when somebody asks.
const HISTORIES_KEPT: usize = 16;

/// The registry. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Runs(Arc<Inner>);

struct Inner {
    outside: Outside,
    runtime: Handle,
    shutdown: CancellationToken,
    slots: Arc<Semaphore>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: BTreeMap<Uuid, Arc<Run>>,
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

/// Why a run cannot be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run has already ended")]
pub struct AlreadyEnded(pub RunStatus);

/// Why a run's figures cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Its checkpoint could not be fetched.
    #[error("fetching the run's checkpoint")]
    Ledger(#[from] LedgerError),
    /// The ledger does not have its checkpoint any more.
    #[error("the ledger does not have the run's checkpoint {0} any more")]
    Missing(Hash),
    /// Its checkpoint cannot be read.
    #[error("reading the run's checkpoint: {0}")]
    Damaged(String),
}

impl Runs {
    /// An empty registry whose runs are played on threads of their own, `slots` at a time. Must be made
    /// inside a Tokio runtime.
    #[must_use]
    pub fn new(outside: Outside, slots: usize, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            outside,
            runtime: Handle::current(),
            shutdown,
            slots: Arc::new(Semaphore::new(slots.max(1))),
            table: Mutex::default(),
        }))
    }

    /// Cancelled when the trainer shuts down.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// A run by its id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<Run>> {
        self.table().by_id.get(&id).cloned()
    }

    /// Asks a run to end after the episode under way, or at once when it waits.
    ///
    /// # Errors
    /// It has ended.
    pub fn cancel(&self, run: &Run) -> Result<(), AlreadyEnded> {
        let status = run.state().status;
        if status.is_final() {
            return Err(AlreadyEnded(status));
        }
        run.cancel.cancel();
        Ok(())
    }

    /// Sees to it that a run's figures are in memory and hands them to `read`.
    ///
    /// # Errors
    /// They are in a checkpoint that cannot be had.
    pub async fn with_history<T>(
        &self,
        run: &Run,
        read: impl FnOnce(&History) -> T,
    ) -> Result<T, HistoryError> {
        if run.state().history.is_none() {
            let history = self.fetch_history(run).await?;
            run.state().history.get_or_insert(history);
        }
        if run.state().status.is_final() {
            self.keep_history(run.id);
        }
        let mut state = run.state();
        Ok(read(state.history_mut()))
    }

    /// Takes over a run that an earlier process began or ended.
    /// `config` is its exact configuration.
    pub fn adopt(&self, created: &Created, config: NewRun) {
        let id = created.run_id;
        let config = algorithm::kept(&config);
        let mut table = self.table();
        if let (Some(key), Ok(bytes)) = (&created.idempotency_key, serde_json::to_vec(&config)) {
            table.keys.insert(key.clone(), Key { request: sha256(&bytes), run: id });
        }
        let run = Run::new(id, created.digest, config).rewound_from(created.rewound_from);
        table.by_id.insert(id, Arc::new(run));
    }

    /// Puts every run that has not ended into the queue, the oldest first.
    pub fn enqueue_unfinished(&self) {
        let unfinished: Vec<_> =
            self.table().by_id.values().filter(|run| !run.state().status.is_final()).cloned().collect();
        for run in unfinished {
            tracing::info!(run = %run.id, checkpoint = ?run.goes_on_from(), "the run resumes");
            self.enqueue(run);
        }
        self.publish();
    }

    fn enqueue(&self, run: Arc<Run>) {
        self.publish();
        let runs = self.clone();
        tokio::spawn(async move {
            let Inner { shutdown, .. } = &*runs.0;
            let turn = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = run.cancel.cancelled() => None,
                turn = runs.turn(&run) => Some(turn),
            };
            runs.on_a_thread(run.clone(), turn).await;
            if run.state().status.is_final() {
                runs.keep_history(run.id);
            }
            runs.publish();
        });
    }

    /// Plays the run, or ends one that was cancelled while it waited.
    async fn on_a_thread(&self, run: Arc<Run>, turn: Option<Turn>) {
        let Inner { outside, runtime, shutdown, .. } = &*self.0;
        let (outside, shown) = (outside.clone(), run.clone());
        let waiting = Waiting::new(runtime.clone(), shutdown.clone(), run.clone());
        let (ended, end) = oneshot::channel::<()>();
        let body = move || {
            match turn {
                Some(turn) => play(&outside, &waiting, &run, turn),
                None => end_unplayed(&outside, &waiting, &run),
            }
            drop(ended);
        };
        match std::thread::Builder::new().name("run".into()).spawn(body) {
            // An error: the sender is gone, that is, the thread has ended.
            Ok(_detached) => drop(end.await),
            Err(error) => {
                tracing::error!(run = %shown.id, %error, "no thread for the run; it resumes at the next start");
                let mut state = shown.state();
                state.status = RunStatus::Failed;
                state.error = Some(
                    "the machine gave no thread to play the run on; it resumes when the trainer is started again"
                        .to_owned(),
                );
            }
        }
    }

    async fn fetch_history(&self, run: &Run) -> Result<History, HistoryError> {
        let (checkpoint, interventions) = {
            let state = run.state();
            (state.checkpoints.last().map(|checkpoint| checkpoint.sha256), state.interventions_sha256)
        };
        let Some(checkpoint) = checkpoint else { return Ok(History::default()) };
        let ledger = self.0.outside.ledger.within(FILE_DEADLINE);
        let fetch = async |name: Hash| ledger.artifact(&name).await?.ok_or(HistoryError::Missing(name));
        let bytes = fetch(checkpoint).await?;
        let interventions = match interventions {
            Some(name) => fetch(name).await?,
            None => b"[]".as_slice().into(),
        };
        let read = tokio::task::spawn_blocking(move || {
            let document =
                CheckpointDocument::parse(&bytes).map_err(|e| HistoryError::Damaged(e.to_string()))?;
            let interventions =
                serde_json::from_slice(&interventions).map_err(|e| HistoryError::Damaged(e.to_string()))?;
            let CheckpointDocument { episodes, agents, .. } = document;
            Ok(History { episodes, agents, interventions, windows: VecDeque::new() })
        });
        read.await.map_err(|error| HistoryError::Damaged(error.to_string()))?
    }

    /// Notes that an ended run's figures were used, and drops those that were not used for longest.
    fn keep_history(&self, id: Uuid) {
        let mut table = self.table();
        table.histories.retain(|other| *other != id);
        table.histories.push_back(id);
        if table.histories.len() > HISTORIES_KEPT
            && let Some(oldest) = table.histories.pop_front()
            && let Some(run) = table.by_id.get(&oldest)
        {
            let mut state = run.state();
            // Without a checkpoint there is nothing to read them from again.
            if !state.checkpoints.is_empty() {
                state.history = None;
            }
        }
    }

    fn publish(&self) {
        let statuses: Vec<_> = self.table().by_id.values().map(|run| run.state().status).collect();
        self.0.outside.gauges.runs(statuses.into_iter());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two changes of the table.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
