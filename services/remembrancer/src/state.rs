use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use api::remembrancer::{BatchReceipts, Cosignatures, DeletedDecisions, Fence};
use merkle_log::{
    checkpoint::Checkpoint,
    note::{KeyError, VerifierKey},
    trust_policy::{PolicyError, TrustPolicy},
    witness::{self, AddCheckpoint},
};
use service_kit::{Metrics, Readiness};
use sqlx::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    appends::Appends,
    config::Config,
    cosignatures, database,
    decisions::{self, Batch, Wish},
    error::{LogError, Result},
    log::{self, Head, Sequencer},
    metrics::{self, AppMetrics},
    records::{self, Draft, Recorded},
    signing::{self, HeadSigner, KeyFileError, KeyFolder, OpenError, Refusal},
    verification::FormerKey,
    witness::{NotCosigned, Witness},
};

/// How long to wait before a failed opening is tried again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// How long after the log has grown its head is signed.
const SIGN_WITHIN: Duration = Duration::from_secs(1);

/// What every handler shares. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    db: PgPool,
    appends: Appends,
    keys: KeyFolder,
    log_name: Arc<str>,
    /// This node as a witness of other logs, if it is one.
    witness: Option<Arc<Witness>>,
    /// Whose cosignatures of this log count.
    policy: Option<Arc<TrustPolicy>>,
    metrics: AppMetrics,
    /// One for each export that may hold a connection at the same time.
    exports: Arc<Semaphore>,
    /// Who signs for the open log; why it is not open else.
    opened: Arc<RwLock<std::result::Result<HeadSigner, String>>>,
    /// Told when the log has grown.
    grown: Arc<Notify>,
    /// What goes on beside requests, until the shutdown.
    work: TaskTracker,
    shutdown: CancellationToken,
}

