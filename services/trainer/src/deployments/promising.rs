//! A desk that answers before the ledger has what it says: what it keeps of that, and what it promises.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use api::{
    Hash,
    deployments::{PromiseStatus, PromisedDecisions},
    remembrancer::Decision,
};
use chrono::{DateTime, Utc};
use client::{Deadline, Ledger, LedgerError};
use merkle_log::{
    canonical_leaf_hash,
    note::NoteSigner,
    promise::{Promise, PromiseError},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    DeployError,
    counters::Promises,
    drain::{Progress, Queued, drain},
    journal::{Entry, Journal, JournalError},
    opening::Opening,
};
use crate::ledger::REQUEST_DEADLINE;

/// By when what is promised is in the ledger.
const SOON: Duration = Duration::from_secs(1);

/// By when, while the ledger is away or behind.
const LATER: Duration = Duration::from_secs(3600);

/// The ledger is behind when it has not had for so long what it is to have.
const BEHIND: Duration = Duration::from_millis(500);

/// Why something did not get where it is safe.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the journal cannot be written: {0}")]
    Journal(String),
}

impl WriteError {
    /// What a call is told of it.
    pub(super) fn told(&self) -> DeployError {
        match self {
            Self::Ledger(error) => DeployError::away(error),
            Self::Journal(why) => DeployError::Journal(why.clone()),
        }
    }
}

impl From<JournalError> for WriteError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error.to_string())
    }
}

/// What a promising desk has beside others.
pub(super) struct Promising {
    journal: Journal,
    signer: Arc<NoteSigner>,
    /// The origin of the ledger's log.
    log: String,
    most: u64,
    queue: mpsc::UnboundedSender<Queued>,
    progress: watch::Receiver<Progress>,
    /// What was written to the journal: entries, and the leaves that they add to the log.
    entries: u64,
    leaves: u64,
    /// When what the ledger does not have yet was written, by the number of the entry.
    waiting: VecDeque<(u64, Instant)>,
    /// Why nothing is promised any more.
    broken: Option<String>,
    promises: Promises,
    /// What is shown of this desk's journal: leaves, and bytes.
    shown: (u64, u64),
    _drain: AbortOnDropHandle<()>,
}

impl Promising {
    /// Over a journal of which the ledger has everything. Must be called inside a Tokio runtime.
    pub(super) fn begin(opening: Opening, ledger: &Ledger, promises: Promises) -> Result<Self, JournalError> {
        let Opening { keeper, mut journal, log, .. } = opening;
        journal.forget_all()?;
        let (queue, queued) = mpsc::unbounded_channel();
        let (told, progress) = watch::channel(Progress::default());
        // what was promised is appended also while the trainer shuts down
        let ledger = ledger.with_deadline(Deadline::shutting_down(CancellationToken::new()));
        let draining = tokio::spawn(drain(ledger, queued, told, promises.late.clone()));
        Ok(Self {
            journal,
            signer: keeper.signer,
            log,
            most: keeper.most,
            queue,
            progress,
            entries: 0,
            leaves: 0,
            waiting: VecDeque::new(),
            broken: None,
            promises,
            shown: (0, 0),
            _drain: AbortOnDropHandle::new(draining),
        })
    }

    /// Writes something down, from where it goes into the ledger. Nobody was answered for it before.
    pub(super) fn append(&mut self, entry: Entry) -> Result<(), WriteError> {
        self.trim();
        if let Some(why) = self.broken() {
            return Err(WriteError::Journal(why));
        }
        let leaves = entry.leaves();
        if let Err(error) = self.journal.append(&entry) {
            self.broken = Some(error.to_string());
            return Err(error.into());
        }
        let now = Instant::now();
        self.entries += 1;
        self.leaves += leaves;
        self.waiting.push_back((self.entries, now));
        let due = now + if self.is_behind() { LATER } else { SOON };
        if self.queue.send(Queued { entry, due }).is_err() {
            self.broken = Some("the ledger refused what was promised before".to_owned());
        }
        self.show();
        Ok(())
    }

