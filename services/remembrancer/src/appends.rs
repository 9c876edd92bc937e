//! Group commit: all that waits to be appended is the log's next commit.
//!
//! A commit costs a synced write of the disk and a dozen statements, whatever is in it. So whatever comes while one is
//! under way waits for its end, and then goes together: rows, tiles and head are written once, and each of those who
//! wait gets the receipt that it would have got alone, at its place in the order (DeWitt et al. 1984, "Implementation
//! techniques for main memory database systems", section 4.2). What is refused takes nobody else with it.

mod group;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::remembrancer::{BatchReceipts, Fence};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

pub(crate) use group::write;

use crate::{
    decisions::Batch,
    error::{LogError, Result},
    log::Sequencer,
    records::{Draft, Recorded},
};

/// Decisions of one commit at most, unless a single batch has more: those at its end wait no longer than for this many.
const MOST_DECISIONS: usize = 20_000;

/// Appends of one commit at most.
const MOST_ENTRIES: usize = 1_000;

/// Something to be appended.
#[derive(Debug)]
pub enum Entry {
    /// Decisions of a run.
    Decisions {
        /// The decisions.
        batch: Batch,
        /// The claim that they come under.
        fence: Option<Fence>,
    },
    /// A record.
    Record {
        /// The record.
        draft: Draft,
        /// The claim that it comes under.
        fence: Option<Fence>,
        /// When it is recorded.
        now: DateTime<Utc>,
    },
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub enum Appended {
    /// The receipts of a batch.
    Decisions(BatchReceipts),
    /// That of a record.
    Record(Recorded),
}

impl Appended {
    /// The log index of a record, or of the first decision of a batch.
    #[must_use]
    pub fn log_index(&self) -> u64 {
        match self {
            Self::Decisions(receipts) => {
                receipts.receipts.first().map_or(0, |receipt| receipt.first_log_index)
            }
            Self::Record(recorded) => recorded.receipt.log_index,
        }
    }
}

impl Entry {
    fn fence(&self) -> Option<&Fence> {
        match self {
            Self::Decisions { fence, .. } | Self::Record { fence, .. } => fence.as_ref(),
        }
    }

    fn decisions(&self) -> usize {
        match self {
            Self::Decisions { batch, .. } => batch.decisions.len(),
            Self::Record { .. } => 0,
        }
    }
}

/// Appends to the log of this process. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Appends {
    sequencer: Sequencer,
    queue: Arc<Mutex<Queue>>,
}

/// Who is told what became of an entry.
type Told = oneshot::Sender<Result<Appended>>;

#[derive(Debug, Default)]
struct Queue {
    /// In order of arrival.
    waiting: Vec<(Entry, Told)>,
    /// Whether a task commits what waits.
    is_served: bool,
}

impl Appends {
    /// Through this writer.
    #[must_use]
    pub fn new(sequencer: Sequencer) -> Self {
        Self { sequencer, queue: Arc::default() }
    }

    /// The writer itself, for what is no append alone.
    pub(crate) fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// Records what of the batch is not recorded yet. What is recorded already must be the same, byte for byte. Whoever
    /// stops waiting does not interrupt it.
    ///
    /// # Errors
    /// The batch does not join its run (a gap, a frontier that does not fit), or differs from what is recorded; `fence` is
    /// of a claim that is over; nothing of it is written then. The database's.
    pub async fn decisions(&self, batch: Batch, fence: Option<Fence>) -> Result<BatchReceipts> {
        match self.append(Entry::Decisions { batch, fence }).await? {
            Appended::Decisions(receipts) => Ok(receipts),
            Appended::Record(_) => Err(LogError::Interrupted("a record's receipt for decisions".into())),
        }
    }

    /// Records a draft once: the same id and content again gets the same receipt. Whoever stops waiting does not interrupt
    /// it.
    ///
    /// # Errors
    /// Another record has the id, or `fence` is of a claim that is over; nothing is written then. The database's.
    pub async fn record(&self, draft: Draft, fence: Option<Fence>, now: DateTime<Utc>) -> Result<Recorded> {
        match self.append(Entry::Record { draft, fence, now }).await? {
            Appended::Record(recorded) => Ok(recorded),
            Appended::Decisions(_) => Err(LogError::Interrupted("decisions' receipts for a record".into())),
        }
    }

    async fn append(&self, entry: Entry) -> Result<Appended> {
        let (told, answer) = oneshot::channel();
        let is_served = {
            let mut queue = self.queue();
            queue.waiting.push((entry, told));
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            let appends = self.clone();
            tokio::spawn(async move {
                let _unserved = Unserved(&appends.queue);
                appends.serve().await;
            });
        }
        answer.await.unwrap_or_else(|_| Err(LogError::Interrupted("the commit broke off".into())))
    }

    /// Commits until nothing waits.
    async fn serve(&self) {
        while let Some(group) = self.next_group() {
            let (entries, told): (Vec<Entry>, Vec<Told>) = group.into_iter().unzip();
            for (answer, told) in commit(&self.sequencer, entries).await.into_iter().zip(told) {
                _ = told.send(answer); // whoever does not wait any more asks again
            }
        }
    }

    /// What the next commit is of; `None`, and nobody serves the queue any more, when nothing waits.
    fn next_group(&self) -> Option<Vec<(Entry, Told)>> {
        let mut queue = self.queue();
        let mut decisions = 0;
        let fitting = queue.waiting.iter().take(MOST_ENTRIES).take_while(|(entry, _)| {
            decisions += entry.decisions();
            decisions <= MOST_DECISIONS
        });
        let count = fitting.count().max(1).min(queue.waiting.len());
        queue.is_served = count > 0;
        queue.is_served.then(|| queue.waiting.drain(..count).collect())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics between two changes of the queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the queue to the next who comes, and lets nobody wait for a task that has ended, also when it panicked.
struct Unserved<'a>(&'a Mutex<Queue>);

impl Drop for Unserved<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Queue::default();
        }
    }
}

/// Appends entries in one transaction, in their order. One answer each: that which it would have got alone after those
/// before it.
pub async fn commit(sequencer: &Sequencer, mut entries: Vec<Entry>) -> Vec<Result<Appended>> {
    let error = match attempt(sequencer, &mut entries).await {
        Ok(answers) => return answers,
        Err(error) => error,
    };
    if let Some(answers) = entries.iter().map(|_| error.of_all().map(Err)).collect() {
        return answers;
    }
    if entries.len() == 1 {
        return vec![Err(error)];
    }
    tracing::warn!(%error, entries = entries.len(), "a commit failed: each of its appends is committed alone");
    let mut answers = Vec::with_capacity(entries.len());
    for entry in &mut entries {
        let alone = attempt(sequencer, std::slice::from_mut(entry)).await;
        answers.push(alone.and_then(|mut answers| {
            answers.pop().unwrap_or_else(|| Err(LogError::Interrupted("an append without answer".into())))
        }));
    }
    answers
}

async fn attempt(sequencer: &Sequencer, entries: &mut [Entry]) -> Result<Vec<Result<Appended>>> {
    let mut append = sequencer.begin().await?;
    let before = append.next_index();
    let answers = write(&mut append, entries).await?;
    if append.next_index() > before || append.writes() {
        append.commit().await?;
    }
    Ok(answers)
}
