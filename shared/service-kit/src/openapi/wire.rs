//! What utoipa derives from the Rust types, as what travels: generators make clients of it, and know nothing of Rust.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The whole numbers that every JSON reader has exactly: up to 2^53 - 1.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

const SCHEMAS: &str = "#/components/schemas/";
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Turns a document about types into one about the wire.
pub(super) fn describe(document: &mut Value) {
    name_operations(document);
    name_pages(document);
    name_variants(document);
    describe_bodies(document);
    bound_numbers(document);
    tell_absence_from_null(document);
    answer_no_nulls(document);
    drop_unused(document);
}

/// An operation's id is its handler's name, which Rust writes with underscores.
fn name_operations(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = paths.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut);
    for (method, operation) in operations.flatten() {
        if METHODS.contains(&method.as_str())
            && let Some(id) = operation.get("operationId").and_then(Value::as_str)
        {
            let (first, rest) = id.split_once('_').unwrap_or((id, ""));
            operation["operationId"] = format!("{first}{}", pascal(rest)).into();
        }
    }
}

/// utoipa names `Page<Run>` `Page_Run` and writes the run out in it; here it is a `RunPage` of `Run`.
fn name_pages(document: &mut Value) {
    let Some(schemas) = schemas(document) else { return };
    let pages = schemas.keys().filter_map(|name| name.strip_prefix("Page_"));
    let pages: Vec<String> = pages.map(str::to_owned).collect();
    for item in &pages {
        if let Some(mut page) = schemas.shift_remove(&format!("Page_{item}")) {
            page["properties"]["items"]["items"] = reference(item);
            schemas.insert(format!("{item}Page"), page);
        }
    }
    schemas.sort_keys();
    each_reference(document, &mut |name| {
        name.strip_prefix("Page_")
            .filter(|item| pages.iter().any(|page| page == item))
            .map(|item| format!("{item}Page"))
    });
}

/// The variants of a tagged union become schemas with names of their own, told apart by the tag: that of `RunEvent`
/// with the tag `progress` is the `ProgressRunEvent`.
fn name_variants(document: &mut Value) {
    let Some(schemas) = schemas(document) else { return };
    for union in schemas.keys().cloned().collect::<Vec<_>>() {
        let Some(schema) = schemas.get_mut(&union) else { continue };
        let Some(variants) = schema.get("oneOf").and_then(Value::as_array) else { continue };
        let Some(tag) = tag(variants) else { continue };
        let (mut named, mut mapping) = (Vec::new(), Map::new());
        for variant in variants {
            let tags = tags(variant, &tag);
            let title =
                variant.get("title").and_then(Value::as_str).or(tags.first().copied()).unwrap_or_default();
            let name = format!("{}{union}", pascal(title));
            mapping.extend(tags.iter().map(|tag| ((*tag).to_owned(), format!("{SCHEMAS}{name}").into())));
            named.push((name, variant.clone()));
        }
        schema["oneOf"] = named.iter().map(|(name, _)| reference(name)).collect();
        schema["discriminator"] = json!({"propertyName": tag, "mapping": mapping});
        for (name, mut variant) in named {
            if let Some(variant) = variant.as_object_mut() {
                variant.shift_remove("title");
            }
            schemas.insert(name, variant);
        }
    }
    schemas.sort_keys();
}

/// The property that tells the variants apart: in each of them, all objects, it is one of some texts.
fn tag(variants: &[Value]) -> Option<String> {
    let properties = variants.first()?.get("properties")?.as_object()?;
    let tells = |name: &&String| variants.iter().all(|variant| !tags(variant, name).is_empty());
    properties.keys().find(tells).cloned()
}

fn tags<'a>(variant: &'a Value, property: &str) -> Vec<&'a str> {
    let texts = variant.get("properties").and_then(|all| all.get(property)?.get("enum")?.as_array());
    texts.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A body that is no JSON is text or bytes, whatever type the annotation names: of a stream of lines or events it is the
/// type of one of them, which stands in `contentSchema`.
fn describe_bodies(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let content = members.get_mut("content").and_then(Value::as_object_mut);
            for (media_type, body) in content.into_iter().flatten() {
                let Some(body) = body.as_object_mut() else { continue };
                if media_type == "*/*" {
                    body.shift_remove("schema"); // of anything nothing can be said
                } else if let Some(schema) = body.get_mut("schema")
                    && let Some(other) = body_schema(media_type, schema)
                {
                    *schema = other;
                }
            }
            members.values_mut().for_each(describe_bodies);
        }
        Value::Array(items) => items.iter_mut().for_each(describe_bodies),
        _ => {}
    }
}

/// What describes a body of this media type; `None` when it is what the annotation says.
fn body_schema(media_type: &str, item: &Value) -> Option<Value> {
    let text = || json!({"type": "string", "contentMediaType": media_type});
    match media_type {
        "application/json" => None,
        "application/x-ndjson" | "text/event-stream" => {
            let mut lines = text();
            lines["contentSchema"] = json!({"type": "array", "items": item});
            Some(lines)
        }
        "application/octet-stream" => Some(json!({"type": "string", "format": "binary"})),
        "image/svg+xml" => Some(text()),
        _ if media_type.ends_with("+json") => None,
        _ if media_type.starts_with("text/") => Some(text()),
        _ => Some(json!({"type": "string", "format": "binary", "contentMediaType": media_type})),
    }
}

