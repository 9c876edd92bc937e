//! Bodies that come compressed.

use std::io::Write as _;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use reqwest::Response;
use service_kit::HttpConfig;

use crate::service::{Service, problem};

const THING: &str = r#"{"name": "a"}"#;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

async fn post(service: &Service, coding: &str, body: Vec<u8>) -> Response {
    let request =
        service.client.post(format!("{}/v1/things", service.url)).header("content-encoding", coding);
    request.header("content-type", "application/json").body(body).send().await.unwrap()
}

async fn put(service: &Service, path: &str, coding: &str, body: Vec<u8>) -> Response {
    let request = service.client.put(format!("{}{path}", service.url)).header("content-encoding", coding);
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_compressed_body_is_taken_for_what_it_holds() {
    let service = Service::start(HttpConfig::default()).await;
    for (coding, body) in [
        ("gzip", gzip(THING.as_bytes())),
        ("GZip", gzip(THING.as_bytes())),
        ("identity, gzip", gzip(THING.as_bytes())),
        ("gzip", [gzip(&THING.as_bytes()[..5]), gzip(&THING.as_bytes()[5..])].concat()), // two members
        ("deflate", zlib(THING.as_bytes())),
        ("identity", THING.into()),
        ("", THING.into()),
    ] {
        assert_eq!(post(&service, coding, body).await.status(), 200, "{coding}");
    }
    let echoed = put(&service, "/v1/echo", "gzip", gzip(b"\x00\xff")).await;
    assert_eq!(echoed.bytes().await.unwrap().as_ref(), b"\x00\xff");
}

#[tokio::test]
async fn a_body_that_is_not_what_its_header_says_is_refused() {
    let service = Service::start(HttpConfig::default()).await;
    let whole = gzip(THING.as_bytes());
    let cut = whole[..whole.len() - 4].to_vec();
    let mut wrong_sum = whole.clone();
    wrong_sum[whole.len() - 6] ^= 1;
    let trailing = [whole.as_slice(), b"more"].concat();
    for (coding, body) in [
        ("gzip", THING.into()),
        ("gzip", cut),
        ("gzip", wrong_sum),
        ("gzip", trailing),
        ("gzip", vec![]),
        ("deflate", whole),
    ] {
        let length = body.len();
        let told = problem(post(&service, coding, body).await, 400, "undecodable_body").await;
        assert!(told.detail.contains("Content-Encoding"), "{length} bytes as {coding}: {}", told.detail);
    }
    problem(put(&service, "/v1/echo", "gzip", b"plain".to_vec()).await, 400, "undecodable_body").await;
}

#[tokio::test]
async fn another_coding_is_refused_with_those_that_are_taken() {
    let service = Service::start(HttpConfig::default()).await;
    for coding in ["br", "zstd", "gzip, gzip", "compress", "gzip;q=1"] {
        let answer = post(&service, coding, gzip(THING.as_bytes())).await;
        assert_eq!(answer.headers()["accept-encoding"], "gzip, deflate", "{coding}");
        problem(answer, 415, "unsupported_encoding").await;
    }
}

#[tokio::test]
async fn the_limit_is_for_what_comes_out() {
    let http = HttpConfig { body_limit_bytes: 1000, ..HttpConfig::default() };
    let service = Service::start(http).await;
    let spaces = |length: usize| [THING.as_bytes(), &vec![b' '; length]].concat();
    assert_eq!(post(&service, "gzip", gzip(&spaces(900))).await.status(), 200);
    for length in [1001, 100 << 20] {
        let bomb = gzip(&spaces(length));
        let told = problem(post(&service, "gzip", bomb).await, 413, "body_too_large").await;
        assert!(told.detail.contains("1000 bytes"), "{}", told.detail);
    }
    problem(put(&service, "/v1/blobs", "gzip", gzip(&[0; 5001])).await, 413, "body_too_large").await;
}
