//! What an algorithm can be told: each setting with its range and what it decides, and what is refused of a caller's.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// One setting of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Its name on the wire and in files.
    pub name: &'static str,
    /// What it decides, in one sentence, with its unit.
    pub doc: &'static str,
    /// The values that it takes.
    pub range: Range,
}

/// The values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// A number, both ends included.
    Number {
        /// The least.
        least: f64,
        /// The most.
        most: f64,
    },
    /// A number above 0.
    Positive {
        /// The most, included.
        most: f64,
    },
    /// A whole number, both ends included.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// `true` or `false`.
    Flag,
    /// One of some words.
    Word(&'static [&'static str]),
    /// An object of settings, each of which may be left out.
    Group(&'static [Setting]),
}

/// A setting that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: expected {expected}")]
pub struct SettingError {
    /// The setting; one of a group as `replay.capacity`.
    pub setting: String,
    /// What was expected.
    pub expected: String,
}

/// An algorithm's settings as a type; its default is what holds where a caller says nothing.
pub(crate) trait Settings:
    Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + 'static
{
    /// Every setting, in the order of the type's fields.
    const LIST: &'static [Setting];

    /// Those that came after runs had been recorded without them: they are written only where they are not as by default,
    /// so that what does not use them keeps its bytes and its digest.
    const LATER: &'static [&'static str] = &[];

    /// Refuses settings that are within their ranges, but make no sense together.
    ///
    /// # Errors
    /// The first of them.
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    /// Reads what a caller has set; the rest is as by default.
    ///
    /// # Errors
    /// Every setting that there is not, or that is out of its range.
    fn read(told: &Map<String, Value>) -> Result<Self, Vec<SettingError>> {
        let mut errors = Vec::new();
        check("", Self::LIST, told, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut all = Self::defaults(told).written();
        merge(&mut all, told);
        let read: Self = json_input::from_value(&Value::Object(all)).map_err(|error| {
            vec![SettingError { setting: "settings".into(), expected: error.to_string() }]
        })?;
        read.check().map_err(|error| vec![error])?;
        Ok(read)
    }

    /// The settings as they are kept, those of [`Self::LATER`] only where they are not as by default.
    fn kept(&self) -> Map<String, Value> {
        let default = Self::default().written();
        let is_later = |name: &String| Self::LATER.contains(&name.as_str());
        let all = self.written().into_iter();
        all.filter(|(name, value)| !is_later(name) || default.get(name) != Some(value)).collect()
    }

    /// What is so where a caller who has told this says nothing.
    fn defaults(_told: &Map<String, Value>) -> Self {
        Self::default()
    }

    /// Says of what an earlier version has written what it did not need to say.
    fn upgrade(_told: &mut Map<String, Value>) {}

    /// All settings, those by default included.
    fn written(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(all)) => all,
            _ => Map::new(), // a struct with fields is always an object
        }
    }
}

impl Range {
    /// True when it has the value.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        match *self {
            Self::Number { least, most } => value.as_f64().is_some_and(|x| (least..=most).contains(&x)),
            Self::Positive { most } => value.as_f64().is_some_and(|x| x > 0.0 && x <= most),
            Self::Whole { least, most } => {
                json_input::from_value(value).is_ok_and(|n| (least..=most).contains(&n))
            }
            Self::Flag => value.is_boolean(),
            Self::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Group(_) => value.is_object(),
        }
    }

    /// The values in words: `a number from 0 to 1`.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Number { least, most } => format!("a number from {least} to {most}"),
            Self::Positive { most } => format!("a number above 0 and at most {most}"),
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Flag => "true or false".into(),
            Self::Word(words) => listed(words, "or"),
            Self::Group(settings) => {
                format!("an object with {}", listed(&names(settings), "and"))
            }
        }
    }

    /// The values as a JSON Schema.
    #[must_use]
    pub fn schema(&self) -> Value {
        match self {
            Self::Number { least, most } => json!({"type": "number", "minimum": least, "maximum": most}),
            Self::Positive { most } => json!({"type": "number", "exclusiveMinimum": 0, "maximum": most}),
            Self::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Group(settings) => {
                let property = |setting: &Setting| {
                    (setting.name.to_owned(), described(setting.range.schema(), setting.doc))
                };
                let properties: Map<String, Value> = settings.iter().map(property).collect();
                json!({"type": "object", "properties": properties, "additionalProperties": false})
            }
        }
    }
}

fn described(mut schema: Value, doc: &str) -> Value {
    schema["description"] = json!(doc);
    schema
}

fn check(prefix: &str, list: &[Setting], told: &Map<String, Value>, errors: &mut Vec<SettingError>) {
    for (name, value) in told {
        let setting = format!("{prefix}{name}");
        let Some(known) = list.iter().find(|known| known.name == name) else {
            let expected = match list {
                [] => "no settings".into(),
                list => {
                    let known: Vec<_> = list.iter().map(|known| format!("{prefix}{}", known.name)).collect();
                    format!("one of {}", known.join(", "))
                }
            };
            errors.push(SettingError { setting, expected });
            continue;
        };
        match (known.range, value) {
            (Range::Group(list), Value::Object(told)) => check(&format!("{setting}."), list, told, errors),
            (range, value) if !range.contains(value) => {
                errors.push(SettingError { setting, expected: range.in_words() });
            }
            _ => {}
        }
    }
}

/// Puts what was told over what is so by default, group by group.
fn merge(all: &mut Map<String, Value>, told: &Map<String, Value>) {
    for (name, value) in told {
        match (all.get_mut(name), value) {
            (Some(Value::Object(group)), Value::Object(told)) => merge(group, told),
            _ => drop(all.insert(name.clone(), value.clone())),
        }
    }
}

fn names(settings: &[Setting]) -> Vec<&'static str> {
    settings.iter().map(|setting| setting.name).collect()
}

/// `a, b or c`.
pub(crate) fn listed(words: &[&str], conjunction: &str) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).into(),
        [words @ .., last] => format!("{} {conjunction} {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_their_words_say() {
        let cases = [
            (Range::Number { least: 0.0, most: 1.0 }, json!([0, 1, 0.5]), json!([-0.1, 1.1, "1", null])),
            (Range::Positive { most: 1.0 }, json!([1e-12, 1]), json!([0, -1, 1.5])),
            (Range::Whole { least: 1, most: 3 }, json!([1, 3]), json!([0, 4, 1.5, -1])),
            (Range::Flag, json!([true, false]), json!([0, "true"])),
            (Range::Word(&["a", "b"]), json!(["a", "b"]), json!(["c", "", 1])),
        ];
        for (range, inside, outside) in cases {
            assert!(inside.as_array().unwrap().iter().all(|value| range.contains(value)), "{range:?}");
            assert!(!outside.as_array().unwrap().iter().any(|value| range.contains(value)), "{range:?}");
        }
        assert_eq!(Range::Positive { most: 1.0 }.in_words(), "a number above 0 and at most 1");
        assert_eq!(Range::Word(&["a", "b", "c"]).in_words(), "a, b or c");
    }
}
