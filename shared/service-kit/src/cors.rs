//! Pages of other origins that an operator lets call from a browser (the Fetch standard, "CORS protocol").

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    csrf::CsrfLayer,
};

use crate::HttpConfig;

/// For how long a browser may remember that it may call.
const REMEMBERED: Duration = Duration::from_secs(600);

/// An origin as it comes in a header; `None` where it is none.
pub(crate) fn read(origin: &str) -> Option<HeaderValue> {
    let is_one = CsrfLayer::new().add_trusted_origin(origin).is_ok();
    HeaderValue::from_str(origin).ok().filter(|_| is_one)
}

/// Answers what a browser asks before it lets a page call, and lets the pages of these origins read the answers. No cookies
/// are heeded: a key comes in a header.
pub(crate) fn layer(http: &HttpConfig) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = http.origins.iter().filter_map(|origin| read(origin)).collect();
    let sent = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
        HeaderName::from_static("traceparent"),
    ];
    let read = [header::ETAG, header::RETRY_AFTER, HeaderName::from_static("x-request-id")];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(sent)
            .expose_headers(read)
            .max_age(REMEMBERED)
    })
}
