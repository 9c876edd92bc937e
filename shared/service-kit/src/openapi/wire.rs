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

/// The variants of a tagged union become schemas with names of their own, told apart by the tag: those of `RunEvent`
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
            if let Some(content) = members.get_mut("content").and_then(Value::as_object_mut) {
                for (media_type, body) in content {
                    let schema = body.as_object_mut().and_then(|body| body.get_mut("schema"));
                    if let Some((schema, other)) = schema.and_then(|schema| {
                        let other = body_schema(media_type, schema)?;
                        Some((schema, other))
                    }) {
                        *schema = other;
                    }
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
        "application/octet-stream" | "*/*" => Some(json!({"type": "string", "format": "binary"})),
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

/// utoipa lists what a type is made of, also where it wrote it out or where another schema took its place.
fn drop_unused(document: &mut Value) {
    let mut used = BTreeSet::new();
    let Some(components) = document.get_mut("components").map(Value::take) else { return };
    let mut new = references(document);
    while let Some(pointer) = new.pop_first() {
        let place = pointer.strip_prefix("#/components");
        let found = place.and_then(|place| components.pointer(place)).map(references).unwrap_or_default();
        used.insert(pointer);
        new.extend(found.into_iter().filter(|found| !used.contains(found)));
    }
    document["components"] = components;
    for section in ["schemas", "responses"] {
        if let Some(all) = document["components"].get_mut(section).and_then(Value::as_object_mut) {
            all.retain(|name, _| used.contains(&format!("#/components/{section}/{name}")));
        }
    }
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
mod tests {
    use super::*;

    fn described(mut document: Value) -> Value {
        describe(&mut document);
        document
    }

    #[test]
    fn a_page_has_a_name_and_refers_to_its_items_and_what_nobody_uses_goes() {
        let answer =
            json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page_Run"}}}});
        let page = json!({"properties": {"items": {"type": "array", "items": {"type": "object", "title": "written out"}}}});
        let document = described(json!({
            "paths": {"/runs": {"get": {"operationId": "list_all_runs", "responses": {"200": answer}}}},
            "components": {"schemas": {"Page_Run": page, "Run": {"$ref": "#/components/schemas/Id"}, "Id": {}, "Left": {}},
                "responses": {"Left": {}}},
        }));
        assert_eq!(document["paths"]["/runs"]["get"]["operationId"], "listAllRuns");
        assert!(document.to_string().contains("#/components/schemas/RunPage"));
        let components = &document["components"];
        assert_eq!(components["schemas"]["RunPage"]["properties"]["items"]["items"], reference("Run"));
        assert_eq!(
            components["schemas"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["Id", "Run", "RunPage"]
        );
        assert_eq!(components["responses"], json!({}));
    }

    #[test]
    fn the_variants_of_a_tagged_union_have_names_and_a_discriminator() {
        let variant = |tags: &[&str]| json!({"type": "object", "properties": {"kind": {"type": "string", "enum": tags}}});
        let mut rule = variant(&["fast", "cheap"]);
        rule["title"] = "hand rule".into();
        let document = described(json!({
            "paths": {"/": {"get": {"schema": reference("Policy")}}},
            "components": {"schemas": {"Policy": {"oneOf": [variant(&["q-learning"]), rule]}}},
        }));
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas["Policy"],
            json!({"oneOf": [reference("QLearningPolicy"), reference("HandRulePolicy")],
                "discriminator": {"propertyName": "kind", "mapping": {
                    "q-learning": "#/components/schemas/QLearningPolicy",
                    "fast": "#/components/schemas/HandRulePolicy",
                    "cheap": "#/components/schemas/HandRulePolicy"}}})
        );
        assert_eq!(schemas["HandRulePolicy"], variant(&["fast", "cheap"]));
    }

    #[test]
    fn what_has_no_tag_is_no_tagged_union() {
        let document = json!({
            "paths": {"/": {"get": {"schema": reference("Either")}}},
            "components": {"schemas": {"Either": {"oneOf": [
                {"type": "object", "properties": {"kind": {"type": "string", "enum": ["a"]}}}, {"type": "string"}]}}},
        });
        assert_eq!(described(document.clone()), document);
    }

    #[test]
    fn a_body_that_is_no_json_is_text_or_bytes() {
        let body = |media_type: &str, schema: Value| {
            let document = described(json!({"content": {media_type: {"schema": schema}}}));
            document["content"][media_type]["schema"].clone()
        };
        let bytes = json!({"type": "array", "items": {"type": "integer", "format": "u-int8"}});
        let png = json!({"type": "string", "format": "binary", "contentMediaType": "image/png"});
        assert_eq!(body("image/png", bytes.clone()), png);
        assert_eq!(body("application/octet-stream", bytes), json!({"type": "string", "format": "binary"}));
        assert_eq!(body("text/csv", json!({})), json!({"type": "string", "contentMediaType": "text/csv"}));
        assert_eq!(
            body("text/event-stream", reference("Event")),
            json!({"type": "string", "contentMediaType": "text/event-stream",
                "contentSchema": {"type": "array", "items": reference("Event")}})
        );
        for json in ["application/json", "application/merge-patch+json", "application/problem+json"] {
            assert_eq!(body(json, reference("Run")), reference("Run"), "{json}");
        }
    }

    #[test]
    fn what_is_absent_is_not_null() {
        let header = json!({"in": "header", "schema": {"type": ["string", "null"], "maxLength": 200}});
        let document = described(json!({"parameters": [header],
            "properties": {"name": {"type": ["string", "null"], "default": null}, "limit": {"type": "integer", "default": 1}}}));
        assert_eq!(document["parameters"][0]["schema"], json!({"type": "string", "maxLength": 200}));
        assert_eq!(document["properties"]["name"], json!({"type": ["string", "null"]}));
        assert_eq!(document["properties"]["limit"]["default"], 1);
    }

    #[test]
    fn whole_numbers_have_a_registered_format_and_a_bound() {
        let number = |format: &str| described(json!({"type": "integer", "format": format, "minimum": 0}));
        assert_eq!(
            number("u-int16"),
            json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 65535})
        );
        assert_eq!(
            number("u-int64"),
            json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_u64})
        );
        let less = json!({"type": "integer", "format": "u-int32", "maximum": 7});
        assert_eq!(described(less)["maximum"], 7, "a bound of its own stays");
    }
}
