//! The ledger as the other services use it.

mod deadline;
mod error;
mod history;
mod records;

use std::{sync::Arc, time::Duration};

use ::records::{Body, own_id, spare_id};
use api::{
    Hash, Page,
    remembrancer::{
        BatchReceipts, Checkpoint, ConsistencyProof, ConsistencyQuery, DecisionBatch, DecisionQuery,
        Evidence, Fence, LeafQuery, Lease, LeaseQuery, LogKey, NewRecord, Record, RecordQuery, RecordReceipt,
        RecordedDecision, RunHead,
    },
};
use bytes::Bytes;

use crate::{ClientError, HeldLease, Recorder, RecorderOptions, Remembrancer, retry_while_transient};

pub use deadline::Deadline;
pub use error::LedgerError;
pub use history::{Entry, History, body_of};
pub use records::{Bodies, Records};

/// As many ids are tried when others were taken.
const SPARE_IDS: u32 = 100;

/// What is called when a call begins to wait for the remembrancer, and with `None` when the waiting is over.
type Observer = Arc<dyn Fn(Option<&ClientError>) + Send + Sync>;

/// The ledger: records, artifacts and decisions, asked for until there is an answer or the deadline is over.
///
/// Everything here may be asked again after an error: what is appended has an identity, and the same once more is
/// the same. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    remembrancer: Remembrancer,
    deadline: Deadline,
    observer: Option<Observer>,
}

/// Every call fails with a [`LedgerError`]. What is not there is `None`, and no error.
#[allow(clippy::missing_errors_doc)] // said once above
impl Ledger {
    /// The ledger that this remembrancer keeps; nothing is called yet.
    #[must_use]
    pub fn new(remembrancer: Remembrancer, deadline: Deadline) -> Self {
        Self { remembrancer, deadline, observer: None }
    }

