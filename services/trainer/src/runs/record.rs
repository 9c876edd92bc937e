//! Writing down what a caller asked of a run, while the caller waits.

use api::remembrancer::NewRecord;
use client::LedgerError;

use super::Runs;
use crate::ledger::REQUEST_DEADLINE;

impl Runs {
    /// Appends a record.
    pub(super) async fn record(&self, record: serde_json::Result<NewRecord>) -> Result<(), LedgerError> {
        self.0.outside.ledger.within(REQUEST_DEADLINE).append(&record?).await.map(drop)
    }
}
