//! Giving a run other labels.

use api::trainer::RunPatch;
use client::LedgerError;
use records::run::Labelled;
use uuid::Uuid;

use super::Runs;
use crate::run::Run;

impl Runs {
    /// Changes a run's labels, also after its end. That is in the ledger before this returns; a change to
    /// what is there already is not recorded.
    ///
    /// # Errors
    /// The remembrancer does not take the record.
    pub async fn label(&self, run: &Run, patch: RunPatch) -> Result<(), LedgerError> {
        let _one_after_the_other = run.commands.lock().await;
        let mut labels = run.state().labels.clone();
        if !labels.apply(patch) {
            return Ok(());
        }
        let body = Labelled { run_id: run.id, digest: run.digest, change: Uuid::now_v7(), labels };
        self.record(&body).await?;
        run.state().labels = body.labels;
        Ok(())
    }
}
