use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike as _, Utc};
use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

/// An RFC 9457 problem: what went wrong, in a form that programs and people can act on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A relative reference that names the kind of problem, `/problems/{code}`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/run_not_found")]
    pub kind: String,
    /// The kind of problem in a few words; the same for every occurrence.
    #[schema(example = "Not Found")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// The stable, machine-readable name of the problem.
    #[schema(example = "run_not_found")]
    pub code: String,
    /// What happened here, what was expected, and what to do.
    pub detail: String,
    /// The request's id, which is also in the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Every field that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `?name` for a query parameter.
    #[schema(example = "/environment/seed")]
    pub pointer: String,
    /// What was expected there.
    pub detail: String,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The page's items, in the list's order.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items per page, 1 to 1000 (default 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cursor: Option<String>,
}

impl PageQuery {
    /// How many items the page has at most.
    #[must_use]
    pub fn length(&self) -> usize {
        self.limit.unwrap_or(1000) as usize
    }
}

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A page as JSON.
    Json,
    /// Everything as a stream, one JSON object per line.
    Ndjson,
    /// Everything as a stream of CSV with a header.
    Csv,
}

/// A SHA-256 digest, 64 lowercase hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 lowercase hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHash;

impl fmt::Display for InvalidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a SHA-256 digest: 64 lowercase hex digits")
    }
}

impl std::error::Error for InvalidHash {}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidHash); // one spelling only, or equal hashes would compare unequal as text
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidHash)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Hash {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[0-9a-f]{64}$"))
            .description(Some("A SHA-256 digest in lowercase hex."))
            .examples(["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
            .build()
            .into()
    }
}

impl ToSchema for Hash {
    fn name() -> std::borrow::Cow<'static, str> {
        "Hash".into()
    }
}

/// PostgreSQL keeps no NUL character in text.
pub(crate) fn without_nul(text: &str, _: &()) -> garde::Result {
    if text.contains('\0') {
        return Err(garde::Error::new("expected text without NUL characters"));
    }
    Ok(())
}

/// A time that RFC 3339 can tell, and that every database keeps: years have four digits.
pub(crate) fn in_range(time: &DateTime<Utc>, _: &()) -> garde::Result {
    if (1..=9999).contains(&time.year()) {
        return Ok(());
    }
    Err(garde::Error::new("expected a time from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z"))
}

/// For what is left out where it is 0.
pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_years_of_four_digits() {
        for time in ["0001-01-01T00:00:00Z", "2026-03-01T12:00:00Z", "9999-12-31T23:59:59.999999Z"] {
            assert!(in_range(&time.parse().unwrap(), &()).is_ok(), "{time}");
        }
        for time in [
            "0000-12-31T23:59:59Z",
            "-0001-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "+262142-01-01T00:00:00Z",
        ] {
            assert!(in_range(&time.parse().unwrap(), &()).is_err(), "{time}");
        }
    }

    #[test]
    fn a_hash_has_exactly_one_spelling() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
        assert!(text.to_uppercase().parse::<Hash>().is_err());
        assert!(text[1..].parse::<Hash>().is_err());
        assert!(serde_json::from_str::<Hash>("\"xyz\"").is_err());
    }
}
