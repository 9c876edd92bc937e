//! Finding the runs again: everything that this trainer ever began is in the ledger's `run` records.
//!
//! The trainer keeps nothing on disk. At its start it reads the records, oldest first, page by page;
//! runs without a final record go on from their last checkpoint under the same id. It takes every `run`
//! record for its own: one trainer works on a remembrancer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    Page,
    remembrancer::{Record, RecordKind, RecordQuery},
    trainer::Recording,
};
use client::{ClientError, Remembrancer, Wait, retry_while_transient};
use tokio_util::sync::CancellationToken;

use crate::{records::RunRecord, runs::Runs, serving::is_stream_record};

/// Records asked for at once.
const PAGE: u32 = 1000;

/// The pause after an answer that asking again at once would not change.
const PAUSE: Duration = Duration::from_secs(2);

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
    pub async fn run(self, remembrancer: Remembrancer, runs: Runs, shutdown: CancellationToken) {
        let mut cursor = None;
        loop {
            let query = RecordQuery {
                kind: Some(RecordKind::Run),
                limit: Some(PAGE),
                cursor: cursor.clone(),
                ..RecordQuery::default()
            };
            let away = |wait: Wait<'_>| self.show(&remembrancer, wait.error);
            match retry_while_transient(&shutdown, || remembrancer.records(&query), away).await {
                Ok(Page { items, next_cursor }) => {
                    items.iter().for_each(|record| take_over(&runs, record));
                    match next_cursor {
                        Some(next) => cursor = Some(next),
                        None => break,
                    }
                }
                Err(ClientError::Cancelled) => return,
                Err(error) => {
                    // A wrong key or a wrong address: an operator may set it right on the other side.
                    tracing::error!(%error, "the runs cannot be read from the remembrancer");
                    self.show(&remembrancer, &error);
                    if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                        return;
                    }
                }
            }
        }
        runs.enqueue_unfinished();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn show(&self, remembrancer: &Remembrancer, error: &ClientError) {
        let url = &remembrancer.endpoint().url;
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
    if is_stream_record(record) {
        return;
    }
    let Some(event) = RunRecord::parse(record) else {
        tracing::warn!(record = record.id, "a `run` record that no trainer wrote is passed over");
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
