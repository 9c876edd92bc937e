//! Which scope of a key an operation needs. It stands in the service's OpenAPI document, and that is what is enforced, so
//! that the two cannot differ: an operation says it with `extensions(("x-scopes" = json!(["operate"])))`, or has its
//! method's.
//!
//! Not as roles of `security`, which OpenAPI 3.1 allows: generators of clients take that for a key that is always needed.

use std::{collections::HashMap, fmt::Write as _};

use axum::http::Method;
use serde_json::{Value, json};

use crate::Scope;

/// An operation's scopes: of one of them the key must be.
const SCOPES: &str = "x-scopes";

/// What a method needs where the operation does not say anything else.
fn usual(method: &Method) -> Scope {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
        Method::DELETE => Scope::Operate,
        _ => Scope::Write,
    }
}

/// Writes into a document what each operation needs, and tells it in words too. Those that are open to everybody need nothing.
pub(crate) fn describe(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for (name, operation) in paths.flat_map(|item| item.as_object_mut().into_iter().flatten()) {
        let Some(method) = method(name).filter(|_| !is_open(operation)) else { continue };
        if operation[SCOPES].is_null() {
            operation[SCOPES] = json!([usual(&method)]);
        }
        let mut told =
            operation["description"].as_str().map_or_else(String::new, |text| format!("{text}\n\n"));
        let scopes: Vec<String> = scopes_of(operation).iter().map(|scope| format!("`{scope}`")).collect();
        // Writing to a string never fails.
        let _ = write!(told, "An API key needs the scope {} for it.", scopes.join(" or "));
        operation["description"] = told.into();
    }
}

fn is_open(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(|said| said.iter().all(|one| *one == json!({})))
}

fn scopes_of(operation: &Value) -> Vec<Scope> {
    let said = operation[SCOPES].as_array().into_iter().flatten();
    said.filter_map(Value::as_str).filter_map(Scope::parse).collect()
}

/// What the operations of a document need, by method and route.
#[derive(Debug, Default)]
pub(crate) struct Needed(HashMap<(Method, String), Vec<Scope>>);

impl Needed {
    /// Reads what [`describe`] has written.
    pub(crate) fn of(document: &Value) -> Self {
        let mut needed = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (name, operation) in item.as_object().into_iter().flatten() {
                let Some(method) = method(name) else { continue };
                needed.insert((method, path.clone()), scopes_of(operation));
            }
        }
        Self(needed)
    }

    /// Of which scopes a request's key must have one. What is in no document, its method decides.
    pub(crate) fn by(&self, method: &Method, route: Option<&str>) -> Vec<Scope> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let said = route.and_then(|route| self.0.get(&(method.clone(), route.to_owned())));
        said.filter(|scopes| !scopes.is_empty()).cloned().unwrap_or_else(|| vec![usual(method)])
    }
}

/// The method that an entry of a path is about, if it is about one.
fn method(name: &str) -> Option<Method> {
    match name {
        "get" | "put" | "post" | "delete" | "options" | "head" | "patch" | "trace" => {
            Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_needs_what_it_says_or_what_its_method_is_for() {
        let mut document = json!({"paths": {"/a/{id}": {
            "get": {"description": "Shows it."}, "post": {}, "patch": {}, "delete": {}, "parameters": [],
        }, "/a/{id}/cancel": {
            "post": {"x-scopes": ["operate"]}, "get": {"security": [{}]},
        }}});
        describe(&mut document);
        let of = |path: &str, name: &str| document["paths"][path][name].clone();
        assert_eq!(of("/a/{id}", "post")["x-scopes"], json!(["write"]));
        assert_eq!(
            of("/a/{id}", "get")["description"],
            "Shows it.\n\nAn API key needs the scope `read` for it."
        );
        assert_eq!(of("/a/{id}/cancel", "post")["x-scopes"], json!(["operate"]));
        assert_eq!(of("/a/{id}/cancel", "get"), json!({"security": [{}]}), "open to everybody");
        assert_eq!(of("/a/{id}", "parameters"), json!([]));

        let needed = Needed::of(&document);
        for (method, route, scope) in [
            (Method::GET, Some("/a/{id}"), Scope::Read),
            (Method::HEAD, Some("/a/{id}"), Scope::Read),
            (Method::PATCH, Some("/a/{id}"), Scope::Write),
            (Method::DELETE, Some("/a/{id}"), Scope::Operate),
            (Method::POST, Some("/a/{id}/cancel"), Scope::Operate),
            (Method::POST, Some("/undocumented"), Scope::Write),
            (Method::DELETE, None, Scope::Operate),
        ] {
            assert_eq!(needed.by(&method, route), [scope], "{method} {route:?}");
        }
    }
}
