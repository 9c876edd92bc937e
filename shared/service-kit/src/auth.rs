use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq as _;

use crate::{
    ApiError, HttpConfig, Scope,
    api_keys::{self, ApiKey, WatchedKeys},
    scopes::Needed,
};

/// Who may call.
#[derive(Clone)]
pub(crate) enum Access {
    /// Everybody: there are no keys, and only this machine can reach the service.
    Open,
    /// Who has one of these keys.
    Keys(Arc<Keys>),
    /// Nobody: the service can be reached from outside, has no keys, and nobody asked for that.
    Closed,
}

/// The keys of a service.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Those of the settings, which may do everything.
    settings: Vec<ApiKey>,
    file: Option<Arc<WatchedKeys>>,
}

impl Access {
    pub(crate) fn of(http: &HttpConfig) -> Self {
        let keys = http.check().map_err(|error| error.to_string()).and_then(|()| Keys::of(http));
        match keys {
            Err(error) => {
                tracing::error!(%error, "every call is refused");
                Self::Closed
            }
            Ok(_) if !http.has_keys() => Self::Open,
            Ok(keys) => Self::Keys(Arc::new(keys)),
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
    pub(crate) fn key_of<B>(&self, request: &axum::http::Request<B>) -> Option<ApiKey> {
        match self {
            Self::Keys(keys) => bearer(request).and_then(|given| keys.find(given)),
            Self::Open | Self::Closed => None,
        }
    }
}

impl Keys {
    fn of(http: &HttpConfig) -> Result<Self, String> {
        let of_settings = |(index, secret): (usize, &String)| ApiKey {
            name: format!("api_keys.{}", index + 1),
            scopes: Scope::ALL.into(),
            sha256: api_keys::hash(secret),
        };
        Ok(Self {
            settings: http.api_keys.iter().enumerate().map(of_settings).collect(),
            file: http
                .api_key_file
                .clone()
                .map(WatchedKeys::open)
                .transpose()
                .map_err(|error| error.to_string())?,
        })
    }

    /// Compares with every key, each in constant time, so that the time says nothing of how near a guess is.
    fn find(&self, given: &str) -> Option<ApiKey> {
        let (hash, file) = (api_keys::hash(given), self.file.as_ref().map(|file| file.now()));
        let mut found = None;
        for key in self.settings.iter().chain(file.iter().flat_map(|keys| keys.iter())) {
            if key.sha256.ct_eq(&hash).into() {
                found = found.or(Some(key));
            }
        }
        found.cloned()
    }
}

/// What decides whether a request is let through.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) access: Access,
    /// What each operation asks of a key.
    pub(crate) needed: Arc<Needed>,
}

/// Lets a request through, or answers 401 (no key, or none that is known) or 403 (the key may not do this, or nobody at all
/// may call). The log names the key that a request came with.
pub(crate) async fn require_key(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match &gate.access {
        Access::Open => next.run(request).await,
        Access::Keys(_) => {
            let Some(key) = gate.access.key_of(&request) else { return unauthorized(&request) };
            tracing::Span::current().record("key", &key.name);
            let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            let needed = gate.needed.by(request.method(), route);
            if needed.iter().any(|scope| key.scopes.contains(scope)) {
                next.run(request).await
            } else {
                insufficient(&key, &needed)
            }
        }
        Access::Closed => {
            let detail = "This service can be reached from outside but has no API keys. Its operator must set some, \
                          or set allow_insecure_bind.";
            ApiError::new(StatusCode::FORBIDDEN, "keys_not_configured", detail).into_response()
        }
    }
}

fn unauthorized(request: &Request) -> Response {
    let refusal = match bearer(request) {
        Some(_) => ("unknown_api_key", "The API key is not one of this service's keys."),
        None => {
            ("missing_api_key", "This service wants an API key: send `Authorization: Bearer <key>` with one.")
        }
    };
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, refusal.0, refusal.1).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// RFC 6750, section 3.1.
fn insufficient(key: &ApiKey, needed: &[Scope]) -> Response {
    let names = |quote: &str, between: &str| {
        needed.iter().map(|scope| format!("{quote}{scope}{quote}")).collect::<Vec<_>>().join(between)
    };
    let has = key.scopes.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "The API key `{}` may not do this: it needs the scope {}, and the key has {has}. Use one that has it, or ask the \
         operator for one.",
        key.name,
        names("`", " or "),
    );
    let mut response = ApiError::new(StatusCode::FORBIDDEN, "insufficient_scope", detail).into_response();
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", names("", " "));
    // Names of scopes are letters.
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer<B>(request: &axum::http::Request<B>) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
