//! Reading JSON files whose mistakes are told by file, JSON pointer and expectation.

use std::{collections::BTreeSet, fmt};

use json_input::Mistake;
use jsonptr::Token;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, MapAccess, Visitor},
    ser::SerializeMap,
};

/// A mistake in a file or a request: where it is and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}: {expected}", if pointer.is_empty() { "the document" } else { pointer })]
pub struct InputError {
    /// The file's name, or what stands for it.
    pub file: String,
    /// JSON pointer (RFC 6901) to the value; empty for the whole document. For CSV: line and column.
    pub pointer: String,
    /// What was expected, what was found, and what to do.
    pub expected: String,
}

/// Parses JSON text strictly.
///
/// # Errors
/// Malformed JSON, a missing or unknown field, a value of the wrong type.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, InputError> {
    json_input::from_str(text).map_err(|mistake| mistaken(file, mistake))
}

/// Like [`parse`], from a value that has been parsed before.
pub(crate) fn from_value<T: DeserializeOwned>(
    file: &str,
    value: &serde_json::Value,
) -> Result<T, InputError> {
    json_input::from_value(value).map_err(|mistake| mistaken(file, mistake))
}

fn mistaken(file: &str, mistake: Mistake) -> InputError {
    let pointer = mistake.pointer();
    let expected = match mistake {
        Mistake::NotJson(why) => format!("expected one JSON document and nothing after it: {why}"),
        Mistake::Misfit { detail, .. } => detail,
    };
    InputError { file: file.into(), pointer, expected }
}

/// A key as it stands in a JSON pointer: `/` and `~` in it are written otherwise there.
pub(crate) fn token(key: &str) -> String {
    Token::new(key).encoded().to_owned()
}

/// Checks values of one file and names the one that is out of range.
pub(crate) struct Checker<'a> {
    pub(crate) file: &'a str,
}

impl Checker<'_> {
    pub(crate) fn error(&self, pointer: String, expected: impl Into<String>) -> InputError {
        InputError { file: self.file.into(), pointer, expected: expected.into() }
    }

    pub(crate) fn require(
        &self,
        holds: bool,
        pointer: &str,
        expected: impl FnOnce() -> String,
    ) -> Result<(), InputError> {
        if holds { Ok(()) } else { Err(self.error(pointer.into(), expected())) }
    }

    /// `low ≤ value ≤ high`.
    pub(crate) fn within(&self, value: f64, low: f64, high: f64, pointer: &str) -> Result<(), InputError> {
        self.require((low..=high).contains(&value), pointer, || {
            format!("expected a number from {low} to {high}, found {value}")
        })
    }

    /// `0 < value ≤ high`.
    pub(crate) fn positive(&self, value: f64, high: f64, pointer: &str) -> Result<(), InputError> {
        self.require(value > 0.0 && value <= high, pointer, || {
            format!("expected a number above 0 and at most {high}, found {value}")
        })
    }

    pub(crate) fn name(&self, value: &str, pointer: &str) -> Result<(), InputError> {
        self.require(
            !value.is_empty() && value.len() <= 200 && !value.chars().any(char::is_control),
            pointer,
            || format!("expected 1 to 200 bytes of text without control characters, found {value:?}"),
        )
    }
}

/// A JSON object whose order matters, as that of a workload mix does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrderedMap<V>(pub Vec<(String, V)>);

impl<V> OrderedMap<V> {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// The entries in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}

impl<V: Serialize> Serialize for OrderedMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for OrderedMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = OrderedMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let (mut entries, mut keys) = (Vec::new(), BTreeSet::new());
                while let Some((key, value)) = access.next_entry::<String, V>()? {
                    if !keys.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("the key `{key}` stands here twice")));
                    }
                    entries.push((key, value));
                }
                Ok(OrderedMap(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}
