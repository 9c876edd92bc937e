use std::{future::Future, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::ClientError;

/// What [`retry_while_transient`] tells its caller before each pause.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// Why the call failed.
    pub error: &'a ClientError,
    /// How long the pause is.
    pub pause: Duration,
}

/// Repeats a call until it succeeds or fails for good: first after 50 ms, then after ever longer
/// pauses up to 2 s, for ever. A service's `Retry-After` makes a pause longer (up to a minute), never
/// shorter. `on_wait` is called before each pause, so that a caller can show what it waits for.
///
/// All tries are in one trace: the one of the request that is being served, else one of their own, which
/// the log lines of `on_wait` carry.
///
/// The call may have been carried out although its answer was lost: it must be one that may be
/// repeated (a body with its own identity, or an `Idempotency-Key`).
///
/// # Errors
/// What [`ClientError::is_transient`] is false for, and [`ClientError::Cancelled`] as soon as
/// `cancel` is, during a call too.
pub async fn retry_while_transient<T, F, Fut>(
    cancel: &CancellationToken,
    mut call: F,
    mut on_wait: impl FnMut(Wait<'_>),
) -> Result<T, ClientError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ClientError>>,
{
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build();
    let tries = async {
        loop {
            let error = match call().await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            let asked = error.retry_after().unwrap_or_default().min(LONGEST_RETRY_AFTER);
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE).max(asked);
            on_wait(Wait { error: &error, pause });
            tokio::time::sleep(pause).await;
        }
    };
    let tries = async {
        if trace_context::current().is_some() {
            return tries.await;
        }
        let span = trace_context::Span::begin();
        let logged = tracing::info_span!("background", trace_id = span.trace_id());
        trace_context::within(span, tries).instrument(logged).await
    };
    cancel.run_until_cancelled(tries).await.unwrap_or(Err(ClientError::Cancelled))
}

const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
