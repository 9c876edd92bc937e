//! What people write down.

use api::{Hash, remembrancer::Record};
use serde::{Deserialize, Serialize};

use crate::{Body, Kind};

const NOTE: Kind = Kind { name: "note", description: "note: anything worth remembering", formerly: None };

pub(crate) const KINDS: &[Kind] = &[NOTE];

/// Somebody wrote something down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is about, which only the record's subject says.
    #[serde(skip)]
    pub about: String,
    /// What is to be remembered.
    pub text: String,
}

impl Body for Note {
    const KIND: Kind = NOTE;

    fn id(&self) -> String {
        content_id("note", &self.about, self)
    }

    fn subject(&self) -> String {
        self.about.clone()
    }

    fn complete(&mut self, record: &Record) {
        self.about.clone_from(&record.subject);
    }
}

/// An id that follows from the content, so that the same content is the same record whoever sends it and how often.
pub(crate) fn content_id(prefix: &str, subject: &str, body: &impl Serialize) -> String {
    let content = merkle_log::canonical_json(&serde_json::json!({"subject": subject, "body": body}));
    let digest = Hash(merkle_log::leaf_hash(&content.unwrap_or_default())).to_string();
    format!("{prefix}-{}", &digest[..32])
}
