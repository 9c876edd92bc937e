//! The evaluations of this process: started, at work, done.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use api::{
    Page,
    evaluator::{Evaluation, EvaluationResult, EvaluationStatus, NewEvaluation},
};
use chrono::{DateTime, Utc};
use client::LedgerError;
use evaluation::{
    bounds,
    episodes::Contestant,
    plan::Plan,
    progress::Progress,
    work::{Found, evaluate},
};
use records::evaluation::Completed;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{
    conversion::to_wire, error::EvaluationError, known_limits::KnownLimits, ledger::Ledger, plan::plan,
};

/// How many may be at work or wait; their policies are in memory.
const MAX_UNFINISHED: usize = 16;

/// How many ended ones are kept in memory. The completed ones are in the ledger too.
const MAX_ENDED: usize = 200;

/// All evaluations of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Evaluations(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    known_limits: KnownLimits,
    gauges: Gauges,
    slots: Semaphore,
    shutdown: CancellationToken,
    /// The oldest first.
    jobs: Mutex<VecDeque<Arc<Job>>>,
}

/// What is told to whoever watches the service.
pub(crate) struct Gauges {
    pub(crate) unfinished: metrics::Gauge,
    pub(crate) completed: metrics::Counter,
    pub(crate) failed: metrics::Counter,
    pub(crate) episodes: metrics::Counter,
    pub(crate) limits_solved: metrics::Counter,
    pub(crate) limits_known: metrics::Counter,
}

/// One evaluation.
struct Job {
    id: Uuid,
    key: Option<String>,
    config: NewEvaluation,
    created_at: DateTime<Utc>,
    episodes: u64,
    limit_steps: u64,
    progress: Progress,
    outcome: OnceLock<Outcome>,
}

enum Outcome {
    Completed { result: Box<EvaluationResult>, record_id: String },
    Failed(String),
}

impl Evaluations {
    pub(crate) fn new(ledger: Ledger, slots: usize, gauges: Gauges, shutdown: CancellationToken) -> Self {
        let slots = Semaphore::new(slots.max(1));
        let known_limits = KnownLimits::new(ledger.clone());
        Self(Arc::new(Inner { ledger, known_limits, gauges, slots, shutdown, jobs: Mutex::default() }))
    }

