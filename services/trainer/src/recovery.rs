//! Finding the runs again: everything that this trainer ever began is in the ledger's records about runs.
//!
//! The trainer keeps nothing on disk. At its start it reads the records, oldest first, page by page;
//! runs without a final record go on from their last checkpoint under the same id. It takes every run's
//! records for its own: one trainer works on a remembrancer.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    remembrancer::{Record, RecordKind, RecordQuery},
    trainer::Recording,
};
use client::{Ledger, LedgerError};
use records::{Body as _, run::RunRecord, serving::Session};
use tokio_util::sync::CancellationToken;

use crate::runs::Runs;

/// All kinds of records about runs, and the one that they had in common in earlier versions.
const RUN: RecordKind = RecordKind::from_static("run");

/// The pause after an answer that asking again at once would not change.
pub const PAUSE: Duration = Duration::from_secs(2);

/// How far the recovery is; cheap to clone.
#[derive(Clone)]
pub struct Recovery(Arc<Mutex<Option<String>>>);

impl Recovery {
    /// Not begun.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Some("the runs are being read from the remembrancer".to_owned()))))
    }

    /// What it waits for, in a sentence; `None` when the runs are there.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads all runs, then lets the unfinished ones go on. Ends when that is done or the trainer shuts
    /// down.
    pub async fn run(self, ledger: Ledger, runs: Runs, shutdown: CancellationToken) {
        let (shown, url) = (self.clone(), ledger.url().to_owned());
        let ledger = ledger.with_observer(move |error| {
            if let Some(error) = error {
                tracing::warn!(%error, "the runs cannot be read from the remembrancer yet");
                shown.show(&url, error);
            }
        });
        let mut records = ledger.records(RecordQuery { kind: Some(RUN), ..RecordQuery::default() });
        loop {
            match records.next().await {
                Ok(Some(record)) => take_over(&runs, &record),
                Ok(None) => break,
                Err(LedgerError::ShuttingDown) => return,
                Err(error) => {
                    // A wrong key or a wrong address: an operator may set it right on the other side.
                    tracing::error!(%error, "the runs cannot be read from the remembrancer");
                    self.show(ledger.url(), &error);
                    if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                        return;
                    }
                }
            }
        }
        runs.enqueue_unfinished();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn show(&self, url: &str, error: &dyn Display) {
        let sentence = format!("the runs cannot be read from the remembrancer at {url} yet ({error})");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sentence);
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self::new()
    }
}

fn take_over(runs: &Runs, record: &Record) {
    let Some(event) = RunRecord::read(record) else {
        // Sessions of policies were of the kind `run` once.
        if Session::read(record).is_err() {
            tracing::warn!(record = record.id, "a record about a run that no trainer wrote is passed over");
        }
        return;
    };
    if let RunRecord::Created(created) = &event {
        match created.exact_config() {
            Ok(config) => {
                runs.adopt(created, config);
            }
            Err(error) => tracing::error!(record = record.id, %error, "the run's settings cannot be read"),
        }
        return;
    }
    match runs.get(event.run()) {
        Some(run) => {
            if let RunRecord::Pause(body) = &event {
                run.apply_pause(body);
            }
            let recording = run.config.recording == Recording::All;
            run.state().replay(&event, record.recorded_at, recording);
        }
        None => tracing::warn!(record = record.id, "a record of a run that was never created is passed over"),
    }
}
