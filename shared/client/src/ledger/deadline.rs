use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long to wait for a service that is away: until the process shuts down, or until a moment before.
#[derive(Clone, Debug)]
pub struct Deadline {
    shutdown: CancellationToken,
    at: Option<Instant>,
}

impl Deadline {
    /// Until the process shuts down.
    #[must_use]
    pub fn shutting_down(shutdown: CancellationToken) -> Self {
        Self { shutdown, at: None }
    }

    /// So long from now, and not beyond this one.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        let at = Instant::now() + time;
        Self { shutdown: self.shutdown.clone(), at: Some(self.at.map_or(at, |sooner| sooner.min(at))) }
    }

    /// Cancelled when the process shuts down.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// `None` when the moment came first.
    pub(super) async fn limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.at {
            Some(at) => tokio::time::timeout_at(at, work).await.ok(),
            None => Some(work.await),
        }
    }
}
