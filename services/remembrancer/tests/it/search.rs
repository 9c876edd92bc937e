//! Whatever is copied from a record finds it.

use std::collections::BTreeSet;

use api::{Page, remembrancer::Record};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Fixture, Service, fixture};

async fn record(service: &Service, id: &str, subject: &str, body: Value) {
    let record = json!({"id": id, "kind": "note", "subject": subject, "body": body});
    let answer = service.post("/v1/records", &record).await;
    assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text().await.unwrap());
}

/// The ids of what a text finds.
async fn found(service: &Service, text: &str) -> BTreeSet<String> {
    let mut request = service.request(Method::GET, "/v1/records");
    request = request.query(&[("q", text), ("limit", "1000")]);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{text:?}: {}", answer.text().await.unwrap());
    answer.json::<Page<Record>>().await.unwrap().items.into_iter().map(|record| record.id).collect()
}

const TEXTS: [(&str, &[&str]); 12] = [
    (
        "backup in /var/data/x.tar.gz, as ever",
        &["/var/data/x.tar.gz", "x.tar.gz", "tar.gz", "data", "var/data"],
    ),
    ("write to alice@example.org", &["alice@example.org", "alice", "example.org"]),
    (
        "on gpu-01.eu-west.example.com now",
        &["gpu-01.eu-west.example.com", "gpu-01", "eu-west", "eu-west.example.com"],
    ),
    ("release v1.2.3-rc.1 (final)", &["v1.2.3-rc.1", "v1.2.3", "rc.1", "(final)"]),
    ("模型路由 很好", &["模型路由", "模型", "路由", "很好"]),
    ("Маршрутизация запросов", &["Маршрутизация", "запросов", "маршрутизация"]),
    ("توجيه النماذج", &["توجيه", "النماذج"]),
    ("การกำหนดเส้นทาง", &["การกำหนดเส้นทาง", "เส้นทาง"]),
    ("मार्गनिर्देशन करना", &["मार्गनिर्देशन", "करना"]),
    ("naïve Straße, Ångström Ünïcode", &["naïve", "Straße", "Ångström", "ünïcode"]),
    ("🚀 launched step_size learningRate", &["🚀", "step_size", "learningRate", "launched"]),
    (
        "that C++ & 'quoted\\back' 50% a:b|c!(d) <e>",
        &["C++", "&", "'quoted\\back'", "50%", "a:b|c!(d)", "<e>", "-0.25", "1e-7"],
    ),
];

async fn filled() -> Fixture {
    let service = fixture().await;
    for (number, (text, _)) in TEXTS.iter().enumerate() {
        record(
            &service,
            &format!("r{number}"),
            "thing:1",
            json!({"text": text, "nested": [{"n": [-0.25, 1e-7]}]}),
        )
        .await;
    }
    service
}

#[tokio::test]
async fn paths_mails_hosts_versions_and_words_of_every_script_find_their_record_whole_and_by_their_parts() {
    let service = filled().await;
    for (number, (text, tokens)) in TEXTS.iter().enumerate() {
        for token in *tokens {
            assert!(found(&service, token).await.contains(&format!("r{number}")), "{token} of {text}");
        }
    }
    assert_eq!(found(&service, "tar.gz").await, BTreeSet::from(["r0".to_owned()]));
    assert_eq!(found(&service, "example.org").await, BTreeSet::from(["r1".to_owned()]));
    assert_eq!(found(&service, "模型 路由").await, BTreeSet::from(["r4".to_owned()]));
    assert!(found(&service, "example.org or 模型").await.contains("r4"));
    assert_eq!(found(&service, "example -example.org").await, BTreeSet::from(["r2".to_owned()]));
    assert!(found(&service, "gz.tar").await.is_empty());
}

#[tokio::test]
async fn what_an_earlier_version_recorded_is_found_too() {
    let service = filled().await;
    let sql = service.sql().await;
    sqlx::query("UPDATE records SET search_version = 0, search = to_tsvector('english', body)")
        .execute(&sql)
        .await
        .unwrap();
    assert!(found(&service, "gpu-01").await.is_empty());
    let service = service.restarted().await;
    test_support::eventually("all are indexed", async || {
        let found = found(&service, "gpu-01").await;
        if found.contains("r2") { Ok(()) } else { Err(found) }
    })
    .await;
    assert!(found(&service, "launch").await.contains("r10"), "and their inflections, as before");
}

/// Texts of all kinds of tokens.
fn any_token() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{1,12}([-._/:@+~][a-zA-Z0-9]{1,8}){0,6}",
        "/?([a-z0-9_.-]{1,8}/){1,5}[a-z0-9_.-]{1,8}",
        "[a-z.]{1,8}@[a-z-]{1,8}\\.(org|com)",
        "[A-Za-z]{1,6}[А-Яа-яЁё]{1,10}",
        "\\PC{1,12}",
        "[\\p{Han}\\p{Thai}\\p{Devanagari}\\p{Arabic}]{1,8}",
        "[!-~]{1,10}",
        "[a-f0-9]{32,64}",
        "[a-z0-9]{300,700}",
        any::<f64>()
            .prop_filter("as JSON", |number| number.is_finite())
            .prop_map(|number| json!(number).to_string()),
    ]
}

/// Whether the syntax of web searches leaves a token to be looked for: quotation marks, an `or`, a hyphen in front and
/// words that are in everything have a meaning there.
fn is_plain(token: &str) -> bool {
    !token.contains(['"', '\0'])
        && !token.trim().is_empty()
        && token.len() <= 1000
        && (!token.starts_with('-') || token[1..].starts_with(|c: char| c.is_ascii_digit()))
        && !token.eq_ignore_ascii_case("or")
}

#[tokio::test]
async fn every_token_of_a_record_finds_it() {
    let service = fixture().await;
    let mut runner = TestRunner::deterministic();
    let (stop_words, mut tried) = (stop_words(), 0);
    for round in 0..60 {
        let tokens = prop::collection::vec(any_token(), 1..8).new_tree(&mut runner).unwrap().current();
        let text = tokens.join(" ").replace('\0', "");
        let id = format!("r{round}");
        record(&service, &id, "thing:1", json!({"text": text, "list": [{"other": tokens.first()}]})).await;
        for token in text.split_whitespace().filter(|token| is_plain(token)) {
            if stop_words.contains(token.to_lowercase().as_str()) {
                continue;
            }
            assert!(found(&service, token).await.contains(&id), "{token:?} of {text:?}");
            tried += 1;
        }
    }
    assert!(tried > 200, "only {tried}");
}

/// PostgreSQL's English stop words of up to three letters, which a random token may be.
fn stop_words() -> BTreeSet<&'static str> {
    "i me my we our you he him his she her it its who am is are was be has had do a an the and but if or as of at by for \
     to in up out on off all any few nor not own so too s t can don now how why no"
        .split(' ')
        .collect()
}
