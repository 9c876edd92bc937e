//! Keys with names and scopes, as callers and operators see them.

use std::{fs, path::Path};

use reqwest::{Method, Response};
use serde_json::Value;
use service_kit::{
    HttpConfig, Scope,
    api_keys::{ApiKey, to_text},
    listen,
};
use test_support::eventually;

use crate::service::{Service, problem};

/// A secret that is its key's name, and what it may do.
const KEYS: [(&str, &[Scope]); 4] = [
    ("reader", &[Scope::Read]),
    ("worker", &[Scope::Write]),
    ("operator", &[Scope::Read, Scope::Operate]),
    ("prometheus", &[Scope::Metrics]),
];

fn write(file: &Path, keys: &[(&str, &[Scope])]) {
    let key =
        |(name, scopes): &(&str, &[Scope])| ApiKey::of(name, name, scopes.iter().copied().collect()).unwrap();
    fs::write(file, to_text(&keys.iter().map(key).collect::<Vec<_>>())).unwrap();
}

async fn service(file: &Path) -> Service {
    let api_key_file = Some(file.to_owned());
    let api_keys = vec!["of-the-settings".to_owned()];
    Service::start(HttpConfig { api_keys, api_key_file, ..HttpConfig::default() }).await
}

async fn send(service: &Service, key: &str, method: Method, path: &str) -> Response {
    let request = service.client.request(method, format!("{}{path}", service.url)).bearer_auth(key);
    request.header("content-type", "application/json").body(r#"{"name": "a"}"#).send().await.unwrap()
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say_and_is_told_by_name_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    write(&file, &KEYS);
    let service = service(&file).await;
    let get = (Method::GET, "/v1/things", "read");
    let head = (Method::HEAD, "/v1/things/1", "read");
    let post = (Method::POST, "/v1/things", "write");
    let stop = (Method::POST, "/v1/things/1/stop", "operate");
    let ask = (Method::POST, "/v1/things/1/ask", "read");
    let metrics = (Method::GET, "/metrics", "metrics");
    for (key, allowed) in [
        ("reader", vec![&get, &head, &ask, &metrics]),
        ("worker", vec![&post]),
        ("operator", vec![&get, &head, &ask, &metrics, &stop]),
        ("prometheus", vec![&metrics]),
        ("of-the-settings", vec![&get, &head, &ask, &metrics, &post, &stop]),
    ] {
        for operation in [&get, &head, &post, &stop, &ask, &metrics] {
            let (method, path, scope) = operation;
            let response = send(&service, key, method.clone(), path).await;
            if allowed.contains(&operation) {
                assert_eq!(response.status(), 200, "{key} {method} {path}");
                continue;
            }
            assert_eq!(response.status(), 403, "{key} {method} {path}");
            let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.starts_with("Bearer error=\"insufficient_scope\", scope=\""), "{challenge}");
            assert!(challenge.contains(scope), "{key} {method} {path}: {challenge}");
            if method != Method::HEAD {
                let told = problem(response, 403, "insufficient_scope").await.detail;
                assert!(told.contains(&format!("`{key}`")) && told.contains(&format!("`{scope}`")), "{told}");
            }
        }
    }
    problem(send(&service, "readers", Method::GET, "/v1/things").await, 401, "unknown_api_key").await;
    assert_eq!(service.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn the_document_says_which_scope_each_operation_needs() {
    let service = Service::start(HttpConfig::default()).await;
    let document: Value = service.get("/openapi.json").await.json().await.unwrap();
    let of = |path: &str, method: &str| document["paths"][path][method]["x-scopes"].to_string();
    assert_eq!(of("/v1/things", "get"), r#"["read"]"#);
    assert_eq!(of("/v1/things", "post"), r#"["write"]"#);
    assert_eq!(of("/v1/things/{id}/stop", "post"), r#"["operate"]"#);
    assert_eq!(of("/metrics", "get"), r#"["read","metrics"]"#);
    assert_eq!(of("/healthz", "get"), "null");
}

#[tokio::test]
async fn keys_come_and_go_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    write(&file, &KEYS[..1]);
    let service = service(&file).await;
    let comes_to = async |key: &str, status: u16| {
        eventually(&format!("the key `{key}` gets {status}"), async || {
            let found = send(&service, key, Method::GET, "/v1/things").await.status().as_u16();
            if found == status { Ok(()) } else { Err(found) }
        })
        .await;
    };
    assert_eq!(send(&service, "operator", Method::GET, "/v1/things").await.status(), 401);
    write(&file, &KEYS[1..]);
    comes_to("operator", 200).await;
    assert_eq!(send(&service, "reader", Method::GET, "/v1/things").await.status(), 401);
    write(&file, &KEYS[..1]);
    comes_to("reader", 200).await;
    comes_to("operator", 401).await;
}

#[tokio::test]
async fn a_file_of_keys_that_is_of_no_use_at_the_start_is_refused_and_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let http = |bind: &str| HttpConfig {
        bind: bind.parse().unwrap(),
        api_key_file: Some(file.clone()),
        ..HttpConfig::default()
    };
    let error = listen(&http("127.0.0.1:0")).await.unwrap_err().to_string();
    assert!(error.contains("http.api_key_file") && error.contains("keys.toml"), "{error}");
    let closed = Service::start(http("127.0.0.1:0")).await;
    problem(closed.get("/v1/things").await, 403, "keys_not_configured").await;
    write(&file, &[]);
    assert!(listen(&http("0.0.0.0:0")).await.is_ok(), "with a file, only its keys get in");
    let nobody = Service::start(http("127.0.0.1:0")).await;
    problem(nobody.get("/v1/things").await, 401, "missing_api_key").await;
}
