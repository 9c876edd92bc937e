//! An algorithm with its settings, as callers write it and as it is answered.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, OneOfBuilder, Schema, Type},
    },
};

/// A learner or a hand rule: an object with its `name` and, beside it, what it is told; every setting that is left out is
/// as by default. A text is the name of an algorithm that is told nothing.
///
/// It is answered and recorded as an object with all settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlgorithmSpec {
    /// Its name.
    pub name: String,
    /// What it is told, by the settings' names.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

impl AlgorithmSpec {
    /// The algorithm of this name, told these settings (an object; anything else tells nothing).
    #[must_use]
    pub fn new(name: &str, settings: Value) -> Self {
        let settings = match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        Self { name: name.to_owned(), settings }
    }
}

impl From<&str> for AlgorithmSpec {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), settings: Map::new() }
    }
}

impl<'de> Deserialize<'de> for AlgorithmSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = AlgorithmSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an algorithm's name, or an object with its `name` and its settings")
    }

    fn visit_str<E>(self, name: &str) -> Result<AlgorithmSpec, E> {
        Ok(name.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AlgorithmSpec, A::Error> {
        let mut settings = Map::deserialize(MapAccessDeserializer::new(map))?;
        match settings.shift_remove("name") {
            Some(Value::String(name)) => Ok(AlgorithmSpec { name, settings }),
            _ => Err(A::Error::custom("expected a `name` (a text) beside the algorithm's settings")),
        }
    }
}

/// Which algorithms and settings there are is filled in by the service that knows them.
impl PartialSchema for AlgorithmSpec {
    fn schema() -> RefOr<Schema> {
        let name = || ObjectBuilder::new().schema_type(Type::String);
        let object = ObjectBuilder::new().schema_type(Type::Object).property("name", name()).required("name");
        let forms = OneOfBuilder::new().item(object).item(name());
        forms
            .description(Some(
                "A learner or a hand rule: an object with its `name` and, beside it, what it is told; every setting that \
                 is left out is as by default. A text is the name of an algorithm that is told nothing. It is answered \
                 and recorded as an object with all settings.",
            ))
            .into()
    }
}

impl ToSchema for AlgorithmSpec {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("AlgorithmSpec")
    }
}
