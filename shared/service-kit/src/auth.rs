use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq as _;

use crate::{ApiError, HttpConfig};

/// Who may call.
#[derive(Clone)]
pub(crate) enum Access {
    /// Everybody: there are no keys, and only this machine can reach the service.
    Open,
    /// Who has one of these keys.
    Keys(Arc<[String]>),
    /// Nobody: the service can be reached from outside, has no keys, and nobody asked for that.
    Closed,
}

impl Access {
    pub(crate) fn of(http: &HttpConfig) -> Self {
        match http.check() {
            Err(error) => {
                tracing::error!(%error, "every call is refused");
                Self::Closed
            }
            Ok(()) if http.api_keys.is_empty() => Self::Open,
            Ok(()) => Self::Keys(http.api_keys.clone().into()),
        }
    }

    /// For routes that need no key: everybody, unless nobody at all may call.
    pub(crate) fn without_keys(&self) -> Self {
        match self {
            Self::Open | Self::Keys(_) => Self::Open,
            Self::Closed => Self::Closed,
        }
    }

    /// Which of the keys a request has, if any.
    pub(crate) fn key_of<B>(&self, request: &axum::http::Request<B>) -> Option<usize> {
        match self {
            Self::Keys(keys) => bearer(request).and_then(|given| known(keys, given)),
            Self::Open | Self::Closed => None,
        }
    }
}

/// Lets a request through, or answers 401 (no key, or none that is known: a key has no scopes, so
/// nobody is ever known but not allowed) or 403 (nobody at all may call).
pub(crate) async fn require_key(State(access): State<Access>, request: Request, next: Next) -> Response {
    let refusal = match &access {
        Access::Open => return next.run(request).await,
        Access::Keys(_) if access.key_of(&request).is_some() => return next.run(request).await,
        Access::Keys(_) => match bearer(&request) {
            Some(_) => ("unknown_api_key", "The API key is not one of this service's keys."),
            None => (
                "missing_api_key",
                "This service wants an API key: send `Authorization: Bearer <key>` with one.",
            ),
        },
        Access::Closed => {
            let detail = "This service can be reached from outside but has no API keys. Its operator must set some, \
                          or set allow_insecure_bind.";
            return ApiError::new(StatusCode::FORBIDDEN, "keys_not_configured", detail).into_response();
        }
    };
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, refusal.0, refusal.1).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer<B>(request: &axum::http::Request<B>) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Compares with every key, each in constant time, so that the time says nothing of how near a guess is.
fn known(keys: &[String], given: &str) -> Option<usize> {
    let mut found = None;
    for (index, key) in keys.iter().enumerate() {
        if key.as_bytes().ct_eq(given.as_bytes()).into() {
            found = Some(index);
        }
    }
    found
}
