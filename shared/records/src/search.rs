use api::remembrancer::RecordKind;

use crate::describe;

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
