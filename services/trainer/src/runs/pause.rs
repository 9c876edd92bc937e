//! Pausing and resuming a run.

use api::trainer::RunStatus;
use client::LedgerError;
use records::run::Pause;

use super::Runs;
use crate::run::Run;

/// Why a run cannot be paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// It has ended.
    #[error("the run has already ended")]
    Ended(RunStatus),
    /// It was cancelled and ends after its episode.
    #[error("the run is being cancelled")]
    Cancelled,
    /// It is paused, or will be at the end of its step.
    #[error("the run is already paused")]
    AlreadyPaused,
    /// It is not paused.
    #[error("the run is not paused")]
    NotPaused,
    /// The remembrancer did not take the record.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Runs {
    /// Lets a run stand still from the end of its step on, or before its turn. That is in the ledger before
    /// this returns: the next start of the trainer finds the run paused.
    ///
    /// # Errors
    /// It has ended, will end, or is paused already; the remembrancer does not take the record.
    pub async fn pause(&self, run: &Run) -> Result<(), PauseError> {
        self.pause_or_resume(run, false).await
    }

    /// Lets a run go on that was paused.
    ///
    /// # Errors
    /// It has ended, will end, or is not paused; the remembrancer does not take the record.
    pub async fn resume(&self, run: &Run) -> Result<(), PauseError> {
        self.pause_or_resume(run, true).await
    }

    async fn pause_or_resume(&self, run: &Run, resumed: bool) -> Result<(), PauseError> {
        let _one_after_the_other = run.commands.lock().await;
        let number = {
            let state = run.state();
            if state.status.is_final() {
                return Err(PauseError::Ended(state.status));
            }
            if run.cancel.is_cancelled() {
                return Err(PauseError::Cancelled);
            }
            match (resumed, run.is_paused()) {
                (false, true) => return Err(PauseError::AlreadyPaused),
                (true, false) => return Err(PauseError::NotPaused),
                (false, false) => state.pauses + 1,
                (true, true) => state.pauses,
            }
        };
        let body = Pause { run_id: run.id, digest: run.digest, number, resumed };
        self.record(&body).await?;
        run.apply_pause(&body);
        self.publish();
        tracing::info!(run = %run.id, number, resumed, "a pause begins or ends");
        Ok(())
    }
}
