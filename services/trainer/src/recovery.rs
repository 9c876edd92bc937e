//! Finding the runs again: everything that a trainer ever began is in the ledger's records about runs.
//!
//! The trainer keeps nothing on disk. At its start it reads the records, oldest first, page by page, and from then on
//! what is new. Runs without a final record go on from their last checkpoint under the same id, on whichever trainer
//! claims them first.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use client::{Ledger, LedgerError};
use tokio_util::sync::CancellationToken;

use crate::runs::Runs;

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

    /// Reads all runs, whereupon the unfinished ones go on, and follows the ledger until the trainer shuts down.
    pub async fn run(self, ledger: Ledger, runs: Runs, shutdown: CancellationToken) {
        let (shown, url) = (self.clone(), ledger.url().to_owned());
        let ledger = ledger.with_observer(move |error| {
            if let Some(error) = error {
                tracing::warn!(%error, "the runs cannot be read from the remembrancer yet");
                shown.show(&url, error);
            }
        });
        while let Err(error) = runs.catch_up(&ledger).await {
            if matches!(error, LedgerError::ShuttingDown) {
                return;
            }
            // A wrong key or a wrong address: an operator may set it right on the other side.
            tracing::error!(%error, "the runs cannot be read from the remembrancer");
            self.show(ledger.url(), &error);
            if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        runs.follow().await;
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
