//! What a caller waits for, but not for long: a run's record, or an artifact.

use std::time::Duration;

use client::{ClientError, retry_while_transient};

use super::Runs;
use crate::records::RunRecord;

/// How long a caller waits for a remembrancer that is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the remembrancer did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It refused.
    #[error("the remembrancer refused")]
    Refused(#[source] ClientError),
    /// It is away, and there was no time to wait for it. Whether it has the record is not known.
    #[error("the remembrancer did not answer within {} s", PATIENCE.as_secs())]
    Away,
}

impl Runs {
    /// Appends a record.
    pub(super) async fn record(&self, record: &RunRecord) -> Result<(), RecordError> {
        let record = record.to_new_record();
        self.patiently(|| self.0.outside.remembrancer.post_record(&record))
            .await?
            .map(drop)
            .map_err(RecordError::Refused)
    }

    /// Asks again while the remembrancer is away, for a while.
    pub(super) async fn patiently<T, A, F>(&self, ask: A) -> Result<Result<T, ClientError>, RecordError>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, ClientError>>,
    {
        let asked = retry_while_transient(&self.0.shutdown, ask, |_| ());
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Err(ClientError::Cancelled)) | Err(_) => Err(RecordError::Away),
            Ok(answer) => Ok(answer),
        }
    }
}
