//! Cancelling a run.

use api::trainer::RunStatus;
use client::LedgerError;
use records::run::Cancelling;

use super::Runs;
use crate::run::Run;

/// Why a run cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It has ended.
    #[error("the run has already ended")]
    Ended(RunStatus),
    /// The remembrancer did not take the record.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Runs {
    /// Asks a run to end after the episode under way, or at once when it waits. That is in the ledger before this
    /// returns: whoever plays the run, now or later, finds it there.
    ///
    /// # Errors
    /// It has ended; the remembrancer does not take the record.
    pub async fn cancel(&self, run: &Run) -> Result<(), CancelError> {
        let _one_after_the_other = run.commands.lock().await;
        let status = run.state().status;
        if status.is_final() {
            return Err(CancelError::Ended(status));
        }
        if !run.cancel.is_cancelled() {
            let body = Cancelling { run_id: run.id, digest: run.digest };
            self.record(&body).await?;
            run.cancel.cancel();
            // It may have come to its end meanwhile: then this came too late to end it.
            let status = run.state().status;
            if status.is_final() && status != RunStatus::Cancelled {
                return Err(CancelError::Ended(status));
            }
            tracing::info!(run = %run.id, "the run is being cancelled");
        }
        Ok(())
    }
}
