//! Requests that are no HTTP, or more of it than is read.

use service_kit::HttpConfig;

use crate::service::Service;

/// The problem of an answer as it came over the wire, after everything that holds for each of them.
fn problem(answer: &str, status: &str, code: &str) -> api::Problem {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).split_once(": ").unwrap().1
    };
    assert_eq!(header("content-type"), "application/problem+json");
    assert_eq!(header("content-length"), body.len().to_string());
    assert_eq!(header("connection"), "close");
    assert!(header("date").ends_with(" GMT"), "{head}");
    let problem: api::Problem = serde_json::from_str(body).unwrap();
    assert_eq!(problem.code, code);
    assert_eq!(problem.request_id.as_deref(), Some(header("x-request-id")));
    problem
}

#[tokio::test]
async fn what_cannot_be_read_is_told_why() {
    let service = Service::start(HttpConfig::default()).await;
    let line = "GET / HTTP/1.1\r\nhost: localhost\r\n";
    for no_http in [
        "hello\r\n\r\n".to_owned(),
        "GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n".to_owned(),
        format!("{line}a b: c\r\n\r\n"),
        format!("{line}content-length: 1\r\ncontent-length: 2\r\n\r\n"),
        format!("{line}content-length: -1\r\n\r\n"),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}".to_owned(), // a TLS handshake
    ] {
        problem(&service.raw(no_http).await, "400 Bad Request", "malformed_request");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    problem(&service.raw(long).await, "414 URI Too Long", "target_too_long");
    for large in
        [format!("{line}a: {}\r\n\r\n", "b".repeat(8 << 20)), format!("{line}{}\r\n", "a: b\r\n".repeat(200))]
    {
        problem(&service.raw(large).await, "431 Request Header Fields Too Large", "headers_too_large");
    }
    let metrics = service.get("/metrics").await.text().await.unwrap();
    let counted = r#"http_requests_total{method="other",route="unmatched",status="414"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn headers_that_do_not_come_to_their_end_are_given_up() {
    let service = Service::start(HttpConfig { request_timeout_seconds: 1, ..HttpConfig::default() }).await;
    let line = "GET /v1/things/1 HTTP/1.1\r\nhost: localhost\r\n";
    for slow in ["G", "P", "GET /v1/thi", line, &format!("{line}a: b\r\n")] {
        problem(&service.raw(slow).await, "408 Request Timeout", "request_timeout");
    }
    let answers = service.raw(format!("{line}\r\n")).await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n") && answers.ends_with("\r\n\r\none"), "{answers}");
    assert_eq!(service.raw("").await, "", "who asks for nothing is told nothing");
}

#[tokio::test]
async fn what_came_before_is_answered_first() {
    let service = Service::start(HttpConfig::default()).await;
    let answers = service.raw("GET /v1/things/1 HTTP/1.1\r\nhost: localhost\r\n\r\nhello\r\n\r\n").await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    let (first, second) = answers.split_at(answers.rfind("HTTP/1.1 ").unwrap());
    assert!(first.ends_with("\r\n\r\none"), "{answers}");
    problem(second, "400 Bad Request", "malformed_request");
}

#[tokio::test]
async fn content_that_looks_like_such_an_answer_is_content() {
    let service = Service::start(HttpConfig::default()).await;
    let content = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for connection in ["close", "keep-alive"] {
        let echo = service.client.put(format!("{}/v1/echo", service.url)).header("connection", connection);
        assert_eq!(echo.body(content).send().await.unwrap().text().await.unwrap(), content, "{connection}");
    }
}
