//! JSON objects of the caller's own making: read strictly, because they are hashed and kept for ever.

use std::fmt;

use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};

mod numbers;

/// How deep arrays and objects may be nested. Readers that wrap a record in a page still have room
/// below serde's own limit of 128, so that no record can make a list unreadable.
pub const MAX_DEPTH: usize = 64;

/// Reads an object in which every key stands once (RFC 7493, which RFC 8785 builds on), every number comes back as it was
/// written, and nothing is nested deeper than [`MAX_DEPTH`]. For `#[serde(deserialize_with)]`.
///
/// # Errors
/// Not an object, a key that stands twice, a number that a double does not carry, too deep.
pub(crate) fn strict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(|error| D::Error::custom(without_place(&error)))?;
    if let Some((number, instead)) = numbers::first_inexact(raw.get()) {
        let number: String = number.chars().take(60).collect();
        return Err(D::Error::custom(format!(
            "expected numbers that an IEEE 754 double carries exactly, but `{number}` would come back as `{instead}`: send \
             it as text"
        )));
    }
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(D::Error::custom("expected a JSON object")),
    }
}

/// An error's text without the line and column, which count from the object's beginning and not from the request's.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// A value at some depth.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("expected at most {MAX_DEPTH} levels of arrays and objects")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("expected a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice in one object")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>, String> {
        strict(&mut serde_json::Deserializer::from_str(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let text = r#"{"a":[1,-2,2.5,"x",true,null,{"b":{}}]}"#;
        assert_eq!(Value::Object(read(text).unwrap()), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        assert!(read(r#"{"a":1,"a":2}"#).unwrap_err().contains("`a` stands twice"));
        assert!(read(r#"{"a":[{"b":1,"b":1}]}"#).unwrap_err().contains("`b` stands twice"));
    }

    #[test]
    fn a_key_that_stands_twice_is_found_after_its_escapes_are_read() {
        assert!(read(r#"{"a":1,"\u0061":2}"#).unwrap_err().contains("`a` stands twice"));
        assert!(read(r#"{"\ud83d\ude00":1,"😀":2}"#).unwrap_err().contains("`😀` stands twice"));
        // composed and decomposed letters are different texts
        assert_eq!(read("{\"\u{e9}\":1,\"e\u{301}\":2}").unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_unicode_text_or_no_exact_number_is_refused_at_any_depth() {
        for text in [r#"{"a":"\ud800"}"#, r#"{"\udc00":1}"#, r#"{"a":["\ud800\ud800"]}"#] {
            assert!(read(text).is_err(), "{text}");
        }
        for number in [
            "9007199254740993.0",
            "9.007199254740993e15",
            "-0",
            "1e400",
            "1e-400",
            "0.1000000000000000055511151231257827",
        ] {
            for text in [format!(r#"{{"a":{number}}}"#), format!(r#"{{"a":[[{{"b":[1,{number}]}}]]}}"#)] {
                assert!(read(&text).is_err(), "{text}");
            }
        }
        let told = read(r#"{"a":[9007199254740993.0]}"#).unwrap_err();
        assert!(told.contains("`9007199254740993.0` would come back as `9007199254740992`"), "{told}");
    }

    #[test]
    fn nesting_is_limited_and_only_objects_are_taken() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
        assert!(read(&nested(MAX_DEPTH)).unwrap_err().contains("at most 64 levels"));
        assert!(read("[]").unwrap_err().contains("expected a JSON object"));
    }
}
