//! RFC 8785 (JSON Canonicalization Scheme): one spelling for every JSON value.
//!
//! The serializer is our own for two reasons. A leaf must never be a lie, so a number that JSON or
//! IEEE 754 doubles cannot carry is an error that names its place; serializers over `serde_json` write
//! NaN as `null` and round large integers silently. And every decision is canonicalised at least twice
//! (by who makes it and by who records it), so speed counts. Tests hold it equal to
//! `serde_json_canonicalizer` and to the RFC's own examples.

mod serializer;

use std::fmt;

use jsonptr::PointerBuf;
use serde::Serialize;

use crate::{Hash, leaf_hash};

/// The largest integer that every JSON reader understands exactly (RFC 8785, section 3.2.2.3).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The canonical JSON of `value`, UTF-8.
///
/// # Errors
/// When the value holds a number that is not finite, an integer beyond ±(2^53 − 1), an object with a
/// doubled or non-text key, or already serialised JSON (`RawValue`). The error names the place.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut serializer::Serializer::new(&mut out))?;
    Ok(out)
}

/// The canonical form of a JSON text. A key that stands twice is an error, since readers differ in which of its values
/// they take.
///
/// # Errors
/// When the text is not JSON; and as [`canonical_json`].
pub fn canonical_text(json: &str) -> Result<String, CanonicalError> {
    let mut out = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_str(json);
    serde_transcode::transcode(&mut reader, &mut serializer::Serializer::new(&mut out))?;
    reader.end().map_err(serde::ser::Error::custom)?;
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}

/// The RFC 6962 leaf hash of `value`'s canonical JSON.
///
/// # Errors
/// As [`canonical_json`].
pub fn canonical_leaf_hash<T: Serialize + ?Sized>(value: &T) -> Result<Hash, CanonicalError> {
    canonical_json(value).map(|bytes| leaf_hash(&bytes))
}

/// A value has no canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalError {
    segments: Vec<String>, // innermost first: they are added while the error travels outwards
    problem: String,
}

impl CanonicalError {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole value.
    #[must_use]
    pub fn pointer(&self) -> String {
        PointerBuf::from_tokens(self.segments.iter().rev()).to_string()
    }

    /// What is wrong there, and what was expected.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    fn new(problem: impl Into<String>) -> Self {
        Self { segments: Vec::new(), problem: problem.into() }
    }

    fn within(mut self, segment: impl Into<String>) -> Self {
        self.segments.push(segment.into());
        self
    }
}

impl fmt::Display for CanonicalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            write!(f, "no canonical JSON: {}", self.problem)
        } else {
            write!(f, "no canonical JSON at {}: {}", self.pointer(), self.problem)
        }
    }
}

impl std::error::Error for CanonicalError {}

impl serde::ser::Error for CanonicalError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

#[cfg(test)]
mod tests;