/// The service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database URL is not one.
    #[error("database_url: expected postgres://user@host/name")]
    DatabaseUrl(#[source] sqlx::Error),
    /// The folder of the log's key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A key of a log that is to be witnessed is none.
    #[error("witness_logs: {0}")]
    WitnessLog(#[from] KeyError),
    /// The file of the trust policy cannot be read.
    #[error("trust_policy: {path}: {cause}", path = .path.display())]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is no trust policy.
    #[error("trust_policy: {path}: {cause}", path = .path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        cause: PolicyError,
    },
    /// The key and the log in the database do not belong together.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl AppState {
    /// Opens the log: at once if the database is there, else in the background until it is. Meanwhile the service is
    /// alive but not ready.
    ///
    /// # Errors
    /// Settings with which no later attempt can succeed; the key and the database do not belong together.
    pub async fn new(
        config: &Config,
        registry: &Metrics,
        shutdown: CancellationToken,
    ) -> std::result::Result<Self, BuildError> {
        let keys = KeyFolder::at(&config.data_dir);
        keys.key_of(&config.log_name)?;
        let witness = witness(config, &keys)?.map(Arc::new);
        let policy = config.trust_policy.as_deref().map(trust_policy).transpose()?.map(Arc::new);
        let db = database::pool(config).map_err(BuildError::DatabaseUrl)?;
        metrics::observe(registry, db.clone(), config.data_dir.clone());
        let appends = Appends::new(Sequencer::new(db.clone()));
        // Half of the connections, so that a few slow readers cannot keep everybody from writing.
        let exports = Arc::new(Semaphore::new((config.database_connections as usize / 2).max(1)));
        let state = Self {
            db,
            appends,
            keys,
            log_name: config.log_name.as_str().into(),
            witness,
            policy,
            metrics: AppMetrics::new(registry),
            exports,
            opened: Arc::new(RwLock::new(Err("migrations did not run yet".to_owned()))),
            grown: Arc::default(),
            work: TaskTracker::new(),
            shutdown,
        };
        match state.open().await {
            Ok(()) => {}
            Err(OpenError::Refused(refusal)) => return Err(refusal.into()),
            Err(OpenError::KeyFile(error)) => return Err(error.into()),
            Err(OpenError::Log(_)) => state.keep_opening(),
        }
        state.work.spawn(state.clone().sign_what_grows());
        state.work.spawn(state.clone().index_earlier_records());
        state.work.spawn(state.clone().sweep_deleted());
        Ok(state)
    }

    /// What goes on beside requests; it ends with the shutdown.
    pub(crate) fn work(&self) -> &TaskTracker {
        &self.work
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

    /// Who signs for the log now.
    ///
    /// # Errors
    /// The log is not open, or has to be opened anew: another process changed its key. The database's.
    pub(crate) async fn signer(&self) -> Result<HeadSigner> {
        let signer = self.opened().clone().map_err(LogError::NotOpen)?;
        if signing::current_key(&self.db).await? == Some(signer.verifier_key()) {
            return Ok(signer);
        }
        let reason = "another process changed the log's key: the log is being opened anew";
        tracing::info!("{reason}");
        self.set_opened(Err(reason.into()));
        self.keep_opening();
        Err(LogError::NotOpen(reason.into()))
    }

    /// What is to be known of a key, if the log had it before its `own`, for a checkpoint that it is said to have signed.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn former_key(
        &self,
        own: &VerifierKey,
        key: VerifierKey,
        checkpoint: &str,
    ) -> Result<Option<FormerKey>> {
        let former = signing::former_keys(&self.db, own).await?;
        let Some((_, leaves)) = former.into_iter().find(|(former, _)| *former == key) else {
            return Ok(None);
        };
        let size = Checkpoint::verify(checkpoint, &key).map(|checkpoint| checkpoint.size).ok();
        let root = match size.filter(|size| *size <= leaves) {
            Some(size) => Some(log::root_at(&self.db, size, log::head(&self.db).await?).await?),
            None => None,
        };
        Ok(Some(FormerKey { key, leaves, root }))
    }

    /// This node as a witness of other logs, if it is one.
    pub(crate) fn witness(&self) -> Option<&Witness> {
        self.witness.as_deref()
    }

    /// Decides a request for a cosignature. A caller that goes away does not interrupt it half way.
    ///
    /// # Errors
    /// As [`Witness::add_checkpoint`].
    pub(crate) async fn cosign(&self, body: String) -> std::result::Result<String, NotCosigned> {
        let Some(witness) = self.witness.clone() else {
            let origin = AddCheckpoint::parse(&body)
                .and_then(|request| Ok(Checkpoint::claimed(&request.checkpoint)?.origin));
            let refusal = origin.map_or_else(|refusal| refusal, witness::Refusal::UnknownLog);
            self.metrics.refused.count(&refusal);
            return Err(refusal.into());
        };
        let (state, started) = (self.clone(), Instant::now());
        let work = async move {
            let now = log::now().timestamp().try_into().unwrap_or_default();
            let cosigned = witness.add_checkpoint(state.db()?, &body, now).await;
            match &cosigned {
                Ok(_) => {
                    state.metrics.cosigned.increment(1);
                    state.metrics.cosign_seconds.record(started.elapsed());
                }
                Err(NotCosigned::Refused(refusal)) => state.metrics.refused.count(refusal),
                Err(NotCosigned::Log(_)) => {}
            }
            cosigned
        };
        let interrupted = |error: tokio::task::JoinError| LogError::Interrupted(error.to_string());
        tokio::spawn(work).await.map_err(interrupted)?
    }

    /// The signed checkpoint of a tree of this log, with the cosignatures that there are of it.
    ///
    /// # Errors
    /// As [`Self::signer`] and [`HeadSigner::sign`].
    pub(crate) async fn checkpoint(&self, tree: Head) -> Result<String> {
        let note = self.signer().await?.sign(tree).await?;
        Ok(note + &self.cosignatures_of(tree).await?)
    }

    /// The lines that witnesses gave for a tree of this log.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn cosignatures_of(&self, tree: Head) -> Result<String> {
        match self.policy {
            None => Ok(String::new()),
            Some(_) => cosignatures::lines(self.db()?, tree).await,
        }
    }

    /// The last tree that enough witnesses cosigned, if there is one and the log has a trust policy.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn last_witnessed(&self, head: Head) -> Result<Option<Head>> {
        match &self.policy {
            None => Ok(None),
            Some(policy) => cosignatures::last_witnessed(self.db()?, policy, head).await,
        }
    }

    /// Keeps the cosignatures of a checkpoint of this log.
    ///
    /// # Errors
    /// The log has no trust policy; as [`cosignatures::keep`].
    pub(crate) async fn keep_cosignatures(&self, checkpoint: &str) -> Result<Cosignatures> {
        let policy = self.policy.as_deref().ok_or(LogError::NoTrustPolicy)?;
        let own = self.signer().await?.verifier_key();
        let (answer, kept) = cosignatures::keep(self.db()?, policy, &own, checkpoint).await?;
        self.metrics.cosignatures.increment(kept);
        Ok(answer)
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
    /// As [`Appends::decisions`].
    pub(crate) async fn append_decisions(&self, batch: Batch, fence: Option<Fence>) -> Result<BatchReceipts> {
        self.db()?;
        let state = self.clone();
        let work = async move {
            let started = Instant::now();
            let receipts = state.appends.decisions(batch, fence).await?;
            state.metrics.append_seconds.record(started.elapsed());
            state.metrics.decisions.increment(receipts.recorded);
            if let Some(last) = receipts.receipts.last().filter(|_| receipts.recorded > 0) {
                state.grown_to(last.tree_size);
            }
            Ok(receipts)
        };
        tokio::spawn(work).await.map_err(|error| LogError::Interrupted(error.to_string()))?
    }

    /// Records a draft, likewise.
    ///
    /// # Errors
    /// As [`Appends::record`].
    pub(crate) async fn append_record(&self, draft: Draft, fence: Option<Fence>) -> Result<Recorded> {
        self.db()?;
        let state = self.clone();
        let work = async move {
            let recorded = state.appends.record(draft, fence, log::now()).await?;
            if recorded.new {
                state.metrics.records.increment(1);
                state.grown_to(recorded.receipt.tree_size);
            }
            Ok(recorded)
        };
        tokio::spawn(work).await.map_err(|error| LogError::Interrupted(error.to_string()))?
    }

    /// Deletes a run's decisions. A caller that goes away does not interrupt it half way; the rows are removed afterwards.
    ///
    /// # Errors
    /// As [`decisions::delete`].
    pub(crate) async fn delete_decisions(&self, wish: Wish) -> Result<DeletedDecisions> {
        let state = self.clone();
        let work = async move {
            let db = state.db()?;
            let deleted = decisions::delete(db, state.appends.sequencer(), wish, log::now()).await?;
            if deleted.decisions > 0 {
                state.grown_to(log::head(db).await?.size);
                state.metrics.records.increment(1);
                state.work.spawn(state.clone().sweep_deleted());
            }
            Ok(deleted)
        };
        tokio::spawn(work).await.map_err(|error| LogError::Interrupted(error.to_string()))?
    }

    /// Removes what was deleted, also by a process that died before it had removed it.
    async fn sweep_deleted(self) {
        loop {
            let swept = async { decisions::sweep(self.db()?).await };
            let pause = match self.shutdown.run_until_cancelled(swept).await {
                None | Some(Ok(())) => return,
                Some(Err(LogError::NotOpen(_))) => REOPEN_EVERY,
                Some(Err(error)) => {
                    tracing::warn!(%error, "deleted decisions cannot be removed yet");
                    10 * REOPEN_EVERY
                }
            };
            if self.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn grown_to(&self, size: u64) {
        self.metrics.log_size.set(size as f64);
        self.grown.notify_one();
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

    async fn open(&self) -> std::result::Result<(), OpenError> {
        let opened = async {
            database::open(&self.db).await?;
            signing::open(&self.db, &self.keys, &self.log_name).await
        };
        match opened.await {
            Ok(signer) => {
                self.set_opened(Ok(signer));
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                if self.why_closed().as_ref() != Some(&reason) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, "the log cannot be opened");
                }
                self.set_opened(Err(reason));
                Err(error)
            }
        }
    }

    /// Tries again every second to open the log: the database may come back, and an operator may put the right key there.
    fn keep_opening(&self) {
        let state = self.clone();
        tokio::spawn(async move {
            let shutdown = state.shutdown.clone();
            while shutdown.run_until_cancelled(tokio::time::sleep(REOPEN_EVERY)).await.is_some() {
                if state.open().await.is_ok() {
                    break;
                }
            }
        });
    }

    /// Signs the log's head soon after the log has grown, and before the service ends: what was acknowledged is signed
    /// then, whether or not somebody asks for a checkpoint, and a database that has lost it again is noticed.
    async fn sign_what_grows(self) {
        loop {
            if self.shutdown.run_until_cancelled(self.grown.notified()).await.is_none() {
                return;
            }
            self.shutdown.run_until_cancelled(tokio::time::sleep(SIGN_WITHIN)).await;
            let sign = async { self.signer().await?.sign(log::head(self.db()?).await?).await };
            let signed = tokio::time::timeout(SIGN_WITHIN, sign).await;
            if let Ok(Err(error)) = signed {
                tracing::debug!(%error, "the log has grown and is not signed yet");
            }
        }
    }

    /// Indexes what earlier versions recorded, while requests are served.
    async fn index_earlier_records(self) {
        loop {
            let indexed = async { records::index_earlier(self.db()?).await };
            let pause = match self.shutdown.run_until_cancelled(indexed).await {
                None | Some(Ok(records::Indexed::All)) => return,
                Some(Ok(records::Indexed::Some)) => Duration::ZERO,
                Some(Err(LogError::NotOpen(_))) => REOPEN_EVERY,
                Some(Err(error)) => {
                    tracing::warn!(%error, "records of an earlier version cannot be indexed yet");
                    10 * REOPEN_EVERY
                }
            };
            if self.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn opened(&self) -> std::sync::RwLockReadGuard<'_, std::result::Result<HeadSigner, String>> {
        // A panic while the lock was held cannot happen: only assignments run under it.
        self.opened.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn set_opened(&self, opened: std::result::Result<HeadSigner, String>) {
        *self.opened.write().unwrap_or_else(std::sync::PoisonError::into_inner) = opened;
    }

    fn why_closed(&self) -> Option<String> {
        self.opened().as_ref().err().cloned()
    }
}

/// The witness of the configuration. Its key is made when it first is one.
fn witness(config: &Config, keys: &KeyFolder) -> std::result::Result<Option<Witness>, BuildError> {
    if config.witness_logs.is_empty() {
        return Ok(None);
    }
    let logs = config.witness_logs.iter().map(|key| VerifierKey::parse(key));
    let logs = logs.collect::<std::result::Result<_, _>>()?;
    let name = config.witness_name.clone().unwrap_or_else(|| format!("{}/witness", config.log_name));
    let witness = Witness::new(keys.open_witness_key(&name)?, logs);
    tracing::info!(key = %witness.witness_key(), logs = witness.logs().len(), "a witness of other logs");
    Ok(Some(witness))
}

fn trust_policy(path: &Path) -> std::result::Result<TrustPolicy, BuildError> {
    let file = std::fs::read(path).map_err(|cause| BuildError::PolicyFile { path: path.into(), cause })?;
    TrustPolicy::parse(&file).map_err(|cause| BuildError::Policy { path: path.into(), cause })
}
