//! Text and JSON that others wrote, by hand or with the tools of other languages. It is read strictly in what it says
//! (every name must be known, every value fit) and however it is spelled: with a byte order mark, with `2.0` for 2. What is
//! wrong is told in JSON's words, with its place.

#![warn(missing_docs)]

mod spelling;
mod text;
mod words;

use std::fmt;

use jsonptr::PointerBuf;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_path_to_error::Segment;

use crate::spelling::Lenient;
pub use crate::{
    spelling::{number, whole},
    text::{NotText, text, without_mark},
    words::{expected, in_words},
};

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It is no JSON: why, and where.
    NotJson(String),
    /// It is JSON, but a value in it does not fit.
    Misfit {
        /// The names and indexes that lead to the value; none for the whole document.
        path: Vec<String>,
        /// What was expected there, and what was found.
        detail: String,
    },
}

impl Mistake {
    /// The JSON pointer (RFC 6901) to the value; empty for the whole document.
    #[must_use]
    pub fn pointer(&self) -> String {
        match self {
            Self::NotJson(_) => String::new(),
            Self::Misfit { path, .. } => PointerBuf::from_tokens(path).to_string(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => write!(f, "not JSON: {why}"),
            Self::Misfit { path, detail } if path.is_empty() => f.write_str(detail),
            Self::Misfit { detail, .. } => write!(f, "{}: {detail}", self.pointer()),
        }
    }
}

impl std::error::Error for Mistake {}

/// Reads one JSON document.
///
/// # Errors
/// It is no UTF-8 or no JSON, something comes after it, or a value does not fit.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Mistake> {
    parse(text(bytes).map_err(|error| Mistake::NotJson(error.to_string()))?)
}

/// [`from_slice`] of text.
///
/// # Errors
/// As [`from_slice`].
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Mistake> {
    parse(without_mark(text))
}

/// Reads a part of a document that has been parsed before.
///
/// # Errors
/// A value does not fit.
pub fn from_value<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Mistake> {
    read(value, false).map_err(|error| misfit(&error))
}

/// Reads the pairs of a query string.
///
/// # Errors
/// A value does not fit.
pub fn from_query<T: DeserializeOwned>(query: &str) -> Result<T, Mistake> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    read(pairs, true).map_err(|error| misfit(&error))
}

fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Mistake> {
    let mut json = serde_json::Deserializer::from_str(text);
    let not_json = |error: &serde_json::Error| Mistake::NotJson(in_words(&error.to_string()));
    let value = read(&mut json, false)
        .map_err(|error| if error.inner().is_data() { misfit(&error) } else { not_json(error.inner()) })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    inner: D,
    text: bool,
) -> Result<T, serde_path_to_error::Error<D::Error>> {
    serde_path_to_error::deserialize(Lenient { inner, text })
}

fn misfit<E: fmt::Display>(error: &serde_path_to_error::Error<E>) -> Mistake {
    let mut path: Vec<_> = error.path().iter().filter_map(step).collect();
    let message = error.inner().to_string();
    if let Some(name) = repeated(&message).filter(|name| path.last().is_none_or(|last| last != name)) {
        path.push(name.to_owned());
    }
    Mistake::Misfit { path, detail: in_words(words::without_place(&message)) }
}

fn step(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(key.clone()),
        Segment::Unknown => None,
    }
}

/// The field that came twice, which serde tells in words only.
fn repeated(message: &str) -> Option<&str> {
    message.strip_prefix("duplicate field `")?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Run {
        #[expect(dead_code, reason = "only read")]
        agents: u32,
        #[serde(default)]
        #[expect(dead_code, reason = "only read")]
        parts: Vec<Part>,
    }

    #[derive(Debug, Deserialize)]
    struct Part {
        #[expect(dead_code, reason = "only read")]
        share: f64,
    }

    fn told(text: &str) -> String {
        from_str::<Run>(text).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_in_jsons_words() {
        for (text, expected) in [
            (r#"{"agents": 2.5}"#, "/agents: expected a whole number, found 2.5"),
            (r#"{"agents": "ten"}"#, r#"/agents: expected a whole number, found the string "ten""#),
            (r#"{"agents": {}}"#, "/agents: expected a whole number, found an object"),
            (r#"{"agents": -1}"#, "/agents: expected a whole number from 0 to 4294967295, found -1"),
            (r#"{"agents": 1, "parts": [{"share": true}]}"#, "/parts/0/share: expected a number, found true"),
            (r#"{"agents": 1, "parts": [1]}"#, "/parts/0: expected an object, found 1"),
            (r#"{"agents": 1, "parts": null}"#, "/parts: expected an array, found null"),
            ("{}", "`agents` is missing"),
            (r#"{"agents": 1, "parts": [{}]}"#, "/parts/0: `share` is missing"),
            (r#"{"agents": 1, "agents": 2}"#, "/agents: `agents` stands here twice"),
            (r#"{"agnets": 1}"#, "/agnets: unknown field `agnets`, expected `agents` or `parts`"),
            ("[]", "expected a JSON object, found an array"),
            ("5", "expected an object, found 5"),
            (r#"{"agents": 1} x"#, "not JSON: trailing characters at line 1 column 15"),
            (r#"{"agents": nul}"#, "not JSON: expected `true`, `false` or `null` at line 1 column 15"),
            ("", "not JSON: the text ends where a value was expected at line 1 column 0"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn one_mark_before_the_document_is_skipped() {
        assert!(from_slice::<Run>("\u{feff}{\"agents\": 1}\r\n".as_bytes()).is_ok());
        assert!(from_slice::<Run>("\u{feff}\u{feff}{\"agents\": 1}".as_bytes()).is_err());
        let utf_16: Vec<u8> = "{\"agents\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [utf_16.clone(), [b"\xff\xfe".as_slice(), &utf_16].concat()] {
            assert!(from_slice::<Run>(&bytes).unwrap_err().to_string().contains("UTF-16"), "{bytes:?}");
        }
    }
}
