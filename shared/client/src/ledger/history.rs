use std::collections::VecDeque;

use ::records::Body;
use api::{
    Hash,
    remembrancer::{DecisionQuery, Record, RecordQuery, RecordedDecision},
};

use super::{Ledger, LedgerError, Records};

/// Decisions asked for at once.
const PAGE: u32 = 1000;

/// The records about something and the decisions of its run, as they are read, in the log's order.
#[derive(Debug)]
pub struct History {
    records: Records,
    record: Option<Record>,
    decisions: Decisions,
}

/// What stands at one place of the log.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A record.
    Record(Box<Record>),
    /// A decision.
    Decision(Box<RecordedDecision>),
}

impl Entry {
    /// Its place in the log.
    #[must_use]
    pub fn log_index(&self) -> u64 {
        match self {
            Self::Record(record) => record.log_index,
            Self::Decision(decision) => decision.log_index,
        }
    }
}

impl History {
    pub(super) fn new(ledger: &Ledger, subject: String, run: Hash, from: Option<(u64, u64)>) -> Self {
        let (after_log_index, first) = from.unzip();
        let query = RecordQuery {
            subject: Some(subject),
            after_log_index,
            newest_first: Some(false),
            ..RecordQuery::default()
        };
        let first = first.unwrap_or_default();
        let decisions = Decisions { ledger: ledger.clone(), run, page: VecDeque::new(), from: Some(first) };
        Self { records: ledger.records(query), record: None, decisions }
    }

    /// The next entry; `None` after the last. After an error the same is asked for again.
    ///
    /// # Errors
    /// A page cannot be had.
    pub async fn next(&mut self) -> Result<Option<Entry>, LedgerError> {
        if self.record.is_none() {
            self.record = self.records.next().await?;
        }
        let decision_at = self.decisions.peek().await?.map(|decision| decision.log_index);
        let is_first = |record: &&Record| decision_at.is_none_or(|decision| record.log_index < decision);
        if self.record.as_ref().filter(is_first).is_some() {
            return Ok(self.record.take().map(|record| Entry::Record(Box::new(record))));
        }
        Ok(self.decisions.page.pop_front().map(|decision| Entry::Decision(Box::new(decision))))
    }
}

/// The decisions of a run, page by page.
#[derive(Debug)]
struct Decisions {
    ledger: Ledger,
    run: Hash,
    page: VecDeque<RecordedDecision>,
    /// The sequence number of the next one to be asked for; `None` after the last.
    from: Option<u64>,
}

impl Decisions {
    async fn peek(&mut self) -> Result<Option<&RecordedDecision>, LedgerError> {
        if self.page.is_empty()
            && let Some(from) = self.from
        {
            let query = DecisionQuery {
                run: Some(self.run),
                from_sequence: Some(from),
                limit: Some(PAGE),
                ..DecisionQuery::default()
            };
            self.page = self.ledger.decisions(&query).await?.items.into();
            self.from = self.page.back().map(|last| last.decision.sequence + 1);
        }
        Ok(self.page.front())
    }
}

/// The body of a record, where it is one of this kind. What cannot be read is passed over: whoever can post to the ledger can
/// post anything.
#[must_use]
pub fn body_of<B: Body>(record: &Record) -> Option<B> {
    if record.kind != B::KIND.record_kind() {
        return None;
    }
    B::read(record).inspect_err(|error| tracing::warn!(%error, "a record is passed over")).ok()
}
