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
