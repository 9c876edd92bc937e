//! Records: everything but decisions. The leaf is the canonical JSON of
//! `{body, id, kind, recorded_at, subject}`.

mod append;
mod query;
mod search;

use std::{collections::BTreeMap, ops::Range};

use api::remembrancer::{NewRecord, Record, RecordKind, RecordReceipt};
use chrono::{DateTime, Utc};
use jsonptr::Pointer;
use merkle_log::{Hash, canonical_json, leaf_hash};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgExecutor, PgPool};

pub(crate) use append::{Drafts, Place};
pub use query::{Filter, Found, ListPosition, Order, list};
pub use search::{Indexed, index_earlier};

use crate::{
    error::{InvalidField, LogError, NotFound, Result, uncanonical},
    log::{digest, signed, unsigned},
};

/// A record that can be appended: checked and canonicalised.
#[derive(Clone, Debug)]
pub struct Draft {
    id: String,
    kind: RecordKind,
    subject: String,
    body: String,
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub log_index: u64,
    pub id: String,
    pub kind: RecordKind,
    /// What it is about.
    pub subject: String,
    /// When it was recorded, to the microsecond.
    pub recorded_at: DateTime<Utc>,
    /// The body's canonical JSON.
    pub body: String,
    /// The log's root right after it.
    pub root: Vec<u8>,
}

/// What became of an append.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The receipt, the same every time.
    pub receipt: RecordReceipt,
    /// True when it was recorded just now.
    pub new: bool,
}

impl Draft {
    /// Checks a record. `id` is the caller's, or one that was made for it.
    ///
    /// # Errors
    /// [`LogError::Invalid`] with the place of each wrong field.
    pub fn new(record: NewRecord, id: String) -> Result<Self> {
        let mut wrong = Vec::new();
        for (pointer, text) in [("/id", &id), ("/subject", &record.subject)] {
            if text.contains('\0') {
                let detail = "expected text without NUL characters".into();
                wrong.push(InvalidField { pointer: pointer.to_string(), detail });
            }
        }
        find_nul(Pointer::from_static("/body"), &record.body, &mut wrong);
        let body = match canonical_json(&record.body) {
            Ok(body) => String::from_utf8(body).unwrap_or_default(), // JSON is UTF-8
            Err(error) => {
                wrong.push(uncanonical("/body", &error));
                String::new()
            }
        };
        if !wrong.is_empty() {
            return Err(LogError::Invalid(wrong));
        }
        Ok(Self { id, kind: record.kind, subject: record.subject, body })
    }

    /// The record's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Stored {
    /// The leaf's text. The body's canonical JSON is taken as it is stored, for reading and writing it once
    /// more could refuse a number that it was made from.
    ///
    /// # Errors
    /// None that is known: the parts are texts.
    pub fn leaf_text(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Rest<'a> {
            id: &'a str,
            kind: &'a RecordKind,
            recorded_at: DateTime<Utc>,
            subject: &'a str,
        }
        let rest =
            Rest { id: &self.id, kind: &self.kind, recorded_at: self.recorded_at, subject: &self.subject };
        let rest = canonical_json(&rest).map_err(|error| LogError::Inconsistent(error.to_string()))?;
        // `body` sorts before the others: `{"body":…,` and the rest without its brace.
        let rest = String::from_utf8_lossy(&rest[1..]);
        Ok(format!("{{\"body\":{},{rest}", self.body))
    }

    /// What the leaf is in the tree.
    fn leaf_hash(&self) -> Result<Hash> {
        Ok(leaf_hash(self.leaf_text()?.as_bytes()))
    }

    /// The record on the wire.
    ///
    /// # Errors
    /// When the row holds what the service never writes.
    pub fn to_api(&self) -> Result<Record> {
        let bad = |_| LogError::Inconsistent(format!("the body of the record {}", self.log_index));
        Ok(Record {
            log_index: self.log_index,
            id: self.id.clone(),
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            recorded_at: self.recorded_at,
            body: serde_json::from_str(&self.body).map_err(bad)?,
        })
    }

    /// The receipt, the same every time.
    fn receipt(&self) -> Result<RecordReceipt> {
        Ok(RecordReceipt {
            id: self.id.clone(),
            log_index: self.log_index,
            leaf_hash: api::Hash(self.leaf_hash()?),
            tree_size: self.log_index + 1,
            root_hash: api::Hash(digest(&self.root)?),
        })
    }
}

/// The record with this id.
///
/// # Errors
/// The database's; there is none.
pub async fn get(db: &PgPool, id: &str) -> Result<Stored> {
    let missing = || LogError::from(NotFound::Record(id.into()));
    if id.contains('\0') {
        return Err(missing()); // no such id can be recorded
    }
    find(db, id).await?.ok_or_else(missing)
}

/// The record at this log index, if there is one.
///
/// # Errors
/// The database's.
pub async fn at_index(db: &PgPool, log_index: u64) -> Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Columns,
        "SELECT log_index, id, kind, subject, recorded_at, body, root FROM records WHERE log_index = $1",
        signed(log_index)
    );
    row.fetch_optional(db).await?.map(Stored::try_from).transpose()
}

