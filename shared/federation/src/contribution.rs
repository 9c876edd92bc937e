//! What an author has seen itself, as an artifact of its own log.

use std::sync::Arc;

use merkle_log::{CanonicalError, canonical::MAX_SAFE_INTEGER, canonical_json};
use policy::Knowledge;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    heads::Head,
    names::{Author, Digest, StreamId},
};

/// The form of contributions, and its version.
pub const CONTRIBUTION_FORMAT: &str = "ai-mesh-contribution/1";

/// No contribution has more bytes.
pub const MOST_BYTES: usize = 16 << 20;

/// No figure of what was seen is larger. Learners reckon with less than 10³⁰; a sum of so many authors' must not exceed that.
const LARGEST_FIGURE: f64 = 1e24;

/// The evidence of one author for one stream, since it began: sums, counts, visited values. It has nothing that the author
/// took over from others, so that nothing counts twice and anybody can be left out again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    /// [`CONTRIBUTION_FORMAT`].
    pub format: String,
    /// Whose.
    pub author: Author,
    /// What it is about.
    pub stream: StreamId,
    /// Grows with each contribution of the author to the stream.
    pub sequence: u64,
    /// How many observations it is made of; never less than in an earlier contribution.
    pub evidence: u64,
    /// What they come to.
    pub knowledge: Knowledge,
    /// What made it: a run's digest, its configuration and its seed. Whoever doubts it can make it again where it comes from
    /// a simulation.
    pub made_by: Value,
}

/// A contribution with its bytes and their name.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    name: Digest,
    bytes: Arc<[u8]>,
    contribution: Contribution,
}

/// Bytes are no contribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContributionError {
    /// Too large to be read.
    #[error("expected a contribution of at most {MOST_BYTES} bytes, found {0}")]
    TooLarge(usize),
    /// No JSON of this form.
    #[error("expected a contribution: {0}")]
    Form(String),
    /// Another version, or no contribution at all.
    #[error("expected the format {CONTRIBUTION_FORMAT}, found `{0}`")]
    Format(String),
    /// The same value has other bytes, and thereby another name.
    #[error("expected canonical JSON (RFC 8785)")]
    NotCanonical,
    /// It has no canonical JSON.
    #[error(transparent)]
    NoCanonical(#[from] CanonicalError),
    /// It does not say whose knowledge it is.
    #[error("expected knowledge with the name of its learner")]
    Unnamed,
    /// A figure that nobody can come to.
    #[error("expected figures up to {LARGEST_FIGURE:e} in size, found {found} at `{pointer}`")]
    Giant {
        /// Where, as a JSON pointer (RFC 6901) in what was learned.
        pointer: String,
        /// The figure.
        found: String,
    },
}

impl Contribution {
    /// Gives it its bytes and its name.
    ///
    /// # Errors
    /// As [`Sealed::open`].
    pub fn seal(&self) -> Result<Sealed, ContributionError> {
        // what was made here is read as others read it, so that the author folds the very same figures
        Sealed::open(&canonical_json(self)?)
    }

    fn check(&self) -> Result<(), ContributionError> {
        if self.format != CONTRIBUTION_FORMAT {
            return Err(ContributionError::Format(self.format.clone()));
        }
        if self.knowledge.algorithm.is_empty() {
            return Err(ContributionError::Unnamed);
        }
        let mut pointer = String::new();
        match giant(&self.knowledge.learned, &mut pointer) {
            Some(found) => Err(ContributionError::Giant { pointer, found: found.to_string() }),
            None => Ok(()),
        }
    }
}

impl Sealed {
    /// Reads a contribution.
    ///
    /// # Errors
    /// The bytes are too many, not a contribution in canonical JSON, or have figures that nobody can come to. (JSON has no
    /// NaN and no infinities; counts below 0 are the learner's to refuse, who knows which figures are counts: see
    /// [`Law::claims`](crate::Law::claims).)
    pub fn open(bytes: &[u8]) -> Result<Self, ContributionError> {
        if bytes.len() > MOST_BYTES {
            return Err(ContributionError::TooLarge(bytes.len()));
        }
        let form = |error: serde_json::Error| ContributionError::Form(error.to_string());
        let value: Value = serde_json::from_slice(bytes).map_err(form)?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
        if format != CONTRIBUTION_FORMAT {
            return Err(ContributionError::Format(format.chars().take(80).collect()));
        }
        let contribution: Contribution = serde_json::from_value(value).map_err(form)?;
        contribution.check()?;
        if canonical_json(&contribution)? != bytes {
            return Err(ContributionError::NotCanonical);
        }
        Ok(Self { name: Digest::of(bytes), bytes: bytes.into(), contribution })
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn name(&self) -> Digest {
        self.name
    }

    /// Its canonical JSON.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// What it says.
    #[must_use]
    pub fn contribution(&self) -> &Contribution {
        &self.contribution
    }

    /// The head that it is.
    #[must_use]
    pub fn head(&self) -> Head {
        let Contribution { sequence, evidence, .. } = self.contribution;
        Head { sequence, artifact: self.name, evidence }
    }
}

/// A figure that is too large, with `pointer` set to where it is.
fn giant(value: &Value, pointer: &mut String) -> Option<serde_json::Number> {
    let within = |pointer: &mut String, segment: &str, value: &Value| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        let found = giant(value, pointer);
        if found.is_none() {
            pointer.truncate(length);
        }
        found
    };
    match value {
        Value::Number(number) => {
            let is_giant = number.as_f64().is_none_or(|figure| figure.abs() > LARGEST_FIGURE);
            is_giant.then(|| number.clone())
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| within(pointer, &at.to_string(), item))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| within(pointer, name, member)),
        _ => None,
    }
}

/// The largest number that a contribution can have.
pub const LAST_SEQUENCE: u64 = MAX_SAFE_INTEGER;
