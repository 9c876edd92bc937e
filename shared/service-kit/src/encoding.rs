//! Bodies that come compressed (`Content-Encoding`): decoded before anybody reads them, so that every route takes
//! them, and its limit holds for what comes out.

use std::io;

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::TryStreamExt as _;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::ApiError;

/// Decodes the body. 415 `unsupported_encoding`, with `Accept-Encoding`, for a coding other than these.
pub(crate) async fn decode(mut request: Request, next: Next) -> Response {
    let coding = match Coding::of(request.headers()) {
        Ok(coding) => coding,
        Err(given) => return unsupported(&given),
    };
    request.headers_mut().remove(header::CONTENT_ENCODING);
    if let Some(coding) = coding {
        request.headers_mut().remove(header::CONTENT_LENGTH);
        request = request.map(|body| coding.decoded(body));
    }
    next.run(request).await
}

const ACCEPTED: &str = "gzip, deflate";

fn unsupported(given: &str) -> Response {
    let detail = format!(
        "The body has the content-encoding `{}`; send it as it is, or compressed once, with one of {ACCEPTED}.",
        given.escape_debug()
    );
    let error = ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail);
    let mut response = error.into_response();
    // RFC 9110, section 12.5.3: in an answer it says what a request may use.
    response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    response
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// RFC 9110, section 8.4.1.2: the zlib format.
    Deflate,
}

impl Coding {
    /// The coding of a body; none when it comes as it is. What is not accepted comes back.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let given =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ");
        let codings: Vec<_> = given
            .split(',')
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["gzip" | "x-gzip"] => Ok(Some(Self::Gzip)),
            ["deflate"] => Ok(Some(Self::Deflate)),
            _ => Err(given),
        }
    }

    fn decoded(self, body: Body) -> Body {
        let encoded = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(encoded);
                decoder.multiple_members(true); // RFC 1952, section 2.2
                as_body(decoder)
            }
            Self::Deflate => as_body(ZlibDecoder::new(encoded)),
        }
    }
}

fn as_body(decoder: impl AsyncRead + Send + 'static) -> Body {
    Body::from_stream(ReaderStream::new(decoder).map_err(|error| match error.get_ref() {
        // The body itself broke off, and says so.
        Some(inner) if inner.is::<axum::Error>() => error,
        _ => io::Error::new(io::ErrorKind::InvalidData, Undecodable(error)),
    }))
}

/// What stands in the body is not what its header says.
#[derive(Debug, thiserror::Error)]
#[error("the body cannot be decoded")]
pub(crate) struct Undecodable(#[source] io::Error);

impl Undecodable {
    /// Whether this is why a body could not be read.
    pub(crate) fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            let wrapped = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
            if error.is::<Self>() || wrapped.is_some_and(|inner| inner.is::<Self>()) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coding(values: &[&str]) -> Result<Option<Coding>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        Coding::of(&headers)
    }

    #[test]
    fn one_coding_is_accepted_however_it_is_written() {
        for nothing in [&[] as &[&str], &[""], &["identity"], &["Identity, identity"]] {
            assert_eq!(coding(nothing), Ok(None), "{nothing:?}");
        }
        for gzip in [&["gzip"] as &[&str], &["GZIP"], &["x-gzip"], &["identity, gzip"], &["", "gzip"]] {
            assert_eq!(coding(gzip), Ok(Some(Coding::Gzip)), "{gzip:?}");
        }
        assert_eq!(coding(&["deflate"]), Ok(Some(Coding::Deflate)));
        for refused in
            [&["gzip, gzip"] as &[&str], &["gzip", "gzip"], &["br"], &["gzip;q=1"], &["deflate, gzip"]]
        {
            assert!(coding(refused).is_err(), "{refused:?}");
        }
    }
}
