//! The OpenAPI documents that are checked in are those that the services serve.

use std::{fs, path::Path};

use serde_json::Value;

fn documents() -> [(&'static str, Value); 4] {
    [
        ("trainer", serde_json::to_value(trainer::openapi()).unwrap()),
        ("psi-field", serde_json::to_value(psi_field::openapi()).unwrap()),
        ("remembrancer", serde_json::to_value(remembrancer::openapi()).unwrap()),
        ("evaluator", serde_json::to_value(evaluator::openapi()).unwrap()),
    ]
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
fn every_operation_has_a_summary_a_tag_and_describes_its_answers() {
    for (service, document) in documents() {
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let name = format!("{service}: {method} {path}");
                assert!(
                    operation["summary"].as_str().is_some_and(|s| !s.is_empty()),
                    "{name} has no summary"
                );
                assert!(operation["tags"].as_array().is_some_and(|t| !t.is_empty()), "{name} has no tag");
                let answers = operation["responses"].as_object().unwrap();
                assert!(
                    answers.keys().any(|status| status.starts_with('2') || status.starts_with('3')),
                    "{name} never succeeds"
                );
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let described = parameter["description"].as_str().is_some_and(|d| !d.is_empty());
                    assert!(described, "{name}: the parameter {} has no description", parameter["name"]);
                }
            }
        }
    }
}

#[test]
fn every_reference_of_a_document_leads_to_a_schema() {
    for (service, document) in documents() {
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{service}: nothing is at {reference}");
        }
    }
}
