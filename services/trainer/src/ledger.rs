//! The ledger as the trainer uses it: how long callers wait for it, and what a run's own thread asks of it.

use std::{fmt::Display, sync::Arc, time::Duration};

use api::{
    Hash,
    remembrancer::{Decision, Record, RunHead},
};
use client::{Deadline, Ledger, LedgerError, RecordError, Recorder, RecorderOptions};
use merkle_log::Frontier;
use records::{
    Body as _,
    run::{Checkpointed, Ended},
};

use crate::{
    federation::FederationError,
    run_waiter::{Halt, RunWaiter},
};

/// How long a caller's request waits for a remembrancer that is away.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How long it waits for a policy file or a checkpoint, which may be large.
pub const FILE_DEADLINE: Duration = Duration::from_secs(25);

/// How long a reader waits for what other trainers did meanwhile, before it gets what is known here.
pub const GLANCE: Duration = Duration::from_millis(500);

/// Decisions in a post, at most.
const BATCH: usize = 4000;

/// Posts that may wait for the one under way; then the run waits too.
const QUEUE_BATCHES: usize = 4;

/// The name of the service in what a run says that it waits for.
const WHOM: &str = "remembrancer";

/// The ledger for one run, asked from the run's own thread. While the remembrancer is away the run says that it waits
/// for it, and waits until the trainer shuts down. All that is written comes under the run's lease: when another trainer
/// has the run, the ledger refuses it.
pub struct RunLedger {
    ledger: Ledger,
    waiter: RunWaiter,
    recorder: Option<Arc<Recorder>>,
}

impl RunLedger {
    /// Without a recorder.
    #[must_use]
    pub fn new(ledger: &Ledger, waiter: RunWaiter) -> Self {
        let shown = waiter.clone();
        let ledger = ledger
            .with_deadline(Deadline::shutting_down(waiter.stop().clone()))
            .with_observer(move |error| shown.show(WHOM, error))
            .fenced(waiter.lease().fence());
        Self { ledger, waiter, recorder: None }
    }

    /// Starts to record decisions; `frontier` is over those before the first. A log that does not know
    /// the run yet begins there.
    pub fn start_recorder(&mut self, frontier: &Frontier) -> Arc<Recorder> {
        let hashes = frontier.hashes().iter().copied().map(Hash).collect();
        let options = RecorderOptions {
            batch: BATCH,
            queue_batches: QUEUE_BATCHES,
            opening_frontier: (!frontier.is_empty()).then_some((frontier.len(), hashes)),
            cancel: self.waiter.stop().clone(),
        };
        let _inside = self.waiter.runtime().enter();
        let recorder = Arc::new(self.ledger.recorder(options));
        self.recorder = Some(recorder.clone());
        recorder
    }

