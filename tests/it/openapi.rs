//! The OpenAPI documents that are checked in are those that the services serve, and generators can make clients of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::contract::{answer, operations, resolved};

fn documents() -> [(&'static str, Value); 4] {
    [
        ("trainer", trainer::openapi()),
        ("psi-field", psi_field::openapi()),
        ("remembrancer", remembrancer::openapi()),
        ("evaluator", evaluator::openapi()),
    ]
}

/// Calls this with every operation of every document, and a name for it.
fn each_operation(mut check: impl FnMut(&str, &Value, &str, &Value)) {
    let mut seen = 0;
    for (service, document) in documents() {
        for (path, method, operation) in operations(&document) {
            check(&format!("{service}: {method} {path}"), &document, method, operation);
            seen += 1;
        }
    }
    assert!(seen > 70, "only {seen} operations");
}

/// Calls this with every object of every document, however deep, and its pointer.
fn each_object(mut check: impl FnMut(&str, &Value, &Value)) {
    fn walk(pointer: &str, value: &Value, check: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Object(members) => {
                check(pointer, value);
                members.iter().for_each(|(name, member)| walk(&format!("{pointer}/{name}"), member, check));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(pointer, item, check)),
            _ => {}
        }
    }
    for (service, document) in documents() {
        walk(service, &document, &mut |pointer, object| check(pointer, &document, object));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `UPDATE_OPENAPI=1 cargo test -p black-box-tests openapi` writes them anew.
#[test]
fn the_documents_that_are_checked_in_are_up_to_date() {
    for (service, document) in documents() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../openapi/{service}.json"));
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == text,
            "openapi/{service}.json is not what {service} serves: run `UPDATE_OPENAPI=1 cargo test -p black-box-tests openapi` and look at the difference"
        );
    }
}

#[test]
fn a_document_says_who_serves_it_where_and_under_which_licence() {
    for (service, document) in documents() {
        let info = &document["info"];
        assert!(text(&info["title"]).is_ascii() && !text(&info["title"]).is_empty(), "{service}: {info}");
        assert!(
            info["contact"]["name"].is_string() && info["license"]["identifier"].is_string(),
            "{service}"
        );
        assert_eq!(document["servers"][0]["url"], ".", "{service}");
        let port = text(&document["servers"][1]["variables"]["port"]["default"]);
        assert!(port.starts_with("800"), "{service}: {port}");
        let tags: Vec<_> = document["tags"].as_array().unwrap().iter().collect();
        for tag in &tags {
            assert!(
                !text(&tag["description"]).is_empty(),
                "{service}: the tag {} has no description",
                tag["name"]
            );
        }
        for (path, method, operation) in operations(&document) {
            let tag = &operation["tags"][0];
            assert!(
                tags.iter().any(|known| known["name"] == *tag),
                "{service}: {method} {path} has the tag {tag}"
            );
        }
    }
}

#[test]
fn every_operation_and_parameter_is_described_in_words() {
    each_operation(|name, _, _, operation| {
        let summary = text(&operation["summary"]);
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{name}: the summary is {summary:?}");
        assert!(text(&operation["description"]).ends_with('.'), "{name} has no description");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let described = !text(&parameter["description"]).is_empty();
            assert!(described, "{name}: the parameter {} has no description", parameter["name"]);
        }
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let described = answer["$ref"].is_string() || !text(&answer["description"]).is_empty();
            assert!(described, "{name}: {status} has no description");
        }
    });
}

/// A verb and what it is done to, in camel case. What is only read is got, or listed where it comes in pages.
#[test]
fn the_ids_of_operations_follow_one_law() {
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    each_operation(|name, document, method, operation| {
        let id = text(&operation["operationId"]).to_owned();
        let verb: String = id.chars().take_while(char::is_ascii_lowercase).collect();
        let noun = &id[verb.len()..];
        assert!(
            noun.starts_with(|c: char| c.is_ascii_uppercase())
                && id.chars().all(|c| c.is_ascii_alphanumeric()),
            "{name}: `{id}` is no verb with a noun"
        );
        let content =
            answer(document, operation, 200).and_then(|answer| answer["content"].get("application/json"));
        let is_page = content.is_some_and(|content| is_page(document, &content["schema"]));
        match method {
            "get" => assert_eq!(verb, if is_page { "list" } else { "get" }, "{name}: `{id}`"),
            "put" => assert_eq!(verb, "put", "{name}: `{id}`"),
            "patch" => assert_eq!(verb, "update", "{name}: `{id}`"),
            _ => assert!(!["get", "list", "put", "update"].contains(&verb.as_str()), "{name}: `{id}`"),
        }
        let service = name.split(':').next().unwrap().to_owned();
        assert!(ids.entry(service).or_default().insert(id.clone()), "{name}: there is another `{id}`");
    });
}

fn is_page(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    match schema["anyOf"].as_array() {
        Some(forms) => forms.iter().all(|form| is_page(document, form)),
        None => {
            schema["properties"]["items"]["type"] == "array"
                && schema["properties"]["next_cursor"].is_object()
        }
    }
}

#[test]
fn every_page_has_a_name_and_refers_to_its_items() {
    let mut pages = 0;
    for (service, document) in documents() {
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            if schema["anyOf"].is_null() && is_page(&document, schema) {
                let item = text(&schema["properties"]["items"]["items"]["$ref"]).rsplit('/').next().unwrap();
                assert_eq!(*name, format!("{item}Page"), "{service}");
                pages += 1;
            }
        }
    }
    assert!(pages > 10, "only {pages} pages");
}

