//! Asking the remembrancer on behalf of a caller who waits, but not for ever.

use std::time::Duration;

use client::{ClientError, retry_while_transient};
use service_kit::ApiError;
use tokio_util::sync::CancellationToken;

/// How long a caller waits for a remembrancer that is away.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a caller waits for a policy file, which may be large.
const PATIENCE_WITH_FILES: Duration = Duration::from_secs(25);

/// Why the remembrancer did not do what a caller's request needs.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It did not answer in time.
    #[error("the remembrancer did not answer in time")]
    Away,
    /// It refused.
    #[error("the remembrancer refused")]
    Refused(#[source] ClientError),
}

/// Asks until there is an answer, for as long as [`PATIENCE`] says.
///
/// # Errors
/// No answer in time, or a refusal.
pub async fn patiently<T, A, F>(shutdown: &CancellationToken, ask: A) -> Result<T, LedgerError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, ClientError>>,
{
    within(PATIENCE, shutdown, ask).await
}

/// As [`patiently`], for what may be large.
///
/// # Errors
/// As [`patiently`].
pub async fn patiently_with_files<T, A, F>(shutdown: &CancellationToken, ask: A) -> Result<T, LedgerError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, ClientError>>,
{
    within(PATIENCE_WITH_FILES, shutdown, ask).await
}

impl LedgerError {
    /// True when the remembrancer says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_not_found())
    }

    /// True when the remembrancer holds something else there.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(error) if error.status() == Some(409))
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Away => Self::unavailable(
                "remembrancer_unavailable",
                "What is answered here is in the ledger first, and the remembrancer did not answer in time. Repeat \
                 the request, with the same Idempotency-Key if it had one.",
                error,
            ),
            LedgerError::Refused(_) => Self::internal(error),
        }
    }
}

async fn within<T, A, F>(patience: Duration, shutdown: &CancellationToken, ask: A) -> Result<T, LedgerError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, ClientError>>,
{
    match tokio::time::timeout(patience, retry_while_transient(shutdown, ask, |_| ())).await {
        Err(_) | Ok(Err(ClientError::Cancelled)) => Err(LedgerError::Away),
        Ok(answer) => answer.map_err(LedgerError::Refused),
    }
}