    /// Hands decisions to the recorder; waits while its queue is full. Without a recorder it does
    /// nothing.
    ///
    /// # Errors
    /// The trainer shuts down or has lost the run, or the remembrancer refused decisions.
    pub fn record(&self, decisions: Vec<Decision>) -> Result<(), Halt> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        recorder.record(decisions).map_err(|error| self.refused(&error))
    }

    /// Waits until the log holds everything that was handed over.
    ///
    /// # Errors
    /// As [`RunLedger::record`].
    pub fn flush(&self) -> Result<(), Halt> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        recorder.flush().map_err(|error| self.refused(&error))
    }

    /// Stores an artifact; its name.
    ///
    /// # Errors
    /// The trainer shuts down or has lost the run, or the remembrancer refuses it.
    pub fn put_json(&self, what: &str, bytes: Vec<u8>) -> Result<Hash, Halt> {
        self.put(what, "application/json", bytes)
    }

    /// As [`RunLedger::put_json`], for content of another type.
    ///
    /// # Errors
    /// Likewise.
    pub fn put(&self, what: &str, media_type: &str, bytes: Vec<u8>) -> Result<Hash, Halt> {
        self.wait(format_args!("storing {what}"), self.ledger.put_artifact(media_type, bytes))
    }

    /// Fetches an artifact; `None` when the remembrancer does not have it.
    ///
    /// # Errors
    /// As [`RunLedger::put_json`].
    pub fn artifact(&self, name: Hash) -> Result<Option<Vec<u8>>, Halt> {
        let content = self.wait(format_args!("fetching the artifact {name}"), self.ledger.artifact(&name))?;
        Ok(content.map(Into::into))
    }

    /// Appends the record of the run's end; the id that it has. When an end with the same decisions is there, that is the
    /// one.
    ///
    /// # Errors
    /// As [`RunLedger::put_json`].
    pub fn append_end(&self, ended: &Ended) -> Result<String, Halt> {
        let is_same = |there: &Record| {
            Ended::read(there).is_ok_and(|there| {
                (there.digest, there.decisions, there.run_root)
                    == (ended.digest, ended.decisions, ended.run_root)
            })
        };
        let append = async {
            match self.ledger.append_own(&ended.to_record()?, is_same).await {
                Err(error) if error.code() == Some("record_conflict") => {
                    let id = |record: &Record| is_same(record).then(|| record.id.clone());
                    self.ledger.find(&ended.id(), &ended.subject(), id).await?.ok_or(error)
                }
                answer => answer.map(|(receipt, _)| receipt.id),
            }
        };
        self.wait(format_args!("recording {}", ended.id()), append)
    }

    /// Records a checkpoint; the one that the ledger has. That may be another than this one: whoever played the run
    /// before may have recorded it at the last moment, and what psi-field says of itself in it (times, identities)
    /// differs from one process to the next. The same decisions up to the same episode make it as good as one's own.
    ///
    /// # Errors
    /// As [`RunLedger::put_json`]; also when the recorded one is of other decisions.
    pub fn append_checkpoint(&self, own: Checkpointed) -> Result<Checkpointed, Halt> {
        let doing = format!("recording {}", own.id());
        let same = |there: &Record| {
            Checkpointed::read(there).ok().filter(|there| {
                (there.digest, there.episodes_done, there.decisions, there.run_root)
                    == (own.digest, own.episodes_done, own.decisions, own.run_root)
            })
        };
        let append = async { self.ledger.append_own(&own.to_record()?, |there| same(there).is_some()).await };
        match self.waiter.runtime().block_on(append) {
            Err(error) if error.code() == Some("record_conflict") => {
                let recorded = self.wait(&doing, self.ledger.find(&own.id(), &own.subject(), same))?;
                let adopted =
                    recorded.ok_or_else(|| Halt::Failed(format!("{doing}: {error}, of other decisions")))?;
                tracing::info!(run = %own.run_id, episodes_done = own.episodes_done, "a recorded checkpoint is adopted");
                Ok(adopted)
            }
            answer => answer.map(|_receipt| own).map_err(|error| self.refused_call(&doing, error)),
        }
    }

    /// Where the run's decisions stand in the log; `None` when it has none of them.
    ///
    /// # Errors
    /// As [`RunLedger::put_json`].
    pub fn run_head(&self, run: Hash) -> Result<Option<RunHead>, Halt> {
        self.wait("asking for the run's root", self.ledger.run_head(&run))
    }

    /// Does something with the ledger under the run's lease that takes several calls.
    ///
    /// # Errors
    /// As [`RunLedger::put_json`]; also when what is in the ledger cannot be used.
    pub fn federate<T>(
        &self,
        doing: &str,
        act: impl AsyncFnOnce(&Ledger) -> Result<T, FederationError>,
    ) -> Result<T, Halt> {
        self.waiter.runtime().block_on(act(&self.ledger)).map_err(|error| match error {
            FederationError::Ledger(error) => self.refused_call(doing, error),
            error => Halt::Failed(format!("{doing}: {error}")),
        })
    }

    fn wait<T>(
        &self,
        doing: impl Display,
        asked: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, Halt> {
        self.waiter.runtime().block_on(asked).map_err(|error| self.refused_call(doing, error))
    }

    fn refused_call(&self, doing: impl Display, error: LedgerError) -> Halt {
        match error {
            LedgerError::ShuttingDown => self.waiter.halt(),
            error if error.is_lease_lost() => Halt::Lost,
            error => Halt::Failed(format!("{doing}: {error}")),
        }
    }

    fn refused(&self, error: &RecordError) -> Halt {
        match error {
            RecordError::Cancelled => self.waiter.halt(),
            RecordError::Refused { error, .. } if error.is_lease_lost() => Halt::Lost,
            error => match self.waiter.check() {
                Err(halt) => halt,
                Ok(()) => Halt::Failed(format!(
                    "the remembrancer refused the run's decisions: {error}. If the log holds other decisions of a run \
                     with this configuration (one that went on without psi-field, or met interventions by hand), start \
                     this one with another seed or on another log"
                )),
            },
        }
    }
}
