//! Answers that a caller has already, or wants a part of (RFC 9110, sections 13 and 14).

use std::ops::Range;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::ApiError;

/// 304 without a body for an answer with an `ETag` that the request names in `If-None-Match`. An answer that says nothing
/// of ranges says that there are none.
pub(crate) async fn unless_it_is_known(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known: Vec<HeaderValue> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let mut response = next.run(request).await;
    if !reads || !response.status().is_success() {
        return response;
    }
    let none = HeaderValue::from_static("none");
    response.headers_mut().entry(header::ACCEPT_RANGES).or_insert(none);
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if tag.is_some_and(|tag| known.iter().any(|value| names(value, tag))) {
        let (mut parts, _) = response.into_parts();
        parts.status = StatusCode::NOT_MODIFIED;
        for of_the_body in [header::CONTENT_LENGTH, header::CONTENT_RANGE, header::CONTENT_TYPE] {
            parts.headers.remove(of_the_body);
        }
        return (parts, ()).into_response();
    }
    response
}

/// Whether an `If-None-Match` has this tag; weak ones count too (section 13.1.2). Tags of this project have no commas.
fn names(value: &HeaderValue, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    value.to_str().is_ok_and(|list| {
        list.trim() == "*" || list.split(',').any(|candidate| opaque(candidate) == opaque(tag))
    })
}

/// How much of some content a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
}

/// What a `GET` wants of content of this size with this `ETag`: by `Range`, unless `If-Range` says that the caller has a
/// part of other content. Several ranges at once, and units other than bytes, are answered with the whole, as one may.
///
/// # Errors
/// 416 `range_not_satisfiable`, with the size, for a range that begins behind the end.
pub fn wanted(
    method: &Method,
    headers: &HeaderMap,
    tag: &HeaderValue,
    size: u64,
) -> Result<Wanted, Box<Response>> {
    let of_this = headers.get(header::IF_RANGE).is_none_or(|other| other == tag);
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    match range.and_then(bounds) {
        Some(bounds) if method == Method::GET && of_this => match bounds.within(size) {
            Some(range) => Ok(Wanted::Part(range)),
            None => Err(Box::new(unsatisfiable(size))),
        },
        _ => Ok(Wanted::Whole),
    }
}

fn unsatisfiable(size: u64) -> Response {
    let detail =
        format!("The `Range` begins behind the content, which has {size} bytes. Ask for a range within it.");
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
    let mut response = error.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// The one range of bytes that a `Range` asks for (section 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounds {
    /// `first-last` or `first-`.
    From(u64, Option<u64>),
    /// `-length`
    Last(u64),
}

fn bounds(range: &str) -> Option<Bounds> {
    let (unit, set) = range.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    // Larger numbers than fit are behind every end.
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", length) => number(length).map(Bounds::Last),
        (first, "") => number(first).map(|first| Bounds::From(first, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Bounds::From(first, Some(last)))
        }
    }
}

impl Bounds {
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first, last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            Self::Last(length) => size.saturating_sub(length)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_rfc_9110_says() {
        // The examples of section 14.1.2, of a representation of 10,000 bytes.
        for (range, bytes) in [
            ("bytes=0-499", Some(0..500)),
            ("bytes=500-999", Some(500..1000)),
            ("bytes=-500", Some(9500..10_000)),
            ("bytes=9500-", Some(9500..10_000)),
            ("Bytes = 0-0", Some(0..1)),
            ("bytes=9999-99999999999999999999", Some(9999..10_000)),
            ("bytes=-20000", Some(0..10_000)),
            ("bytes=10000-", None),
            ("bytes=-0", None),
        ] {
            assert_eq!(bounds(range).unwrap().within(10_000), bytes, "{range}");
        }
        for none in
            ["bytes=0-0,-1", "lines=1-2", "bytes=2-1", "bytes=-", "bytes=a-b", "bytes=+1-2", "bytes", ""]
        {
            assert_eq!(bounds(none), None, "{none}");
        }
        assert_eq!(bounds("bytes=0-").unwrap().within(0), None);
    }

    #[test]
    fn a_tag_is_known_in_a_list_also_as_a_weak_one() {
        let is_known = |value: &'static str| names(&HeaderValue::from_static(value), "\"a\"");
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(is_known(known), "{known}");
        }
        for other in ["\"b\"", "a", "\"a", ""] {
            assert!(!is_known(other), "{other}");
        }
    }
}
