//! What a run's thread asks of the remembrancer.

use std::sync::Arc;

use api::{
    Hash,
    remembrancer::{Decision, RunHead},
};
use client::{Recorder, RecorderOptions, Remembrancer};
use merkle_log::Frontier;

use crate::{
    digest::sha256,
    records::RunRecord,
    waiting::{Halt, Waiting},
};

/// Decisions in a post, at most.
const BATCH: usize = 4000;

/// Posts that may wait for the one under way; then the run waits too.
const QUEUE_BATCHES: usize = 4;

/// The name of the service in what a run says that it waits for.
const WHOM: &str = "remembrancer";

/// The remembrancer, for one run.
pub struct Ledger {
    remembrancer: Remembrancer,
    waiting: Waiting,
    recorder: Option<Arc<Recorder>>,
}

impl Ledger {
    /// Without a recorder.
    #[must_use]
    pub fn new(remembrancer: Remembrancer, waiting: Waiting) -> Self {
        Self { remembrancer, waiting, recorder: None }
    }

    /// Starts to record decisions; `frontier` is over those before the first. A log that does not know
    /// the run yet begins there.
    pub fn start_recorder(&mut self, frontier: &Frontier) -> Arc<Recorder> {
        let hashes = frontier.hashes().iter().copied().map(Hash).collect();
        let options = RecorderOptions {
            batch: BATCH,
            queue_batches: QUEUE_BATCHES,
            opening_frontier: (!frontier.is_empty()).then_some((frontier.len(), hashes)),
            cancel: self.waiting.shutdown().clone(),
        };
        let _inside = self.waiting.runtime().enter();
        let recorder = Arc::new(Recorder::start(self.remembrancer.clone(), options));
        self.recorder = Some(recorder.clone());
        recorder
    }

    /// Hands decisions to the recorder; waits while its queue is full. Without a recorder it does
    /// nothing.
    ///
    /// # Errors
    /// The trainer shuts down, or the remembrancer refused decisions.
    pub fn record(&self, decisions: Vec<Decision>) -> Result<(), Halt> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        recorder.record(decisions).map_err(|error| self.refused(&error))
    }

    /// Waits until the log holds everything that was handed over.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn flush(&self) -> Result<(), Halt> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        recorder.flush().map_err(|error| self.refused(&error))
    }

    /// Stores an artifact; its name.
    ///
    /// # Errors
    /// The trainer shuts down, or the remembrancer refuses it.
    pub fn put_json(&self, what: &str, bytes: Vec<u8>) -> Result<Hash, Halt> {
        let name = sha256(&bytes);
        let bytes = axum::body::Bytes::from(bytes); // cloned without copying
        let put = || self.remembrancer.put_artifact("application/json", bytes.clone());
        self.waiting.must(WHOM, &format!("storing {what}"), put)?;
        Ok(name)
    }

    /// Fetches an artifact; `None` when the remembrancer does not have it.
    ///
    /// # Errors
    /// As [`Ledger::put_json`].
    pub fn artifact(&self, name: Hash) -> Result<Option<Vec<u8>>, Halt> {
        match self.waiting.ask(WHOM, || self.remembrancer.artifact(&name))? {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Halt::Failed(format!("fetching the artifact {name}: {error}"))),
        }
    }

    /// Appends a record.
    ///
    /// # Errors
    /// As [`Ledger::put_json`].
    pub fn append(&self, record: &RunRecord) -> Result<(), Halt> {
        let record = record.to_new_record();
        let id = record.id.clone().unwrap_or_default();
        self.waiting
            .must(WHOM, &format!("recording {id}"), || self.remembrancer.post_record(&record))
            .map(|_receipt| ())
    }

    /// Where the run's decisions stand in the log; `None` when it has none of them.
    ///
    /// # Errors
    /// As [`Ledger::put_json`].
    pub fn run_head(&self, run: Hash) -> Result<Option<RunHead>, Halt> {
        match self.waiting.ask(WHOM, || self.remembrancer.run_head(&run))? {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Halt::Failed(format!("asking for the run's root: {error}"))),
        }
    }

    fn refused(&self, error: &impl std::fmt::Display) -> Halt {
        match self.waiting.check() {
            Err(shutdown) => shutdown,
            Ok(()) => Halt::Failed(format!(
                "the remembrancer refused the run's decisions: {error}. If the log holds other decisions of a run with \
                 this configuration (one that went on without psi-field, or met interventions by hand), start this one \
                 with another seed or on another log"
            )),
        }
    }
}
