use std::{marker::PhantomData, vec};

use ::records::Body;
use api::remembrancer::{Record, RecordKind, RecordQuery};

use super::{Ledger, LedgerError};

/// Records asked for at once, when the query does not say.
const PAGE: u32 = 1000;

/// Records as they are read, page by page.
#[derive(Debug)]
pub struct Records {
    ledger: Ledger,
    /// `None` after the last page.
    next: Option<RecordQuery>,
    page: vec::IntoIter<Record>,
}

impl Records {
    pub(super) fn new(ledger: Ledger, mut query: RecordQuery) -> Self {
        query.limit.get_or_insert(PAGE);
        Self { ledger, next: Some(query), page: Vec::new().into_iter() }
    }

    /// The next record; `None` after the last. After an error the same page is asked for again.
    ///
    /// # Errors
    /// A page cannot be had.
    pub async fn next(&mut self) -> Result<Option<Record>, LedgerError> {
        loop {
            if let Some(record) = self.page.next() {
                return Ok(Some(record));
            }
            let Some(query) = &self.next else { return Ok(None) };
            let page = self.ledger.page(query).await?;
            self.page = page.items.into_iter();
            self.next = page.next_cursor.map(|cursor| RecordQuery { cursor: Some(cursor), ..query.clone() });
        }
    }
}

/// Bodies of one kind as they are read, each with its record.
#[derive(Debug)]
pub struct Bodies<B> {
    records: Records,
    /// The same records under another name, to be read after them.
    later: Option<Records>,
    body: PhantomData<fn() -> B>,
}

impl<B: Body> Bodies<B> {
    pub(super) fn new(ledger: &Ledger, query: &RecordQuery) -> Self {
        let of = |kind: Option<RecordKind>| ledger.records(RecordQuery { kind, ..query.clone() });
        let present = || of(Some(B::KIND.record_kind()));
        let former = || B::KIND.formerly.map(|former| of(Some(RecordKind::from_static(former))));
        let (records, later) = if query.subject.is_some() {
            (of(None), None)
        } else if query.newest_first == Some(true) {
            (present(), former())
        } else {
            // what has the former name was recorded first
            former().map_or_else(|| (present(), None), |former| (former, Some(present())))
        };
        Self { records, later, body: PhantomData }
    }

    /// The next one; `None` after the last. After an error the same page is asked for again.
    ///
    /// # Errors
    /// A page cannot be had.
    pub async fn next(&mut self) -> Result<Option<(Record, B)>, LedgerError> {
        loop {
            while let Some(record) = self.records.next().await? {
                match B::read(&record) {
                    Ok(body) => return Ok(Some((record, body))),
                    Err(error) if record.kind == B::KIND.record_kind() => {
                        tracing::warn!(%error, "a record is passed over");
                    }
                    Err(_) => {} // other things had the former name too, and a kind may have special cases
                }
            }
            match self.later.take() {
                Some(later) => self.records = later,
                None => return Ok(None),
            }
        }
    }
}