#[test]
fn every_operation_says_what_its_errors_look_like() {
    each_operation(|name, document, _, operation| {
        assert!(
            operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2')),
            "{name}"
        );
        for status in [400, 404, 409, 418, 422, 500, 503] {
            let answer =
                answer(document, operation, status).unwrap_or_else(|| panic!("{name} has no {status}"));
            // the one answer whose form another specification says (C2SP tlog-witness)
            if answer["content"].get("text/x.tlog.size").is_some() {
                assert_eq!((name, status), ("remembrancer: post /witness/add-checkpoint", 409));
                continue;
            }
            let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{name}: {status}");
        }
    });
}

#[test]
fn an_operation_has_one_media_type_each_way_so_that_a_client_knows_what_to_send_and_what_it_gets() {
    each_operation(|name, document, _, operation| {
        let taken = operation["requestBody"]["content"].as_object().map_or(0, |content| content.len());
        assert!(taken <= 1, "{name} takes {taken} media types");
        for (status, described) in operation["responses"].as_object().unwrap() {
            let content = resolved(document, described)["content"].as_object();
            let mut types: Vec<_> = content.into_iter().flat_map(|content| content.keys()).collect();
            // An artifact is of any type, which a client takes as bytes.
            types.retain(|media_type| *media_type != "*/*");
            assert!(types.len() <= 1, "{name}: {status} has {types:?}");
        }
    });
}

#[test]
fn a_body_that_is_no_json_is_text_or_bytes() {
    each_object(|pointer, _, object| {
        for (media_type, body) in object["content"].as_object().into_iter().flatten() {
            let schema = &body["schema"];
            let is_json = media_type == "application/json" || media_type.ends_with("+json");
            if !is_json && media_type != "*/*" {
                assert_eq!(schema["type"], "string", "{pointer}: {media_type}: {schema}");
                let is_text = ["text/", "image/svg+xml", "application/x-ndjson"].iter();
                let is_text = is_text.clone().any(|text| media_type.starts_with(text));
                assert_eq!(schema["format"] == "binary", !is_text, "{pointer}: {media_type}: {schema}");
            }
        }
        let bytes = object["type"] == "array" && text(&object["items"]["format"]).ends_with("int8");
        assert!(!bytes, "{pointer}: bytes as an array of numbers");
    });
}

#[test]
fn whole_numbers_have_formats_that_tools_know_and_bounds() {
    each_object(|pointer, _, schema| {
        let is = |name: &str| {
            schema["type"] == name
                || schema["type"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        let format = text(&schema["format"]);
        if is("integer") && !format.is_empty() {
            assert!(["int32", "int64"].contains(&format), "{pointer}: {format}");
            let most = schema["maximum"].as_f64().unwrap_or(f64::INFINITY);
            assert!(most <= 9_007_199_254_740_991.0, "{pointer}: {most}");
        }
        assert!(!(schema.get("default").is_some_and(Value::is_null)), "{pointer}: null is no default");
    });
}

#[test]
fn the_variants_of_a_tagged_union_are_told_apart_by_a_discriminator() {
    let mut unions = 0;
    each_object(|pointer, document, schema| {
        let Some(mapping) = schema["discriminator"]["mapping"].as_object() else { return };
        let tag = text(&schema["discriminator"]["propertyName"]);
        for (value, place) in mapping {
            let variant = document.pointer(text(place).trim_start_matches('#')).unwrap();
            let tags = variant["properties"][tag]["enum"].as_array().unwrap();
            assert!(tags.iter().any(|known| known == value), "{pointer}: {value} is none of {tags:?}");
            assert!(
                variant["required"].as_array().unwrap().iter().any(|name| name == tag),
                "{pointer}: {place}"
            );
        }
        unions += 1;
    });
    assert!(unions >= 2, "only {unions} tagged unions");
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_there_that_none_leads_to() {
    for (service, document) in documents() {
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let references: BTreeSet<&str> = references.collect();
        for reference in &references {
            assert!(document.pointer(reference).is_some(), "{service}: nothing is at {reference}");
        }
        for section in ["schemas", "responses"] {
            for name in document["components"][section].as_object().unwrap().keys() {
                let pointer = format!("/components/{section}/{name}");
                assert!(references.contains(pointer.as_str()), "{service}: nothing refers to {pointer}");
            }
        }
    }
}

/// A class in C# and a constructor in other languages cannot have a member of its own name.
#[test]
fn no_schema_has_a_property_of_its_own_name() {
    let letters = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    each_object(|pointer, _, schema| {
        let Some((_, name)) = pointer.split_once("/components/schemas/") else { return };
        let name = name.split('/').next().map(letters).unwrap_or_default();
        for property in schema["properties"].as_object().into_iter().flatten() {
            assert_ne!(letters(property.0), name, "{pointer}: {}", property.0);
        }
    });
}

/// Whoever checks an answer checks it against every part, so that a part that knows only its own fields refuses the others'.
#[test]
fn no_part_of_a_schema_refuses_the_fields_of_the_others() {
    each_object(|pointer, document, schema| {
        let parts = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice);
        for part in parts.iter().filter(|_| parts.len() > 1) {
            let refuses = resolved(document, part)["additionalProperties"] == false;
            assert!(!refuses, "{pointer}: {part} takes no field of the other parts");
        }
    });
}
