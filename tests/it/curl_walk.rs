//! `docs/walk.md` executed: a document of commands is only worth reading while every one of them works.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;
use test_support::database;

use crate::support::{Stack, file, path};

const DOCUMENT: &str = "docs/walk.md";

/// The services by the port that each has when nobody says otherwise, from 8000 on.
const IN_ORDER: [&str; 4] = ["psi-field", "trainer", "remembrancer", "evaluator"];

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_walk_works_and_answers_as_the_document_shows() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: there is no curl on this machine");
        return;
    }
    let database = database().await;
    let stack = Stack::start(&database).await;
    let services = stack.services();
    let port = |name: &str| {
        let (_, url) = services.iter().find(|(service, _)| *service == name).unwrap();
        url.rsplit(':').next().unwrap().to_owned()
    };
    let mut walk = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("walk"));
    walk.args(IN_ORDER.map(port));
    let walked = tokio::task::spawn_blocking(move || walk.output().unwrap()).await.unwrap();
    let output = String::from_utf8(walked.stdout).unwrap();
    assert!(walked.status.success(), "{output}\n{}", String::from_utf8_lossy(&walked.stderr));

    let (mut document, printed) = (file(DOCUMENT), printed(&output, &services));
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        document = updated(&document, &printed);
        std::fs::write(path(DOCUMENT), &document).unwrap();
    }
    let shown = shown(&document);
    assert!(shown.len() >= 8, "{DOCUMENT} shows the output of {} blocks", shown.len());
    for (block, expected) in shown {
        let (expected, found) = (shapes(&expected), shapes(&printed[&block]));
        assert_eq!(
            found, expected,
            "block {block} of {DOCUMENT} printed what follows; if that is right, `UPDATE_DOCUMENTS=1 cargo test -p \
             black-box-tests curl_walk` writes it there:\n{}",
            printed[&block]
        );
    }
    stack.assert_intact().await;
}

/// What the document shows as the output of each block: the fence that follows it.
fn shown(document: &str) -> BTreeMap<usize, String> {
    let (mut shown, mut block) = (BTreeMap::new(), 0);
    // text and fences alternate: the odd parts are fences, their first line the language
    for fence in document.split("```").skip(1).step_by(2) {
        match fence.split_once('\n').unwrap() {
            ("sh", _) => block += 1,
            (_, output) => assert!(shown.insert(block, output.to_owned()).is_none(), "block {block} has two"),
        }
    }
    shown
}

/// The document with what was printed just now in the place of what it showed.
fn updated(document: &str, printed: &BTreeMap<usize, String>) -> String {
    let mut block = 0;
    let parts = document.split("```").enumerate().map(|(number, part)| {
        let (language, _) = part.split_once('\n').unwrap();
        match language {
            _ if number % 2 == 0 => part.to_owned(),
            "sh" => {
                block += 1;
                part.to_owned()
            }
            _ => format!("{language}\n{}\n", printed[&block].replace("}{", "}\n{").trim()),
        }
    });
    parts.collect::<Vec<_>>().join("```")
}

/// What each block printed, with the ports of the document in place of the test's own.
fn printed(output: &str, services: &[(&str, String)]) -> BTreeMap<usize, String> {
    let as_documented = |text: &str| {
        services.iter().fold(text.to_owned(), |text, (service, url)| {
            let place = IN_ORDER.iter().position(|name| name == service).unwrap();
            text.replace(url, &format!("http://127.0.0.1:{}", 8000 + place))
        })
    };
    let parts = output.split("#### OUTPUT ").skip(1).map(|part| {
        let (number, text) = part.split_once('\n').unwrap();
        (number.parse().unwrap(), as_documented(text.split("#### BLOCK ").next().unwrap()))
    });
    parts.collect()
}

/// What is the same whenever the walk is walked: of JSON its fields and their types, of text its words.
fn shapes(output: &str) -> Vec<String> {
    // answers have no newline at their end, so that several stand on one line
    let output = output.replace("}{", "}\n{");
    let lines = output.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).map_or_else(|_| words(line), |json| shape(&json))).collect()
}

fn shape(json: &Value) -> String {
    match json {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("{key}: {}", shape(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Words with digits in them are figures.
fn words(line: &str) -> String {
    let figures = |word: &str| {
        if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() }
    };
    line.split(|c: char| !c.is_alphanumeric() && c != '_').map(figures).collect::<Vec<_>>().join(" ")
}
