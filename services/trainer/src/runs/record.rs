//! Writing down what a caller asked of a run, while the caller waits.

use client::LedgerError;
use records::Body;

use super::Runs;
use crate::ledger::REQUEST_DEADLINE;

impl Runs {
    /// Appends a record.
    pub(super) async fn record(&self, body: &impl Body) -> Result<(), LedgerError> {
        self.0.outside.ledger.within(REQUEST_DEADLINE).append_body(body).await.map(drop)
    }
}
