//! What a record is found by.

use std::collections::BTreeSet;

use api::remembrancer::RecordKind;
use merkle_log::canonical_json;
use serde_json::Value;

use crate::describe;

pub mod words;

/// Bytes of the words as they are written, at most: a search engine's column has no room for more.
const MOST_BYTES: usize = 300_000;

/// What a record is found by beside the words of its body.
///
/// People search with words that a record's author never wrote: whoever wants "ai-mesh routing decisions" is looking
/// for the training runs that made them, but a run's records hold names of settings, digests and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText {
    /// Its kind and its subject, as they are and in their parts: `component:ai-mesh-training` is one word to a search
    /// engine, and "ai-mesh" would not find it. Counts more than all the rest.
    pub heading: String,
    /// What a record of its kind tells.
    pub description: String,
}

impl SearchText {
    /// Of a record with this kind and subject.
    #[must_use]
    pub fn new(kind: &RecordKind, subject: &str) -> Self {
        let parts = |text: &str| text.replace([':', '-', '_', '.', '/'], " ");
        let mut lines = vec![kind.as_str().to_owned()];
        let words = parts(kind.as_str());
        if words != kind.as_str() {
            lines.push(words); // not twice, which would count as a better match
        }
        lines.extend([subject.to_owned(), parts(subject)]);
        Self { heading: lines.join("\n"), description: describe(kind) }
    }
}

/// The words of a record as they are written ([`words`]): of its names, and of the names and values of its body. Of a huge
/// one those that come first.
#[must_use]
pub fn words_of(id: &str, kind: &RecordKind, subject: &str, body: &Value) -> BTreeSet<String> {
    let mut found = Words { words: BTreeSet::new(), room: MOST_BYTES };
    for text in [id, kind.as_str(), subject] {
        found.take(text);
    }
    found.take_value(body);
    found.words
}

struct Words {
    words: BTreeSet<String>,
    room: usize,
}

impl Words {
    fn take(&mut self, text: &str) {
        for word in words::words(text) {
            let Some(room) = self.room.checked_sub(word.len() + 8) else { return };
            if self.words.insert(word) {
                self.room = room;
            }
        }
    }

    fn take_value(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(value) => self.take(&value.to_string()),
            Value::Number(number) => {
                // As the record's leaf spells it, and as it is answered.
                self.take(&number.to_string());
                let canonical = canonical_json(number).unwrap_or_default();
                self.take(&String::from_utf8_lossy(&canonical));
            }
            Value::String(text) => self.take(text),
            Value::Array(items) => items.iter().for_each(|item| self.take_value(item)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.take(name);
                    self.take_value(member);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_by_the_parts_of_its_names_and_by_what_its_kind_tells() {
        let text = |kind: &str, subject| SearchText::new(&kind.parse().unwrap(), subject);
        let SearchText { heading, description } = text("run.ended", "run:01-2");
        assert_eq!(heading, "run.ended\nrun ended\nrun:01-2\nrun 01 2");
        assert!(
            description.contains("ai-mesh") && description.contains("routing decisions"),
            "{description}"
        );
        assert_eq!(text("note", "a").heading, "note\na\na");
    }
}
