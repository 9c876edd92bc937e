//! What a browser sends to a service without keys for pages that are none of its own.

use reqwest::RequestBuilder;
use service_kit::HttpConfig;

use crate::service::{Service, problem};

/// The head of an answer to a request that names this host, in the way of the version.
async fn asked(service: &Service, target: &str, version: &str, host: &str) -> String {
    let answer = service.raw(format!("GET {target} HTTP/{version}\r\n{host}connection: close\r\n\r\n")).await;
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn only_the_services_own_names_are_answered() {
    let http = HttpConfig { hosts: vec!["trainer".into()], ..HttpConfig::default() };
    let service = Service::start(http).await;
    for host in ["localhost", "LOCALHOST.:8001", "127.0.0.1:1", "[::1]:8001", "trainer:8001", "TRAINER"] {
        let status = asked(&service, "/v1/things/1", "1.1", &format!("Host: {host}\r\n")).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.com:8001", "127.0.0.1.nip.io", "trainer.evil.com", "10.1.2.3"]
    {
        for path in
            ["/v1/things/1", "/docs/", "/openapi.json", "/metrics", "/healthz", "/readyz", "/", "/nowhere"]
        {
            let status = asked(&service, path, "1.1", &format!("Host: {host}\r\n")).await;
            assert_eq!(status, "HTTP/1.1 421 Misdirected Request", "{host} {path}");
        }
    }
    let evil = service.client.get(format!("{}/v1/things/1", service.url)).header("host", "evil.example:8001");
    let told = problem(evil.send().await.unwrap(), 421, "unknown_host").await;
    assert!(told.detail.contains("`evil.example`") && told.detail.contains("http.hosts"), "{}", told.detail);
}

#[tokio::test]
async fn a_host_may_stand_in_the_target_and_must_stand_somewhere() {
    let service = Service::start(HttpConfig::default()).await;
    for (target, version, host, status) in [
        ("http://localhost/v1/things/1", "1.1", "Host: localhost\r\n", "200 OK"),
        ("http://evil.example/v1/things/1", "1.1", "Host: localhost\r\n", "421 Misdirected Request"),
        ("http://localhost/v1/things/1", "1.1", "Host: evil.example\r\n", "421 Misdirected Request"),
        ("/v1/things/1", "1.1", "", "400 Bad Request"),
        ("/v1/things/1", "1.1", "Host: localhost\r\nHost: localhost\r\n", "400 Bad Request"),
        ("/v1/things/1", "1.1", "Host: evil.example@localhost\r\n", "400 Bad Request"),
        ("/v1/things/1", "1.1", "Host: \r\n", "400 Bad Request"),
        ("/v1/things/1", "1.0", "", "200 OK"),
        ("/v1/things/1", "1.0", "Host: evil.example\r\n", "421 Misdirected Request"),
    ] {
        let answer = asked(&service, target, version, host).await;
        assert_eq!(answer, format!("HTTP/{version} {status}"), "{target} {version} {host}");
    }
}

#[tokio::test]
async fn http_2_names_its_host_in_the_target() {
    let service = Service::start(HttpConfig::default()).await;
    let client = test_support::http_client_builder().http2_prior_knowledge();
    let evil = "evil.example:8001";
    let address = service.url.trim_start_matches("http://").parse().unwrap();
    let client = client.resolve(evil.split(':').next().unwrap(), address).build().unwrap();
    let get = |host: &str| client.get(format!("http://{host}/v1/things/1")).send();
    assert_eq!(get(service.url.trim_start_matches("http://")).await.unwrap().status(), 200);
    let port = service.url.rsplit(':').next().unwrap();
    problem(get(&format!("evil.example:{port}")).await.unwrap(), 421, "unknown_host").await;
}

#[tokio::test]
async fn what_changes_something_is_not_taken_from_the_pages_of_others() {
    let service = Service::start(HttpConfig::default()).await;
    let things = format!("{}/v1/things", service.url);
    let post =
        || service.client.post(&things).header("content-type", "application/json").body(r#"{"name": "a"}"#);
    let with = |header: &str, value: &str| post().header(header, value);
    for refused in [
        with("origin", "http://evil.example"),
        with("origin", "null"),
        with("origin", "http://localhost:1"),
        with("sec-fetch-site", "cross-site"),
        with("sec-fetch-site", "same-site"),
        with("origin", &service.url).header("sec-fetch-site", "cross-site"),
        service.client.delete(&things).header("origin", "http://evil.example"),
    ] {
        problem(refused.send().await.unwrap(), 403, "cross_site_request").await;
    }
    let is_taken = async |request: RequestBuilder| request.send().await.unwrap().status() == 200;
    assert!(is_taken(post()).await, "no browser");
    assert!(is_taken(with("origin", &service.url)).await, "the service's own page");
    assert!(
        is_taken(with("origin", &service.url).header("sec-fetch-site", "same-origin")).await,
        "its own page"
    );
    assert!(is_taken(with("sec-fetch-site", "none")).await, "typed by a person");
    let read =
        service.client.get(format!("{}/v1/things/1", service.url)).header("sec-fetch-site", "cross-site");
    assert!(is_taken(read).await, "a link, whose answer the other page cannot read");
}

#[tokio::test]
async fn with_keys_nobody_else_has_one_so_every_name_is_answered() {
    let http = HttpConfig { api_keys: vec!["key".into()], ..HttpConfig::default() };
    let service = Service::start(http).await;
    let request = service.client.post(format!("{}/v1/things", service.url)).bearer_auth("key");
    let request = request.header("host", "mesh.example").header("origin", "https://console.example");
    let request = request.header("content-type", "application/json").body(r#"{"name": "a"}"#);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn pages_of_an_origin_that_is_let_in_may_call_and_read_and_no_others() {
    let http = HttpConfig { origins: vec!["https://mesh.example".into()], ..HttpConfig::default() };
    let service = Service::start(http).await;
    let url = format!("{}/v1/things/1", service.url);
    for (origin, is_let_in) in [("https://mesh.example", true), ("https://evil.example", false)] {
        let asks = service.client.request(reqwest::Method::OPTIONS, &url).header("origin", origin);
        let asks = asks.header("access-control-request-method", "POST");
        let asked = asks.header("access-control-request-headers", "content-type").send().await.unwrap();
        assert_eq!(asked.headers().contains_key("access-control-allow-origin"), is_let_in, "{origin}");
        let called = service.client.get(&url).header("origin", origin).send().await.unwrap();
        assert_eq!(called.headers().contains_key("access-control-allow-origin"), is_let_in, "{origin}");
        let sent = service.client.post(format!("{}/v1/things", service.url)).header("origin", origin);
        let sent = sent.header("sec-fetch-site", "cross-site").send().await.unwrap();
        assert_eq!(sent.status() == 403, !is_let_in, "{origin}: {}", sent.status());
    }
}
