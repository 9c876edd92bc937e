//! All runs of this trainer: who plays now, who waits, who has ended.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    FieldError, Hash,
    trainer::{NewRun, RunStatus},
};
use client::{ClientError, retry_while_transient};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    checkpoint::{CheckpointDocument, CheckpointError},
    digest::sha256,
    ledger::Ledger,
    records::{Created, Ended, RunRecord},
    run::{History, Run},
    run_config::RunPlan,
    waiting::Waiting,
    worker::{Outside, finish, play},
};

/// How many runs may wait or be at work.
pub const MOST_UNFINISHED: usize = 1000;

/// The figures of so many ended runs are in memory; those of the others are read again from their
/// checkpoints when somebody asks.
const HISTORIES_KEPT: usize = 16;

/// How long a caller who starts a run waits for a remembrancer that is away.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Fields are wrong.
    #[error("the run is not valid")]
    Invalid(Vec<FieldError>),
    /// The key was used for another run.
    #[error("this Idempotency-Key was used for the run {0}, which was asked for with another body")]
    KeyReused(Uuid),
    /// Too many wait already.
    #[error("{MOST_UNFINISHED} runs wait or are at work already")]
    TooMany,
    /// The checkpoint does not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The remembrancer has no such checkpoint.
    #[error("the remembrancer has no artifact {0}")]
    CheckpointMissing(Hash),
    /// The remembrancer did not take the run's record.
    #[error("the run could not be recorded")]
    Ledger(#[source] ClientError),
    /// The remembrancer is away, and there was no time to wait for it.
    #[error("the remembrancer did not answer within {} s", PATIENCE.as_secs())]
    LedgerAway,
    /// The program is wrong.
    #[error("{0}")]
    Internal(String),
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
    Ledger(#[from] ClientError),
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

    /// Starts a run, or finds the one that the same key started. It is in the ledger before this
    /// returns, so that it is not forgotten from then on.
    ///
    /// # Errors
    /// Nothing was started.
    pub async fn create(&self, config: NewRun, key: Option<String>) -> Result<Arc<Run>, CreateError> {
        let request = sha256(&serde_json::to_vec(&config).map_err(|e| CreateError::Internal(e.to_string()))?);
        if let Some(run) = self.started_with(key.as_deref(), request)? {
            return Ok(run);
        }
        let plan = RunPlan::new(&config).map_err(CreateError::Invalid)?;
        if let Some(name) = config.resume_from {
            self.check_checkpoint(name, &config, &plan).await?;
        }
        let id = self.reserve(key.as_deref(), request)?;
        let created = Created {
            run_id: id,
            digest: plan.digest,
            environment_sha256: plan.environment_sha256,
            environment_json: Created::environment_json(&config.environment),
            config: config.clone(),
            idempotency_key: key.clone(),
        };
        if let Err(error) = self.record(&RunRecord::Created(Box::new(created))).await {
            // What was refused was not recorded; after any other error that is unknown, and the same key
            // must lead to the same run.
            if matches!(error, CreateError::Ledger(_)) {
                self.release(key.as_deref());
            }
            return Err(error);
        }
        let run = Arc::new(Run::new(id, plan.digest, config));
        let (run, is_new) = self.insert(run);
        if is_new {
            tracing::info!(run = %run.id, digest = %run.digest, "run created");
            self.enqueue(run.clone());
        }
        Ok(run)
    }

    /// A run by its id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<Run>> {
        self.table().by_id.get(&id).cloned()
    }

    /// Up to `limit` runs, the newest first, from the one after `after` on.
    #[must_use]
    pub fn list(&self, status: Option<RunStatus>, after: Option<Uuid>, limit: usize) -> Vec<Arc<Run>> {
        let below = after.map_or(Bound::Unbounded, Bound::Excluded);
        let table = self.table();
        // UUIDv7 are ordered by time.
        let newest_first = table.by_id.range((Bound::Unbounded, below)).rev().map(|(_, run)| run);
        newest_first
            .filter(|run| status.is_none_or(|status| run.state().status == status))
            .take(limit)
            .cloned()
            .collect()
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
    pub fn adopt(&self, run: Arc<Run>, key: Option<String>) {
        let mut table = self.table();
        if let (Some(key), Ok(bytes)) = (key, serde_json::to_vec(&run.config)) {
            table.keys.insert(key, Key { request: sha256(&bytes), run: run.id });
        }
        table.by_id.insert(run.id, run);
    }

    /// Puts every run that has not ended into the queue, the oldest first.
    pub fn enqueue_unfinished(&self) {
        let unfinished: Vec<_> =
            self.table().by_id.values().filter(|run| !run.state().status.is_final()).cloned().collect();
        for run in unfinished {
            tracing::info!(run = %run.id, checkpoint = ?run.goes_on_from(), "the run goes on");
            self.enqueue(run);
        }
        self.publish();
    }

    fn enqueue(&self, run: Arc<Run>) {
        self.publish();
        let runs = self.clone();
        // Polled in the order of creation; the semaphore is first come, first served.
        let slot = self.0.slots.clone().acquire_owned();
        tokio::spawn(async move {
            let Inner { shutdown, .. } = &*runs.0;
            let slot = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = run.cancel.cancelled() => None,
                slot = slot => slot.ok(),
            };
            let begins = slot.is_some();
            if begins {
                run.state().status = RunStatus::Running;
                runs.publish();
            }
            runs.on_a_thread(run.clone(), begins).await;
            drop(slot);
            if run.state().status.is_final() {
                runs.keep_history(run.id);
            }
            runs.publish();
        });
    }

    /// Plays the run, or ends one that was cancelled while it waited.
    async fn on_a_thread(&self, run: Arc<Run>, begins: bool) {
        let Inner { outside, runtime, shutdown, .. } = &*self.0;
        let (outside, shown) = (outside.clone(), run.clone());
        let waiting = Waiting::new(runtime.clone(), shutdown.clone(), run.clone());
        let (ended, end) = oneshot::channel::<()>();
        let body = move || {
            if begins {
                play(&outside, &waiting, &run);
            } else {
                end_unplayed(&outside, &waiting, &run);
            }
            drop(ended);
        };
        match std::thread::Builder::new().name("run".into()).spawn(body) {
            // An error: the sender is gone, that is, the thread has ended.
            Ok(_detached) => drop(end.await),
            Err(error) => {
                tracing::error!(run = %shown.id, %error, "no thread for the run; it goes on at the next start");
                let mut state = shown.state();
                state.status = RunStatus::Failed;
                state.error = Some(
                    "the machine gave no thread to play the run on; it goes on when the trainer is started again"
                        .to_owned(),
                );
            }
        }
    }

    fn started_with(&self, key: Option<&str>, request: Hash) -> Result<Option<Arc<Run>>, CreateError> {
        let table = self.table();
        match key.and_then(|key| table.keys.get(key)) {
            Some(known) if known.request != request => Err(CreateError::KeyReused(known.run)),
            Some(known) => Ok(table.by_id.get(&known.run).cloned()),
            None => Ok(None),
        }
    }

    /// The id of a new run; the same one for the same key.
    fn reserve(&self, key: Option<&str>, request: Hash) -> Result<Uuid, CreateError> {
        let mut table = self.table();
        let unfinished = table.by_id.values().filter(|run| !run.state().status.is_final()).count();
        if unfinished >= MOST_UNFINISHED {
            return Err(CreateError::TooMany);
        }
        let Some(key) = key else { return Ok(Uuid::now_v7()) };
        let known = *table.keys.entry(key.to_owned()).or_insert_with(|| Key { request, run: Uuid::now_v7() });
        if known.request == request { Ok(known.run) } else { Err(CreateError::KeyReused(known.run)) }
    }

    fn release(&self, key: Option<&str>) {
        if let Some(key) = key {
            self.table().keys.remove(key);
        }
    }

    /// Two calls with the same key may come here with the same run; the first one counts.
    fn insert(&self, run: Arc<Run>) -> (Arc<Run>, bool) {
        let mut table = self.table();
        if let Some(there) = table.by_id.get(&run.id) {
            return (there.clone(), false);
        }
        table.by_id.insert(run.id, run.clone());
        (run, true)
    }

    async fn record(&self, record: &RunRecord) -> Result<(), CreateError> {
        let record = record.to_new_record();
        self.patiently(|| self.0.outside.remembrancer.post_record(&record))
            .await?
            .map(drop)
            .map_err(CreateError::Ledger)
    }

    async fn check_checkpoint(&self, name: Hash, config: &NewRun, plan: &RunPlan) -> Result<(), CreateError> {
        let bytes = match self.patiently(|| self.0.outside.remembrancer.artifact(&name)).await? {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Err(CreateError::CheckpointMissing(name)),
            Err(error) => return Err(CreateError::Ledger(error)),
        };
        // It may be large.
        let document = tokio::task::spawn_blocking(move || CheckpointDocument::parse(&bytes))
            .await
            .map_err(|error| CreateError::Internal(error.to_string()))??;
        Ok(document.check(config, plan)?)
    }

    async fn patiently<T, A, F>(&self, ask: A) -> Result<Result<T, ClientError>, CreateError>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, ClientError>>,
    {
        let asked = retry_while_transient(&self.0.shutdown, ask, |_| ());
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Err(ClientError::Cancelled)) | Err(_) => Err(CreateError::LedgerAway),
            Ok(answer) => Ok(answer),
        }
    }

    async fn fetch_history(&self, run: &Run) -> Result<History, HistoryError> {
        let (checkpoint, interventions) = {
            let state = run.state();
            (state.checkpoints.last().map(|checkpoint| checkpoint.sha256), state.interventions_sha256)
        };
        let Some(checkpoint) = checkpoint else { return Ok(History::default()) };
        let remembrancer = &self.0.outside.remembrancer;
        let bytes = remembrancer.artifact(&checkpoint).await?;
        let interventions = match interventions {
            Some(name) => remembrancer.artifact(&name).await?,
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

/// Ends a run that was cancelled before its turn.
fn end_unplayed(outside: &Outside, waiting: &Waiting, run: &Run) {
    let ledger = Ledger::new(outside.remembrancer.clone(), waiting.clone());
    let ended = {
        let state = run.state();
        Ended {
            run_id: run.id,
            digest: run.digest,
            status: RunStatus::Cancelled,
            run_root: state.run_root,
            decisions: state.decisions,
            episodes_done: state.episodes_done,
            policy_sha256: None,
            checkpoint_sha256: state.checkpoints.last().map(|checkpoint| checkpoint.sha256),
            reproducible: state.reproducible,
            error: None,
        }
    };
    if let Err(halt) = finish(&ledger, run, ended) {
        tracing::warn!(run = %run.id, ?halt, "the cancelled run's record was not written");
    }
}
