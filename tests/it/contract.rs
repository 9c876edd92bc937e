//! What the OpenAPI documents say of answers and bodies, held against them.

use serde_json::{Map, Value};

/// The methods of a path.
pub(crate) const METHODS: [&str; 6] = ["get", "put", "post", "patch", "delete", "head"];

/// Path, method and operation, of every operation of a document.
pub(crate) fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.filter(|(_, method, _)| METHODS.contains(method)).collect()
}

/// The object itself, or what it refers to.
pub(crate) fn resolved<'a>(document: &'a Value, object: &'a Value) -> &'a Value {
    let pointer = object["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(object, |pointer| document.pointer(pointer).unwrap())
}

/// The answer that an operation has for a status: under the status itself, else under its range.
pub(crate) fn answer<'a>(document: &'a Value, operation: &'a Value, status: u16) -> Option<&'a Value> {
    let answers = operation["responses"].as_object()?;
    let range = format!("{}XX", status / 100);
    let found = answers.get(&status.to_string()).or_else(|| answers.get(&range))?;
    Some(resolved(document, found))
}

/// What is wrong with an answer by what the document says of the operation: its status, its media type and whether it is
/// JSON, text or bytes. That JSON is valid by its schema is for `tests/clients` to see, which has a validator.
pub(crate) fn faults_of_answer(
    document: &Value,
    operation: &Value,
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> Vec<String> {
    let Some(answer) = answer(document, operation, status) else {
        return vec![format!("the status {status} is not documented")];
    };
    let Some(content) = answer["content"].as_object() else {
        return if body.is_empty() { Vec::new() } else { vec![format!("{status} has a body")] };
    };
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let Some(described) = content.get(media_type).or_else(|| content.get("*/*")) else {
        return vec![format!("{status} has the media type `{media_type}`, not one of {:?}", keys(content))];
    };
    let schema = &described["schema"];
    let is_text = schema.is_object() && schema["format"] != "binary";
    let is_json = is_text && schema["contentMediaType"].is_null();
    if is_json && let Err(error) = serde_json::from_slice::<Value>(body) {
        return vec![format!("{status} is no JSON: {error}")];
    }
    if is_text && let Err(error) = std::str::from_utf8(body) {
        return vec![format!("{status} is no text: {error}")];
    }
    Vec::new()
}

fn keys(content: &Map<String, Value>) -> Vec<&String> {
    content.keys().collect()
}
