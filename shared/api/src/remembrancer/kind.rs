use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, schema::Schema},
};

/// What a record is about: words with dots between them, from the general to the special, like `run.created`.
///
/// The set is open. A word begins with a lower-case letter, and has lower-case letters, digits and hyphens; a kind
/// has at most [`RecordKind::MAX_LENGTH`] characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordKind(Cow<'static, str>);

/// A text that is no record kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecordKind(String);

/// The grammar as a regular expression, for the OpenAPI documents.
const PATTERN: &str = r"^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*$";

impl RecordKind {
    /// The most characters that a kind has.
    pub const MAX_LENGTH: usize = 64;

    /// A kind that the program names itself.
    ///
    /// # Panics
    /// When it is none; in a constant, that is an error of compilation.
    #[must_use]
    pub const fn from_static(kind: &'static str) -> Self {
        assert!(is_kind(kind.as_bytes()), "a record kind is lower-case words with dots between them");
        Self(Cow::Borrowed(kind))
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when `kind` is this one, or a special case of it: `run` includes `run` and `run.created`.
    #[must_use]
    pub fn includes(&self, kind: &Self) -> bool {
        let rest = kind.0.strip_prefix(self.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

const fn is_kind(text: &[u8]) -> bool {
    if text.len() > RecordKind::MAX_LENGTH {
        return false;
    }
    let mut word_begins = true;
    let mut position = 0;
    while position < text.len() {
        let character = text[position];
        let fits = match character {
            b'a'..=b'z' => true,
            b'0'..=b'9' | b'-' | b'.' => !word_begins,
            _ => false,
        };
        if !fits {
            return false;
        }
        word_begins = character == b'.';
        position += 1;
    }
    !word_begins // neither empty nor with a dot at its end
}

impl FromStr for RecordKind {
    type Err = InvalidRecordKind;

    fn from_str(text: &str) -> Result<Self, InvalidRecordKind> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for RecordKind {
    type Error = InvalidRecordKind;

    fn try_from(text: String) -> Result<Self, InvalidRecordKind> {
        if is_kind(text.as_bytes()) { Ok(Self(text.into())) } else { Err(InvalidRecordKind(text)) }
    }
}

impl From<RecordKind> for String {
    fn from(kind: RecordKind) -> Self {
        kind.0.into_owned()
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidRecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found) = self;
        let most = RecordKind::MAX_LENGTH;
        write!(
            f,
            "expected lower-case words with dots between them, like `run.created`, in at most {most} characters, \
             found `{found}`"
        )
    }
}

impl std::error::Error for InvalidRecordKind {}

impl PartialSchema for RecordKind {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "What a record is about: lower-case words with dots between them, from the general to the special.",
            ))
            .pattern(Some(PATTERN))
            .max_length(Some(Self::MAX_LENGTH))
            .examples(["run.created"])
            .into()
    }
}

impl ToSchema for RecordKind {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_lower_case_words_with_dots_between_them() {
        for kind in ["run", "run.created", "a1-b.c-2.d", &"a".repeat(64)] {
            assert_eq!(kind.parse::<RecordKind>().unwrap().as_str(), kind);
        }
        let long = "a".repeat(65);
        for text in
            ["", ".", "run.", ".run", "run..created", "Run", "run created", "1run", "-a", "a_b", "ä", &long]
        {
            let told = text.parse::<RecordKind>().unwrap_err().to_string();
            assert!(
                told.contains("like `run.created`") && told.contains(&format!("found `{text}`")),
                "{told}"
            );
        }
    }

    #[test]
    fn a_kind_includes_what_is_below_its_dot() {
        let kind = RecordKind::from_static("run");
        let included = |text: &str| kind.includes(&text.parse().unwrap());
        assert!(included("run") && included("run.created") && included("run.created.twice"));
        assert!(!included("runner") && !included("run-a") && !included("serving.run"));
    }

    #[test]
    fn a_kind_is_one_text_on_the_wire() {
        let kind: RecordKind = serde_json::from_str(r#""limit.solved""#).unwrap();
        assert_eq!(serde_json::to_string(&kind).unwrap(), r#""limit.solved""#);
        assert!(serde_json::from_str::<RecordKind>(r#""Limit""#).is_err());
    }
}