/// utoipa writes the Rust type of a number (`u-int64`), which few tools know. The registered formats are signed, so the
/// bounds tell the rest; and no number on the wire is greater than every reader can hold exactly.
fn bound_numbers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let bound = members.get("format").and_then(Value::as_str).and_then(|format| match format {
                "u-int8" => Some(("int32", u64::from(u8::MAX))),
                "u-int16" => Some(("int32", u64::from(u16::MAX))),
                "u-int32" => Some(("int64", u64::from(u32::MAX))),
                "u-int64" | "int64" => Some(("int64", MAX_SAFE_INTEGER)),
                _ => None,
            });
            if let Some((format, most)) = bound {
                members.insert("format".to_owned(), format.into());
                members.entry("maximum").or_insert(most.into());
            }
            members.values_mut().for_each(bound_numbers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_numbers),
        _ => {}
    }
}

/// `None` in Rust is an absent field or parameter here. So no parameter is null, and null is nobody's default: a generated
/// client would send it, and a merge patch would clear what it does not name.
fn tell_absence_from_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("default").is_some_and(Value::is_null) {
                members.shift_remove("default");
            }
            let parameters = members.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                if let Some(types) = parameter.pointer_mut("/schema/type")
                    && let Some(one) = types.as_array().and_then(|all| all.iter().find(|one| **one != "null"))
                {
                    *types = one.clone();
                }
            }
            members.values_mut().for_each(tell_absence_from_null);
        }
        Value::Array(items) => items.iter_mut().for_each(tell_absence_from_null),
        _ => {}
    }
}

/// A field of an answer is absent where there is nothing to tell, and null only where it is always there. Requests may
/// have null for what is absent, so what is in both stays as it is.
fn answer_no_nulls(document: &mut Value) {
    let asked: Vec<&Value> = document.get("paths").map(requests).unwrap_or_default();
    let asked = asked.into_iter().flat_map(references).collect();
    let asked = reachable(&document["components"], asked);
    for (name, schema) in schemas(document).into_iter().flatten() {
        if !asked.contains(&format!("{SCHEMAS}{name}")) {
            drop_nulls(schema);
        }
    }
}

/// Everything that callers send: bodies and parameters.
fn requests(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| match name.as_str() {
                "requestBody" | "parameters" => vec![member],
                _ => requests(member),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(requests).collect(),
        _ => Vec::new(),
    }
}

fn drop_nulls(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let required = members.get("required").cloned().unwrap_or_default();
            let is_required =
                |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
            let properties = members.get_mut("properties").and_then(Value::as_object_mut);
            for (name, property) in properties.into_iter().flatten() {
                if !is_required(name) {
                    drop_null(property);
                }
            }
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn drop_null(property: &mut Value) {
    for (key, null) in [("type", json!("null")), ("enum", Value::Null), ("oneOf", json!({"type": "null"}))] {
        let Some(alternatives) = property.get_mut(key).and_then(Value::as_array_mut) else { continue };
        alternatives.retain(|alternative| *alternative != null);
        if let [one] = alternatives.as_slice() {
            match (key, one.clone()) {
                ("type", one) => property[key] = one,
                ("oneOf", one) => *property = one,
                _ => {}
            }
        }
    }
}

/// utoipa lists what a type is made of, also where it wrote it out or where another schema took its place.
fn drop_unused(document: &mut Value) {
    let Some(components) = document.get_mut("components").map(Value::take) else { return };
    let used = reachable(&components, references(document));
    document["components"] = components;
    for section in ["schemas", "responses"] {
        if let Some(all) = document["components"].get_mut(section).and_then(Value::as_object_mut) {
            all.retain(|name, _| used.contains(&format!("#/components/{section}/{name}")));
        }
    }
}

/// These references, and all that lead on from them.
fn reachable(components: &Value, mut new: BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while let Some(pointer) = new.pop_first() {
        let place = pointer.strip_prefix("#/components").and_then(|place| components.pointer(place));
        found.insert(pointer.clone());
        new.extend(place.map(references).unwrap_or_default().into_iter().filter(|one| !found.contains(one)));
    }
    found
}

fn references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// Gives what refers to a schema another name to refer to.
fn each_reference(value: &mut Value, renamed: &mut impl FnMut(&str) -> Option<String>) {
    match value {
        Value::Object(members) => {
            let name =
                members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(SCHEMAS));
            if let Some(new) = name.and_then(&mut *renamed) {
                members.insert("$ref".to_owned(), format!("{SCHEMAS}{new}").into());
            }
            members.values_mut().for_each(|member| each_reference(member, renamed));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, renamed)),
        _ => {}
    }
}

fn schemas(document: &mut Value) -> Option<&mut Map<String, Value>> {
    document.get_mut("components")?.get_mut("schemas")?.as_object_mut()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{SCHEMAS}{name}")})
}

/// `run_metrics`, `run-metrics` and `run metrics` as `RunMetrics`.
fn pascal(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect()
}

#[cfg(test)]
mod tests;
