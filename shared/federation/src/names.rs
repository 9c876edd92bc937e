//! Who, what about, and which bytes: the names that nodes tell each other.

use std::fmt;

use merkle_log::{
    Hash, canonical_json,
    note::{KeyError, VerifierKey},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// No key's text is longer.
const MOST_CHARACTERS: usize = 512;

/// Who made a contribution: the log that names it, as the text of the log's C2SP verifier key (`name+id+base64`). Authors
/// are ordered by this text, and what is folded is folded in that order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Author(String);

/// A SHA-256 digest; 64 hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "hex::serde")] pub Hash);

/// What a contribution is about: only evidence of one stream can be folded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub Digest);

/// What makes evidence comparable. Whoever learns otherwise, of another catalog or for another end has another stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The learner's name.
    pub learner: String,
    /// Those of its settings that decide what its evidence means.
    pub settings: Value,
    /// The SHA-256 of what it is learned about: catalog, tenants and demand.
    pub catalog: String,
    /// What is wanted.
    pub preference: Value,
    /// The version of the form in which what was learned is written.
    pub version: u32,
}

impl Author {
    /// Reads a verifier key.
    ///
    /// # Errors
    /// The text is no verifier key of Ed25519, or longer than 512 characters.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > MOST_CHARACTERS {
            return Err(KeyError::Form("a verifier key of at most 512 characters"));
        }
        // written anew, so that one key is one author however its text was spelled
        VerifierKey::parse(text).map(|key| Self::of(&key))
    }

    /// The author whose log is signed by this key.
    #[must_use]
    pub fn of(key: &VerifierKey) -> Self {
        Self(key.to_string())
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Author {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Digest {
    /// That of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Stream {
    /// Its name: the SHA-256 of its canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// Settings or a preference that have no canonical JSON.
    pub fn id(&self) -> Result<StreamId, merkle_log::CanonicalError> {
        canonical_json(self).map(|bytes| StreamId(Digest::of(&bytes)))
    }
}
