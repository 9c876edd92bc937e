use std::{
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use api::remembrancer::{BatchReceipts, Fence};
use merkle_log::note::NoteSigner;
use service_kit::{Metrics, Readiness};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    database,
    decisions::{self, Batch},
    error::{LogError, Result},
    log::{self, Sequencer},
    metrics::AppMetrics,
    records::{self, Draft, Recorded},
    signing::{SigningKeyError, open_key},
};

/// How long to wait before a failed opening is tried again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// What every handler shares. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    db: PgPool,
    sequencer: Sequencer,
    pub(crate) signer: Arc<NoteSigner>,
    metrics: AppMetrics,
    /// One for each export that may hold a connection at the same time.
    exports: Arc<Semaphore>,
    /// Why the log is not open; `None` when it is.
    closed: Arc<RwLock<Option<String>>>,
}

/// The service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database URL is not one.
    #[error("database_url: expected postgres://user@host/name")]
    DatabaseUrl(#[source] sqlx::Error),
    /// The log's key cannot be used.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
}

impl AppState {
    /// Reads the key, and opens the log: at once if the database is there, else in the background until it
    /// is. Meanwhile the service is alive but not ready.
    ///
    /// # Errors
    /// Settings with which no later attempt can succeed.
    pub async fn new(
        config: &Config,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> std::result::Result<Self, BuildError> {
        let signer = Arc::new(open_key(&config.data_dir, &config.log_name)?);
        let db = database::pool(config).map_err(BuildError::DatabaseUrl)?;
        let closed = Arc::new(RwLock::new(Some("migrations did not run yet".to_owned())));
        let sequencer = Sequencer::new(db.clone());
        // Half of the connections, so that a few slow readers cannot keep everybody from writing.
        let exports = Arc::new(Semaphore::new((config.database_connections as usize / 2).max(1)));
        let state = Self { db, sequencer, signer, metrics: AppMetrics::new(metrics), exports, closed };
        if !state.open().await {
            let state = state.clone();
            tokio::spawn(async move {
                while shutdown.run_until_cancelled(tokio::time::sleep(REOPEN_EVERY)).await.is_some() {
                    if state.open().await {
                        break;
                    }
                }
            });
        }
        Ok(state)
    }

    /// The database, once the log is open.
    ///
    /// # Errors
    /// [`LogError::NotOpen`] until then.
    pub fn db(&self) -> Result<&PgPool> {
        match self.why_closed() {
            None => Ok(&self.db),
            Some(reason) => Err(LogError::NotOpen(reason)),
        }
    }

    /// Leave to export, until the permit is dropped.
    ///
    /// # Errors
    /// [`LogError::TooManyExports`] when the highest number of concurrent exports is reached.
    pub(crate) fn begin_export(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.exports).try_acquire_owned().map_err(|_| LogError::TooManyExports)
    }

    /// Records a batch. A caller that goes away does not interrupt it half way.
    ///
    /// # Errors
    /// As [`decisions::append`].
    pub(crate) async fn append_decisions(&self, batch: Batch, fence: Option<Fence>) -> Result<BatchReceipts> {
        self.db()?;
        let state = self.clone();
        let work = async move {
            let started = Instant::now();
            let receipts = decisions::append(&state.sequencer, batch, fence.as_ref()).await?;
            state.metrics.append_seconds.record(started.elapsed());
            state.metrics.decisions.increment(receipts.recorded);
            if let Some(last) = receipts.receipts.last().filter(|_| receipts.recorded > 0) {
                state.metrics.log_size.set(last.tree_size as f64);
            }
            Ok(receipts)
        };
        tokio::spawn(work).await.map_err(|error| LogError::Interrupted(error.to_string()))?
    }

    /// Records a draft, likewise.
    ///
    /// # Errors
    /// As [`records::append`].
    pub(crate) async fn append_record(&self, draft: Draft, fence: Option<Fence>) -> Result<Recorded> {
        self.db()?;
        let state = self.clone();
        let work = async move {
            let recorded = records::append(&state.sequencer, &draft, fence.as_ref(), log::now()).await?;
            if recorded.new {
                state.metrics.records.increment(1);
                state.metrics.log_size.set(recorded.receipt.tree_size as f64);
            }
            Ok(recorded)
        };
        tokio::spawn(work).await.map_err(|error| LogError::Interrupted(error.to_string()))?
    }

    /// What is missing: the log is not open, or the database does not answer.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let state = self.clone();
        Arc::new(move || {
            let state = state.clone();
            Box::pin(async move {
                match state.why_closed() {
                    Some(reason) => vec![reason],
                    None => match log::head(&state.db).await {
                        Ok(_) => Vec::new(),
                        Err(error) => vec![error.to_string()],
                    },
                }
            })
        })
    }

    async fn open(&self) -> bool {
        let result = database::open(&self.db).await;
        let reason = result.as_ref().err().map(ToString::to_string);
        if let Err(error) = &result
            && reason != self.why_closed()
        {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "the log cannot be opened; trying again every second");
        }
        // A panic while the lock was held cannot happen: only assignments run under it.
        *self.closed.write().unwrap_or_else(std::sync::PoisonError::into_inner) = reason;
        result.is_ok()
    }

    fn why_closed(&self) -> Option<String> {
        self.closed.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