    /// The same ledger with another deadline for all calls together. A request that takes several calls takes one
    /// of these for all of them.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The same ledger, where all calls together end so long from now at the latest.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        self.with_deadline(self.deadline.within(time))
    }

    /// The same ledger, which takes nothing from this process any more once the lease's claim is over.
    #[must_use]
    pub fn fenced(&self, fence: &Fence) -> Self {
        Self { remembrancer: self.remembrancer.fenced(fence), ..self.clone() }
    }

    /// The same ledger, which tells `observer` when a call begins to wait for the remembrancer, and why; and with
    /// `None` that the waiting is over, however it ended.
    #[must_use]
    pub fn with_observer(&self, observer: impl Fn(Option<&ClientError>) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self.clone() }
    }

    /// Where the remembrancer is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.remembrancer.endpoint().url
    }

    /// Fine when the remembrancer can serve; asked once.
    pub async fn ready(&self) -> Result<(), LedgerError> {
        self.remembrancer.ready().await.map_err(LedgerError::from)
    }

    /// Appends a record, which must have an id; the same one again gets the same receipt.
    pub async fn append(&self, record: &NewRecord) -> Result<RecordReceipt, LedgerError> {
        self.append_once(record).await.map(|(receipt, _)| receipt)
    }

    /// The same; true when this call recorded it. Of several at the same moment, wherever they come from, that is one. When
    /// its answer was lost, and the call repeated, it is none.
    pub async fn append_once(&self, record: &NewRecord) -> Result<(RecordReceipt, bool), LedgerError> {
        if record.id.is_none() {
            return Err(LedgerError::NoId); // a lost answer would make it two records
        }
        self.ask(|| self.remembrancer.post_record_once(record)).await
    }

    /// The record with this id.
    pub async fn record(&self, id: &str) -> Result<Option<Record>, LedgerError> {
        found(self.ask(|| self.remembrancer.record(id)).await)
    }

    /// Appends a body as [`Ledger::append_own`] does.
    pub async fn append_body<B: Body>(&self, body: &B) -> Result<RecordReceipt, LedgerError> {
        self.append_body_once(body).await.map(|(receipt, _)| receipt)
    }

    /// The same; true when this call recorded it, as [`Ledger::append_once`] has it.
    pub async fn append_body_once<B: Body>(&self, body: &B) -> Result<(RecordReceipt, bool), LedgerError> {
        self.append_own(&body.to_record()?, |there| B::read(there).is_ok()).await
    }

    /// Appends a record. When its id was taken by what is none of one's own (whoever can post to the ledger can take any
    /// id first), it goes under a spare id, where [`Ledger::find`] finds it. True when this call recorded it.
    pub async fn append_own(
        &self,
        record: &NewRecord,
        is_own: impl Fn(&Record) -> bool,
    ) -> Result<(RecordReceipt, bool), LedgerError> {
        let own = record.id.as_deref().ok_or(LedgerError::NoId)?;
        let mut record = record.clone();
        let mut spares = (1..=SPARE_IDS).map(|which| spare_id(own, which));
        loop {
            let refusal = match self.append_once(&record).await {
                Err(error) if error.code() == Some("record_conflict") => error,
                answer => return answer,
            };
            let taken = match &record.id {
                Some(id) => self.record(id).await?.filter(|there| !is_own(there)),
                None => None,
            };
            let (Some(taken), Some(spare)) = (taken, spares.next()) else { return Err(refusal) };
            tracing::warn!(
                record = taken.id,
                spare,
                "a record's id was taken by another one: it goes under a spare id"
            );
            record.id = Some(spare);
        }
    }

    /// What is recorded about `subject` under this id, or under a spare one when the id was taken by what cannot be read.
    pub async fn find<T>(
        &self,
        id: &str,
        subject: &str,
        read: impl Fn(&Record) -> Option<T>,
    ) -> Result<Option<T>, LedgerError> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        if let Some(found) = read(&record) {
            return Ok(Some(found));
        }
        tracing::warn!(record = id, "a record that no service wrote is passed over");
        let about = RecordQuery { subject: Some(subject.to_owned()), ..RecordQuery::default() };
        let mut records = self.records(about);
        while let Some(record) = records.next().await? {
            let found = read(&record).filter(|_| own_id(&record.id) == id);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The body with this id, as [`Ledger::find`] finds it.
    pub async fn body<B: Body>(&self, id: &str, subject: &str) -> Result<Option<B>, LedgerError> {
        self.find(id, subject, |record| B::read(record).ok()).await
    }

    /// One page of records.
    pub async fn page(&self, query: &RecordQuery) -> Result<Page<Record>, LedgerError> {
        self.ask(|| self.remembrancer.records(query)).await
    }

    /// All records that the query finds, page by page as they are read. Its `cursor` is where to begin, its `limit`
    /// the size of a page.
    #[must_use]
    pub fn records(&self, query: RecordQuery) -> Records {
        Records::new(self.clone(), query)
    }

    /// The records about something and the decisions of its run, in the log's order: all of them, or the records after this
    /// place of the log and the decisions from this number on.
    #[must_use]
    pub fn history(&self, subject: String, run: Hash, from: Option<(u64, u64)>) -> History {
        History::new(self, subject, run, from)
    }

    /// All bodies of a kind, under its present name and under the one that earlier versions gave it. The query's own
    /// `kind` does not count: with a subject all records about it are asked for, so that one question is enough, and
    /// what is of another kind is passed over.
    #[must_use]
    pub fn bodies<B: Body>(&self, query: &RecordQuery) -> Bodies<B> {
        Bodies::new(self, query)
    }

    /// Stores an artifact; its name.
    pub async fn put_artifact(
        &self,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> Result<Hash, LedgerError> {
        let content = content.into(); // cloned without copying
        let stored = self.ask(|| self.remembrancer.put_artifact(media_type, content.clone())).await?;
        Ok(stored.sha256)
    }

    /// An artifact's content, checked against its name.
    pub async fn artifact(&self, name: &Hash) -> Result<Option<Bytes>, LedgerError> {
        found(self.ask(|| self.remembrancer.artifact(name)).await)
    }

    /// Appends consecutive decisions of one run; the same ones again change nothing.
    pub async fn append_decisions(&self, batch: &DecisionBatch) -> Result<BatchReceipts, LedgerError> {
        self.ask(|| self.remembrancer.post_decisions(batch)).await
    }

    /// One page of decisions.
    pub async fn decisions(&self, query: &DecisionQuery) -> Result<Page<RecordedDecision>, LedgerError> {
        self.ask(|| self.remembrancer.decisions(query)).await
    }

    /// Where a run's decisions stand in the log.
    pub async fn run_head(&self, run: &Hash) -> Result<Option<RunHead>, LedgerError> {
        found(self.ask(|| self.remembrancer.run_head(run)).await)
    }

    /// The log's signed head.
    pub async fn checkpoint(&self) -> Result<Checkpoint, LedgerError> {
        self.ask(|| self.remembrancer.log_checkpoint()).await
    }

    /// Proof that the log only grew between two sizes, with the roots at both.
    pub async fn consistency(&self, query: &ConsistencyQuery) -> Result<ConsistencyProof, LedgerError> {
        self.ask(|| self.remembrancer.consistency_proof(query)).await
    }

    /// The log's public key.
    pub async fn log_key(&self) -> Result<LogKey, LedgerError> {
        self.ask(|| self.remembrancer.log_key()).await
    }

    /// A leaf, and all that is needed to verify it offline.
    pub async fn evidence(&self, leaf: &LeafQuery) -> Result<Option<Evidence>, LedgerError> {
        found(self.ask(|| self.remembrancer.evidence(leaf)).await)
    }

    /// Claims a lease, which is renewed until it is given back or dropped: [`LedgerError::is_lease_held`] when somebody
    /// else has it.
    pub async fn claim_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<HeldLease, LedgerError> {
        self.ask(|| HeldLease::claim(&self.remembrancer, name, holder, ttl)).await
    }

    /// A lease, whoever holds it; `None` when nobody ever claimed it.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>, LedgerError> {
        found(self.ask(|| self.remembrancer.lease(name)).await)
    }

    /// All leases that the query finds, page by page.
    pub async fn leases(&self, query: &LeaseQuery) -> Result<Vec<Lease>, LedgerError> {
        let (mut leases, mut query) = (Vec::new(), query.clone());
        loop {
            let page = self.ask(|| self.remembrancer.leases(&query)).await?;
            leases.extend(page.items);
            match page.next_cursor {
                Some(next) => query.cursor = Some(next),
                None => return Ok(leases),
            }
        }
    }

    /// Starts to record a run's decisions from a thread that computes them, until the process shuts down.
    ///
    /// # Panics
    /// As [`Recorder::start`].
    #[must_use]
    pub fn recorder(&self, options: RecorderOptions) -> Recorder {
        Recorder::start(self.remembrancer.clone(), options)
    }

    /// Repeats a call while the remembrancer is away, until the deadline.
    async fn ask<T, F>(&self, call: impl FnMut() -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut waits = Waits { observer: self.observer.as_ref(), last: None };
        let tries = retry_while_transient(self.deadline.shutdown(), call, |wait| waits.because(wait.error));
        // on the heap: what a call awaits is large, and lies in the future of whoever awaits the answer
        match self.deadline.limit(Box::pin(tries)).await {
            Some(answer) => answer.map_err(LedgerError::from),
            None => {
                Err(LedgerError::Away(waits.last.take().unwrap_or_else(|| "it did not answer".to_owned())))
            }
        }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("url", &self.url())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Tells when the waiting begins, and when it is over: also when the caller gives up.
struct Waits<'a> {
    observer: Option<&'a Observer>,
    /// Why the last try failed.
    last: Option<String>,
}

impl Waits<'_> {
    fn because(&mut self, error: &ClientError) {
        if self.last.replace(error.to_string()).is_some() {
            return;
        }
        match self.observer {
            Some(observer) => observer(Some(error)),
            None => tracing::warn!(%error, "waiting for the remembrancer"),
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let (Some(observer), Some(_)) = (self.observer, &self.last) {
            observer(None);
        }
    }
}

/// `None` where the ledger has no such thing.
fn found<T>(answer: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
