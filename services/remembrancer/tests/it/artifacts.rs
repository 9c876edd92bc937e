use api::{Hash, Problem, remembrancer::Artifact};
use reqwest::{Method, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::support::{Service, fixture, json_of};

async fn put(service: &Service, name: Hash, content: &[u8], media_type: Option<&str>) -> Response {
    let request = service.request(Method::PUT, &format!("/v1/artifacts/{name}")).body(content.to_vec());
    match media_type {
        Some(media_type) => request.header(header::CONTENT_TYPE, media_type),
        None => request,
    }
    .send()
    .await
    .unwrap()
}

fn name(content: &[u8]) -> Hash {
    Hash(Sha256::digest(content).into())
}

#[tokio::test]
async fn content_comes_back_byte_for_byte_with_its_type() {
    let service = fixture().await;
    // Longer than what is read at once, and not a multiple of it.
    let large: Vec<u8> = (0..2_500_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (content, media_type) in
        [(&b"hello"[..], Some("text/plain")), (&large[..], None), (&b""[..], Some("x/y"))]
    {
        let answer = put(&service, name(content), content, media_type).await;
        let stored: Artifact = json_of(answer, StatusCode::CREATED).await;
        let media_type = media_type.unwrap_or("application/octet-stream");
        let expected = Artifact {
            sha256: name(content),
            size_bytes: content.len() as u64,
            media_type: media_type.into(),
        };
        assert_eq!(stored, expected);
        let answer = service.get(&format!("/v1/artifacts/{}", name(content))).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], media_type);
        assert_eq!(answer.headers()[header::ETAG], format!("\"{}\"", name(content)));
        assert_eq!(answer.bytes().await.unwrap(), content);
    }
}

#[tokio::test]
async fn putting_again_changes_nothing() {
    let service = fixture().await;
    let first: Artifact =
        json_of(put(&service, name(b"x"), b"x", Some("a/b")).await, StatusCode::CREATED).await;
    let again: Artifact = json_of(put(&service, name(b"x"), b"x", Some("c/d")).await, StatusCode::OK).await;
    assert_eq!(first, again);
}

#[tokio::test]
async fn content_under_another_name_is_refused() {
    let service = fixture().await;
    let answer = put(&service, name(b"other"), b"content", None).await;
    let problem: Problem = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.code, "digest_mismatch");
    let answer = service.get(&format!("/v1/artifacts/{}", name(b"other"))).await;
    assert_eq!(json_of::<Problem>(answer, StatusCode::NOT_FOUND).await.code, "artifact_not_found");
    let answer = service.get("/v1/artifacts/ABC").await;
    assert_eq!(json_of::<Problem>(answer, StatusCode::UNPROCESSABLE_ENTITY).await.code, "invalid_request");
}

#[tokio::test]
async fn what_is_longer_than_the_limit_is_refused_with_the_limit() {
    let service = fixture().await;
    let long = vec![1; (3 << 20) + 1];
    let problem: Problem =
        json_of(put(&service, name(&long), &long, None).await, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(problem.code, "body_too_large");
    assert!(problem.detail.contains("3145728"), "{}", problem.detail);
    let longest = &long[1..];
    let stored: Artifact =
        json_of(put(&service, name(longest), longest, None).await, StatusCode::CREATED).await;
    assert_eq!(stored.size_bytes, 3 << 20);
}

#[tokio::test]
async fn a_part_of_an_artifact_is_had_by_its_range() {
    let service = fixture().await;
    let content: Vec<u8> = (0..2_500_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (path, size) = (format!("/v1/artifacts/{}", name(&content)), content.len());
    put(&service, name(&content), &content, None).await;
    let ranged = |range: &str| service.request(Method::GET, &path).header(header::RANGE, range.to_owned());
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000-1200000", 1000..1_200_001),
        ("bytes=2500000-", size - 1..size),
        ("bytes=-5", size - 5..size),
        ("bytes=7-9999999999", 7..size),
    ] {
        let answer = ranged(range).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let place = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(answer.headers()[header::CONTENT_RANGE], place);
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], expected.len().to_string());
        assert_eq!(answer.bytes().await.unwrap(), content[expected], "{range}");
    }
    for whole in [
        ranged("bytes=0-0, 5-6"),
        ranged("lines=1-2"),
        ranged("bytes=0-0").header(header::IF_RANGE, "\"another\""),
    ] {
        let answer = whole.send().await.unwrap();
        assert_eq!(answer.headers()[header::ACCEPT_RANGES], "bytes");
        assert_eq!((answer.status(), answer.bytes().await.unwrap().len()), (StatusCode::OK, size));
    }
    let same = ranged("bytes=0-0").header(header::IF_RANGE, format!("\"{}\"", name(&content)));
    assert_eq!(same.send().await.unwrap().status(), StatusCode::PARTIAL_CONTENT);
    let answer = ranged(&format!("bytes={size}-")).send().await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_RANGE], format!("bytes */{size}"));
    let problem: Problem = json_of(answer, StatusCode::RANGE_NOT_SATISFIABLE).await;
    assert_eq!(problem.code, "range_not_satisfiable");
}

#[tokio::test]
async fn who_has_an_artifact_is_not_sent_it_again() {
    let service = fixture().await;
    put(&service, name(b"hello"), b"hello", None).await;
    let path = format!("/v1/artifacts/{}", name(b"hello"));
    let tag = format!("\"{}\"", name(b"hello"));
    for known in [tag.clone(), format!("\"a\", W/{tag}"), "*".to_owned()] {
        for method in [Method::GET, Method::HEAD] {
            let request = service.request(method, &path).header(header::IF_NONE_MATCH, &known);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(answer.headers()[header::ETAG], tag);
            assert_eq!(answer.bytes().await.unwrap().len(), 0);
        }
    }
    let other =
        service.request(Method::GET, &path).header(header::IF_NONE_MATCH, "\"a\"").send().await.unwrap();
    assert_eq!(other.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn a_compressed_artifact_is_stored_as_what_it_holds() {
    // `printf hello | gzip --no-name`, from another implementation
    let compressed: Vec<u8> =
        (0..50).step_by(2).map(|i| u8::from_str_radix(&HELLO_GZ[i..i + 2], 16).unwrap()).collect();
    let service = fixture().await;
    let sent = |name: Hash| {
        let request = service.request(Method::PUT, &format!("/v1/artifacts/{name}"));
        request.header(header::CONTENT_ENCODING, "gzip").body(compressed.clone()).send()
    };
    let stored: Artifact = json_of(sent(name(b"hello")).await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(stored.size_bytes, 5);
    let answer = service.get(&format!("/v1/artifacts/{}", name(b"hello"))).await;
    assert_eq!(answer.text().await.unwrap(), "hello");
    let problem: Problem =
        json_of(sent(name(&compressed)).await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.code, "digest_mismatch");
}

const HELLO_GZ: &str = "1f8b0800000000000003cb48cdc9c9070086a6103605000000";
