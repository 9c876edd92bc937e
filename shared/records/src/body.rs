use std::fmt;

use api::remembrancer::{NewRecord, Record, RecordKind};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Kind;

/// The body of a record, from which all the rest of it follows.
pub trait Body: Serialize + DeserializeOwned {
    /// The kind of its records; [`Body::kind`] where there are several.
    const KIND: Kind;

    /// The kind of this record.
    fn kind(&self) -> Kind {
        Self::KIND
    }

    /// The record's id: the same event has the same one, so that it is recorded once.
    fn id(&self) -> String;

    /// The thing that the record is about.
    fn subject(&self) -> String;

    /// Takes over what the record says beside its body; nothing for most.
    fn complete(&mut self, record: &Record) {
        let _all_in_the_body = record;
    }

    /// The record to append.
    ///
    /// # Errors
    /// When it cannot be written as a JSON object, which a struct of texts and numbers can.
    fn to_record(&self) -> Result<NewRecord, serde_json::Error> {
        let mut body = serde_json::to_value(self)?;
        without_negative_zeros(&mut body);
        let Value::Object(body) = body else {
            return Err(serde::ser::Error::custom("a record's body is an object"));
        };
        let kind = self.kind().record_kind();
        Ok(NewRecord { id: Some(self.id()), kind, subject: self.subject(), body })
    }

    /// Reads a record, of this version or of one that called its kind otherwise.
    ///
    /// # Errors
    /// It is none of this kind, or another program wrote it.
    fn read(record: &Record) -> Result<Self, Unreadable> {
        let id = || record.id.clone();
        let mut body: Self = serde_json::from_value(Value::Object(record.body.clone()))
            .map_err(|error| Unreadable::Body { id: id(), error })?;
        body.complete(record);
        let kind = body.kind();
        if !kind.names().any(|name| name == record.kind) {
            return Err(Unreadable::Kind { id: id(), expected: kind.name, found: record.kind.clone() });
        }
        if body.id() != own_id(&record.id) || body.subject() != record.subject {
            return Err(Unreadable::Name { id: id(), expected: body.id() });
        }
        Ok(body)
    }
}

/// Canonical JSON has one zero, and the ledger takes no other: a difference that vanished may have the other sign.
fn without_negative_zeros(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) && number.is_f64() => *value = 0.0.into(),
        Value::Array(items) => items.iter_mut().for_each(without_negative_zeros),
        Value::Object(members) => members.values_mut().for_each(without_negative_zeros),
        _ => {}
    }
}

/// Stands between a record's id and what makes it another one.
const SPARE: char = '~';

/// The id under which a record goes whose own was taken for something else: whoever can post to the ledger can take any
/// id first. The same event has the same spare ids too.
#[must_use]
pub fn spare_id(id: &str, which: impl fmt::Display) -> String {
    format!("{id}{SPARE}{which}")
}

/// The id that a record would have if nobody had taken it.
#[must_use]
pub fn own_id(id: &str) -> &str {
    id.rsplit_once(SPARE).map_or(id, |(own, _)| own)
}

/// Why a record is not the one that it was taken for.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is of another kind.
    #[error("the record {id} is of the kind {found}, expected {expected}")]
    Kind {
        /// The record.
        id: String,
        /// The kind that was expected.
        expected: &'static str,
        /// Its kind.
        found: RecordKind,
    },
    /// Its body has another form.
    #[error("the body of the record {id} is not what this program writes: {error}")]
    Body {
        /// The record.
        id: String,
        /// What does not fit.
        error: serde_json::Error,
    },
    /// Its id or its subject belongs to another body.
    #[error("the record {id} has the body of {expected}")]
    Name {
        /// The record.
        id: String,
        /// The id that its body has.
        expected: String,
    },
}