    /// Starts an evaluation once everything about it has been checked. The same key again gets the same
    /// evaluation.
    ///
    /// # Errors
    /// A wrong field, a policy that cannot be tested here, a key used for something else, too many waiting.
    pub(crate) async fn start(
        &self,
        config: NewEvaluation,
        key: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<Evaluation, EvaluationError> {
        if let Some(known) = self.known(&self.0.jobs(), key.as_deref(), &config)? {
            return Ok(known);
        }
        let plan = plan(&config).map_err(EvaluationError::Invalid)?;
        self.check_room(&self.0.jobs())?;
        let contestants = self.0.ledger.contestants(&plan).await?;
        let job = Arc::new(Job {
            id: Uuid::now_v7(),
            key,
            config,
            created_at: now,
            episodes: plan.episodes(),
            limit_steps: plan.limit_steps(),
            progress: Progress::default(),
            outcome: OnceLock::new(),
        });
        {
            let mut jobs = self.0.jobs();
            // another request may have come first while the policies were fetched
            if let Some(known) = self.known(&jobs, job.key.as_deref(), &job.config)? {
                return Ok(known);
            }
            self.check_room(&jobs)?;
            jobs.push_back(job.clone());
            forget_oldest(&mut jobs);
        }
        self.0.gauges.unfinished.increment(1.0);
        let evaluation = job.told();
        tokio::spawn(self.clone().run(job, plan, contestants));
        Ok(evaluation)
    }

    /// An evaluation of this process or of an earlier one.
    ///
    /// # Errors
    /// Nobody knows it, or the ledger cannot be asked.
    pub(crate) async fn get(&self, id: Uuid) -> Result<Evaluation, EvaluationError> {
        let job = self.0.jobs().iter().find(|job| job.id == id).cloned();
        match job {
            Some(job) => Ok(job.told()),
            None => self.0.ledger.evaluation(id).await,
        }
    }

    /// Evaluations, the newest first: those of this process, then what earlier ones recorded.
    ///
    /// # Errors
    /// A cursor that is none, or the ledger cannot be asked.
    pub(crate) async fn list(
        &self,
        limit: u32,
        cursor: Option<String>,
    ) -> Result<Page<Evaluation>, EvaluationError> {
        let (mut items, ledger_cursor) = match cursor.as_deref().map(|c| c.split_once(':')) {
            Some(Some(("ledger", rest))) => (Vec::new(), Some(rest.to_owned()).filter(|c| !c.is_empty())),
            Some(Some(("after", id))) if id.parse::<Uuid>().is_ok() => {
                (self.in_memory(Some(id), limit as usize), None)
            }
            Some(_) => return Err(EvaluationError::InvalidCursor(cursor.unwrap_or_default())),
            None => (self.in_memory(None, limit as usize), None),
        };
        if let Some(last) = items.last().filter(|_| items.len() == limit as usize) {
            let next_cursor = Some(format!("after:{}", last.id));
            return Ok(Page { items, next_cursor });
        }
        let rest = self.0.ledger.evaluations(limit - items.len() as u32, ledger_cursor).await?;
        {
            let jobs = self.0.jobs();
            items.extend(rest.items.into_iter().filter(|e| jobs.iter().all(|job| job.id != e.id)));
        }
        Ok(Page { items, next_cursor: rest.next_cursor.map(|cursor| format!("ledger:{cursor}")) })
    }

    /// What is missing to serve.
    pub(crate) async fn missing(&self) -> Vec<String> {
        self.0.ledger.missing().await.into_iter().collect()
    }

    fn in_memory(&self, after: Option<&str>, limit: usize) -> Vec<Evaluation> {
        let jobs = self.0.jobs();
        let newest_first = jobs.iter().rev().map(|job| job.told());
        match after {
            None => newest_first.take(limit).collect(),
            // an id that has been forgotten meanwhile was older than all that are left
            Some(id) => newest_first.skip_while(|e| e.id.to_string() != id).skip(1).take(limit).collect(),
        }
    }

    fn known(
        &self,
        jobs: &VecDeque<Arc<Job>>,
        key: Option<&str>,
        config: &NewEvaluation,
    ) -> Result<Option<Evaluation>, EvaluationError> {
        match jobs.iter().find(|job| key.is_some() && job.key.as_deref() == key) {
            Some(job) if job.config == *config => Ok(Some(job.told())),
            Some(job) => Err(EvaluationError::KeyReused(job.id)),
            None => Ok(None),
        }
    }

    fn check_room(&self, jobs: &VecDeque<Arc<Job>>) -> Result<(), EvaluationError> {
        let unfinished = jobs.iter().filter(|job| job.outcome.get().is_none()).count();
        if unfinished < MAX_UNFINISHED { Ok(()) } else { Err(EvaluationError::Busy(unfinished)) }
    }

    async fn run(self, job: Arc<Job>, plan: Plan, contestants: Vec<Contestant>) {
        let outcome = self.work(&job, plan, contestants).await;
        let gauges = &self.0.gauges;
        gauges.unfinished.decrement(1.0);
        match &outcome {
            // the service is going down: nobody asks any more, and nothing was recorded
            None => return,
            Some(Outcome::Completed { .. }) => {
                gauges.completed.increment(1);
                tracing::info!(evaluation = %job.id, episodes = job.episodes, "evaluation recorded");
            }
            Some(Outcome::Failed(error)) => {
                gauges.failed.increment(1);
                tracing::error!(evaluation = %job.id, error, "evaluation failed");
            }
        }
        if let Some(outcome) = outcome {
            let _ = job.outcome.set(outcome); // only this task sets it
        }
    }

    /// `None` when the service shuts down meanwhile.
    async fn work(&self, job: &Arc<Job>, plan: Plan, contestants: Vec<Contestant>) -> Option<Outcome> {
        let cancel = self.0.shutdown.clone();
        let _slot = tokio::select! {
            slot = self.0.slots.acquire() => slot.ok()?,
            () = cancel.cancelled() => return None,
        };
        let broke_off = |panic| Some(Outcome::Failed(format!("the simulation broke off: {panic}")));
        let _stops = self.cancels(job);
        let plan = Arc::new(plan);
        let (planned, counted) = (plan.clone(), job.clone());
        let keys = tokio::task::spawn_blocking(move || match &planned.sample {
            Some(sample) => bounds::keys(&planned.environment, sample, &planned.seeds, &counted.progress),
            None => Some(Vec::new()),
        });
        let keys = match keys.await {
            Ok(keys) => keys?,
            Err(panic) => return broke_off(panic),
        };
        let known = self.0.known_limits.find(&keys).await;
        let counted = job.clone();
        let found = tokio::task::spawn_blocking(move || {
            evaluate(&plan, &contestants, &keys, known, &counted.progress)
        });
        let Found { report, solved, known_steps, unsolved } = match found.await {
            Ok(found) => found?,
            Err(panic) => return broke_off(panic),
        };
        let result = to_wire(&report);
        if let Some(error) = unsolved {
            let error = &error as &dyn std::error::Error;
            tracing::error!(evaluation = %job.id, error, "the physical limit could not be solved");
        }
        let gauges = &self.0.gauges;
        gauges.episodes.increment(job.episodes);
        gauges.limits_solved.increment(solved.iter().map(|(_, limit)| limit.steps).sum());
        gauges.limits_known.increment(known_steps);
        self.0.known_limits.keep(&solved).await;
        let completed = match Completed::new(job.id, job.config.clone(), result) {
            Ok(completed) => completed,
            Err(error) => return Some(Outcome::Failed(format!("the result is no JSON: {error}"))),
        };
        // An evaluation counts when it is recorded: while the remembrancer is away it waits.
        match self.0.ledger.record(&completed).await {
            Ok(record_id) => Some(Outcome::Completed { result: Box::new(completed.result), record_id }),
            Err(LedgerError::ShuttingDown) => None,
            Err(error) => Some(Outcome::Failed(format!("the ledger refused the result: {error}"))),
        }
    }

    /// Stops the work when the service shuts down, as long as the guard lives.
    fn cancels(&self, job: &Arc<Job>) -> AbortOnDropHandle<()> {
        let (shutdown, stop) = (self.0.shutdown.clone(), CancelWhenDropped(job.clone()));
        AbortOnDropHandle::new(tokio::spawn(async move {
            shutdown.cancelled().await;
            drop(stop);
        }))
    }
}

/// Cancels the work of a job, also when the runtime is shut down without a word: it waits for blocking work, which
/// would otherwise play its episodes to the end.
struct CancelWhenDropped(Arc<Job>);

impl Drop for CancelWhenDropped {
    fn drop(&mut self) {
        self.0.progress.cancel();
    }
}

impl Inner {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn told(&self) -> Evaluation {
        let mut evaluation = Evaluation {
            id: self.id,
            status: EvaluationStatus::Running,
            config: self.config.clone(),
            created_at: self.created_at,
            episodes_done: self.progress.episodes(),
            episodes_total: self.episodes,
            limit_steps_done: self.progress.limit_steps(),
            limit_steps_total: self.limit_steps,
            result: None,
            record_id: None,
            error: None,
        };
        match self.outcome.get() {
            None => {}
            Some(Outcome::Completed { result, record_id }) => {
                evaluation.status = EvaluationStatus::Completed;
                evaluation.result = Some(EvaluationResult::clone(result));
                evaluation.record_id = Some(record_id.clone());
            }
            Some(Outcome::Failed(error)) => {
                evaluation.status = EvaluationStatus::Failed;
                evaluation.error = Some(error.clone());
            }
        }
        evaluation
    }
}

/// Keeps the memory bounded: of those that have ended, the oldest go first.
fn forget_oldest(jobs: &mut VecDeque<Arc<Job>>) {
    let mut surplus = jobs.iter().filter(|job| job.outcome.get().is_some()).count().saturating_sub(MAX_ENDED);
    jobs.retain(|job| {
        let goes = surplus > 0 && job.outcome.get().is_some();
        surplus -= usize::from(goes);
        !goes
    });
}