/// The records at these log indexes, by them.
///
/// # Errors
/// The database's.
pub async fn in_range(db: &mut PgConnection, indexes: Range<u64>) -> Result<BTreeMap<u64, Stored>> {
    let rows = sqlx::query_as!(
        Columns,
        r#"SELECT log_index, id, kind, subject, recorded_at, body, root FROM records
           WHERE log_index >= $1 AND log_index < $2"#,
        signed(indexes.start),
        signed(indexes.end)
    );
    let records = rows.fetch_all(db).await?.into_iter().map(|row| {
        let record = Stored::try_from(row)?;
        Ok((record.log_index, record))
    });
    records.collect()
}

/// The first record at these log indexes whose body alone has more bytes than `most`, and how many.
///
/// # Errors
/// The database's.
pub async fn longer_than(
    db: &mut PgConnection,
    indexes: Range<u64>,
    most: usize,
) -> Result<Option<(u64, u64)>> {
    let row = sqlx::query!(
        r#"SELECT log_index, octet_length(body) AS "length!" FROM records
           WHERE log_index >= $1 AND log_index < $2 AND octet_length(body) > $3 ORDER BY log_index LIMIT 1"#,
        signed(indexes.start),
        signed(indexes.end),
        i32::try_from(most).unwrap_or(i32::MAX)
    );
    let found = row.fetch_optional(db).await?;
    found.map(|row| Ok((unsigned(row.log_index)?, unsigned(row.length.into())?))).transpose()
}

/// A row of `records`.
#[derive(sqlx::FromRow)]
pub(crate) struct Columns {
    pub(crate) log_index: i64,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) body: String,
    pub(crate) root: Vec<u8>,
}

impl TryFrom<Columns> for Stored {
    type Error = LogError;

    fn try_from(row: Columns) -> Result<Self> {
        let Columns { log_index, id, kind, subject, recorded_at, body, root } = row;
        let kind = kind
            .try_into()
            .map_err(|error| LogError::Inconsistent(format!("the kind of the record {id:?}: {error}")))?;
        Ok(Self { log_index: unsigned(log_index)?, id, kind, subject, recorded_at, body, root })
    }
}

/// The record with this id, if there is one.
///
/// # Errors
/// The database's.
pub async fn find(db: impl PgExecutor<'_>, id: &str) -> Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Columns,
        "SELECT log_index, id, kind, subject, recorded_at, body, root FROM records WHERE id = $1",
        id
    );
    row.fetch_optional(db).await?.map(Stored::try_from).transpose()
}

/// The search column cannot index a NUL character (PostgreSQL's text has none), so a body may have none.
fn find_nul(base: &Pointer, body: &Map<String, Value>, wrong: &mut Vec<InvalidField>) {
    for (key, value) in body {
        if key.contains('\0') {
            let detail = "expected a key without NUL characters".into();
            wrong.push(InvalidField { pointer: base.to_string(), detail });
        }
        find_nul_in(&base.with_trailing_token(key), value, wrong);
    }
}

fn find_nul_in(pointer: &Pointer, value: &Value, wrong: &mut Vec<InvalidField>) {
    match value {
        Value::String(text) if text.contains('\0') => {
            let detail = "expected text without NUL characters".into();
            wrong.push(InvalidField { pointer: pointer.to_string(), detail });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nul_in(&pointer.with_trailing_token(index), item, wrong);
            }
        }
        Value::Object(members) => find_nul(pointer, members, wrong),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(body: Value) -> Result<Draft> {
        let Value::Object(body) = body else { panic!("expected an object") };
        let record =
            NewRecord { id: None, kind: RecordKind::from_static("note"), subject: "thing:1".into(), body };
        Draft::new(record, "id-1".into())
    }

    fn pointers(body: Value) -> Vec<String> {
        match draft(body) {
            Err(LogError::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect(),
            other => panic!("expected wrong fields, got {other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_recorded_exactly_is_pointed_at() {
        assert_eq!(pointers(serde_json::json!({"a": {"b/c": ["x", "y\0"]}})), ["/body/a/b~1c/1"]);
        assert_eq!(pointers(serde_json::json!({"a": {"k\0": 1}})), ["/body/a"]);
        assert_eq!(pointers(serde_json::json!({"n": [1, 9007199254740992_u64]})), ["/body/n/1"]);
    }

    #[test]
    fn the_leaf_is_the_canonical_json_of_the_whole_record() {
        let draft = draft(serde_json::json!({"z": 1.0, "a": [1e17, "ü\n"], "m": {}})).unwrap();
        let stored = Stored {
            log_index: 4,
            id: draft.id,
            kind: draft.kind,
            subject: draft.subject,
            recorded_at: "2026-03-01T12:00:00.123456Z".parse().unwrap(),
            body: draft.body,
            root: vec![0; 32],
        };
        assert_eq!(
            stored.leaf_text().unwrap(),
            r#"{"body":{"a":[100000000000000000,"ü\n"],"m":{},"z":1},"id":"id-1","kind":"note","recorded_at":"2026-03-01T12:00:00.123456Z","subject":"thing:1"}"#
        );
    }
}