    /// Signs that these decisions will be in the ledger.
    pub(super) fn promise(
        &self,
        deployment: &str,
        run: Hash,
        leaves: Vec<(u64, merkle_log::Hash)>,
        now: DateTime<Utc>,
    ) -> Result<PromisedDecisions, PromiseError> {
        let by = now + if self.is_behind() { LATER } else { SOON };
        let by_ms = u64::try_from(by.timestamp_millis()).unwrap_or_default();
        let log = self.log.clone();
        let promise = Promise { log, deployment: deployment.to_owned(), run: run.0, by_ms, leaves };
        let note = promise.sign(&self.signer)?;
        let in_log_by = DateTime::from_timestamp_millis(by.timestamp_millis()).unwrap_or(by);
        Ok(PromisedDecisions { note, in_log_by, key: self.signer.verifier_key().to_string() })
    }

    /// Counts decisions that callers were promised.
    pub(super) fn count(&self, decisions: usize) {
        self.promises.made.increment(decisions as u64);
    }

    /// Waits until the ledger has all that was written down.
    pub(super) async fn drained(&mut self) -> Result<(), WriteError> {
        let entries = self.entries;
        let reached = |progress: &Progress| {
            progress.entries >= entries || progress.is_away || progress.failed.is_some()
        };
        let waited = tokio::time::timeout(REQUEST_DEADLINE, self.progress.wait_for(reached)).await;
        let is_there = waited.is_ok_and(|progress| progress.is_ok_and(|now| now.entries >= entries));
        self.trim();
        if is_there {
            return Ok(());
        }
        let what = "it does not have yet what was promised before".to_owned();
        Err(LedgerError::Away(what).into())
    }

    /// Forgets what the ledger has.
    pub(super) fn trim(&mut self) {
        let entries = self.progress.borrow().entries;
        while self.waiting.front().is_some_and(|(number, _)| *number <= entries) {
            self.waiting.pop_front();
        }
        if let Err(error) = self.journal.forget(entries) {
            self.broken = Some(error.to_string());
        }
        self.show();
    }

    /// Whether so many leaves more are more than may wait.
    pub(super) fn is_full(&self, more: u64) -> bool {
        self.outstanding() + more > self.most
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    fn outstanding(&self) -> u64 {
        self.leaves - self.progress.borrow().leaves
    }

    /// Whether the ledger is away, or has not had for long what it is to have.
    pub(super) fn is_behind(&self) -> bool {
        let progress = self.progress.borrow();
        let oldest = self.waiting.iter().find(|(number, _)| *number > progress.entries);
        progress.is_away || oldest.is_some_and(|(_, since)| since.elapsed() > BEHIND)
    }

    /// Why nothing is promised any more: the journal is to be opened anew.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.clone().or_else(|| self.progress.borrow().failed.clone())
    }

    /// Whether the journal is empty.
    pub(super) fn is_idle(&self) -> bool {
        self.journal.is_empty()
    }

    pub(super) fn status(&self) -> PromiseStatus {
        PromiseStatus {
            key: self.signer.verifier_key().to_string(),
            outstanding: self.outstanding(),
            most: self.most,
            is_behind: self.is_behind(),
        }
    }

    /// The journal, in which nothing is any more; `None` where something may be.
    pub(super) async fn close(mut self, within: Duration) -> Option<Journal> {
        let drained = tokio::time::timeout(within, self.drained()).await;
        let is_empty = drained.is_ok_and(|drained| drained.is_ok()) && self.is_idle();
        self.promises.show(self.shown, (0, 0));
        self.shown = (0, 0);
        is_empty.then_some(self.journal)
    }

    fn show(&mut self) {
        let now = (self.outstanding(), self.journal.bytes());
        self.promises.show(self.shown, now);
        self.shown = now;
    }
}

/// The leaves of decisions, as they will be in the log.
pub(super) fn leaves<'a>(
    decisions: impl Iterator<Item = &'a Decision>,
) -> Result<Vec<(u64, merkle_log::Hash)>, WriteError> {
    let leaf = |decision: &Decision| {
        let leaf = canonical_leaf_hash(decision);
        leaf.map(|leaf| (decision.sequence, leaf)).map_err(|error| WriteError::Journal(error.to_string()))
    };
    decisions.map(leaf).collect()
}
