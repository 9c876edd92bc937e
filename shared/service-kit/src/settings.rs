//! The settings that a service has: the variable, the default and the meaning of each.
//!
//! Names and defaults are read from the default settings as they serialise, meanings from the doc comments of
//! the fields (utoipa keeps them in a type's schema). So `--help` and docs/settings.md say what the code does,
//! and a new setting is a new field with a comment.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One setting of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands in the settings file: `http.bind` is `bind` under `[http]`.
    pub key: String,
    /// Its environment variable.
    pub variable: String,
    /// Its default, as one would write it in the variable; empty where there is none.
    pub default: String,
    /// What it does, in one line.
    pub meaning: String,
}

/// Every setting of a service, in the order of the fields.
#[must_use]
pub fn settings<C: Serialize + Default + ToSchema>(service: &str) -> Vec<Setting> {
    // Settings that cannot be written are told by `load_config`; there is nothing to list then.
    let defaults = serde_json::to_value(C::default()).unwrap_or_default();
    let schemas = Schemas::of::<C>();
    let setting = |leaf: &Leaf<'_>| Setting {
        key: leaf.path.join("."),
        variable: leaf.variable(service),
        default: match leaf.default {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => String::new(),
            other => other.to_string(),
        },
        meaning: schemas.description(&leaf.path),
    };
    leaves(&defaults).iter().map(setting).collect()
}

/// What the variables of a service begin with.
pub(crate) fn prefix(service: &str) -> String {
    format!("AI_MESH_{}_", service.to_uppercase().replace('-', "_"))
}

/// A setting as the defaults show it.
pub(crate) struct Leaf<'a> {
    pub(crate) path: Vec<String>,
    pub(crate) default: &'a Value,
}

impl Leaf<'_> {
    pub(crate) fn variable(&self, service: &str) -> String {
        format!("{}{}", prefix(service), self.path.join("_").to_uppercase())
    }
}

/// Every value that is no table, in order.
pub(crate) fn leaves(defaults: &Value) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    collect_leaves(defaults, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect_leaves<'a>(value: &'a Value, path: &mut Vec<String>, leaves: &mut Vec<Leaf<'a>>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || path.is_empty() => {
            for (name, value) in fields {
                path.push(name.clone());
                collect_leaves(value, path, leaves);
                path.pop();
            }
        }
        default => leaves.push(Leaf { path: path.clone(), default }),
    }
}

/// The schema of a type, and those that it refers to.
struct Schemas {
    root: Value,
    named: Vec<(String, Value)>,
}

impl Schemas {
    fn of<C: ToSchema>() -> Self {
        let mut named = Vec::new();
        C::schemas(&mut named);
        // A schema is plain data, which always serialises.
        let value = |schema| serde_json::to_value(schema).unwrap_or_default();
        Self {
            root: value(C::schema()),
            named: named.into_iter().map(|(n, schema)| (n, value(schema))).collect(),
        }
    }

    /// The doc comment of the field at a path, on one line.
    fn description(&self, path: &[String]) -> String {
        let field =
            path.iter().try_fold(&self.root, |table, name| self.resolved(table)?["properties"].get(name));
        let description = field.and_then(|field| field["description"].as_str()).unwrap_or_default();
        description.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What a field's schema stands for: itself, or the type that it names.
    fn resolved<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            None => Some(schema),
            Some(name) => self.named.iter().find(|(known, _)| known == name).map(|(_, schema)| schema),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;

    /// A service's settings, of two levels.
    #[derive(Default, Serialize, ToSchema)]
    struct Config {
        /// How it listens.
        http: HttpConfig,
        /// Where the key is.
        /// Absent: nowhere.
        key_file: Option<String>,
    }

    #[test]
    fn every_setting_has_its_variable_its_default_and_the_comment_of_its_field() {
        let settings = settings::<Config>("psi-field");
        let of = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
        let bind = of("http.bind");
        assert_eq!(bind.variable, "AI_MESH_PSI_FIELD_HTTP_BIND");
        assert_eq!(bind.default, "127.0.0.1:0");
        assert!(bind.meaning.contains("port 0") || bind.meaning.contains("Port 0"), "{}", bind.meaning);
        let key = of("key_file");
        assert_eq!((key.default.as_str(), key.meaning.as_str()), ("", "Where the key is. Absent: nowhere."));
        assert!(settings.iter().all(|setting| !setting.meaning.is_empty()), "{settings:?}");
    }
}
