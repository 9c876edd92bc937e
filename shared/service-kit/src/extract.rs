//! Strict extractors: what does not fit is a problem that points at every wrong field.

use axum::{
    body::{Bytes, HttpBody as _},
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, RawPathParams, Request, path::ErrorKind,
        rejection::PathRejection,
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use garde::Validate;
use json_input::Mistake;
use jsonptr::PointerBuf;
use serde::{Serialize, de::DeserializeOwned};

use crate::{ApiError, ApiResult, encoding::Undecodable, limits};

/// A JSON body, both ways. As an argument it is parsed strictly, then validated:
/// 415 `unsupported_media_type`, 413 `body_too_large`, 400 `malformed_json` (with line and column),
/// 422 `invalid_request` (with a JSON pointer for each wrong field).
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

/// A JSON body as [`Json`], with what is wrong with its fields instead of a refusal: for a handler that finds more mistakes
/// itself, so that all are told at once. It must refuse the request where there are any ([`invalid_request`]).
#[derive(Clone, Debug, Default)]
pub struct Parsed<T>(pub T, pub Vec<api::FieldError>);

/// The query string, parsed strictly, then validated: 422 `invalid_request` with `?name` pointers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

/// The path's parameters: 422 `invalid_request` with `{name}` pointers when one does not parse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Parsed::from_request(request, state).await? {
            Parsed(value, errors) if errors.is_empty() => Ok(Self(value)),
            Parsed(_, errors) => Err(invalid_request(errors)),
        }
    }
}

/// A body that may be left out: there is none where its length is 0, or where neither a length nor an encoding is given.
impl<S, T> OptionalFromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ApiError> {
        if request.body().size_hint().exact() == Some(0) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

impl<S, T> FromRequest<S> for Parsed<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        let Content(body) = Content::from_request(request, state).await?;
        let value = parse(&body)?;
        let errors = mistakes(&value, |path| pointer(&path));
        Ok(Self(value, errors))
    }
}

/// A body of any bytes, whole: 413 `body_too_large`, 400 `undecodable_body` (it is not compressed as its header says),
/// 400 `unreadable_body` (it broke off).
#[derive(Clone, Debug, Default)]
pub struct Content(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Content {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let limit = limits::limit_of(&request);
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return limits::too_large(limit);
            }
            let (code, detail) = if Undecodable::is_behind(&rejection) {
                ("undecodable_body", "The body is not what its `Content-Encoding` says, or is cut off.")
            } else {
                ("unreadable_body", "The request's body broke off before its end. Send it again.")
            };
            ApiError::new(StatusCode::BAD_REQUEST, code, detail)
        })
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

/// The `Idempotency-Key` header, if there is one: what the caller says makes two requests the same one.
/// 422 `invalid_idempotency_key` when it cannot be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(Self(Some(key.to_owned())))
            }
            _ => Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_idempotency_key",
                "The header `Idempotency-Key` must be 1 to 200 visible ASCII characters.",
            )),
        }
    }
}

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let value: T = json_input::from_query(query).map_err(|mistake| match mistake {
            Mistake::Misfit { path, detail } => {
                let pointer = format!("?{}", path.join("."));
                invalid("query string", vec![api::FieldError { pointer, detail }])
            }
            Mistake::NotJson(why) => {
                invalid("query string", vec![api::FieldError { pointer: "?".into(), detail: why }])
            }
        })?;
        let errors = mistakes(&value, |path| format!("?{}", path.join(".")));
        if errors.is_empty() { Ok(Self(value)) } else { Err(invalid_request(errors)) }
    }
}

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                let name = match error.kind() {
                    ErrorKind::ParseErrorAtKey { key, .. }
                    | ErrorKind::InvalidUtf8InPathParam { key }
                    | ErrorKind::DeserializeError { key, .. } => key.clone(),
                    ErrorKind::ParseErrorAtIndex { index, .. } => parameter_name(parts, state, *index).await,
                    _ => parameter_name(parts, state, 0).await,
                };
                let name = format!("{{{name}}}");
                let detail = path_mistake(error.kind());
                Err(invalid("path", vec![api::FieldError { pointer: name, detail }]))
            }
            // The route has no parameters although the handler asks for them: a mistake in this service.
            Err(rejection) => Err(ApiError::internal(rejection)),
        }
    }
}

/// What is wrong with a parameter, without the type that this program keeps it in.
fn path_mistake(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::ParseErrorAtKey { value, expected_type, .. }
        | ErrorKind::ParseErrorAtIndex { value, expected_type, .. }
        | ErrorKind::ParseError { value, expected_type } => {
            format!("expected {}, found `{value}`", json_input::expected(expected_type))
        }
        ErrorKind::InvalidUtf8InPathParam { .. } => "expected UTF-8, percent-encoded".to_owned(),
        ErrorKind::DeserializeError { message, .. } | ErrorKind::Message(message) => {
            json_input::in_words(message)
        }
        kind => kind.to_string(),
    }
}

/// The name of the route's n-th parameter; axum does not name the only one of a route.
async fn parameter_name<S: Send + Sync>(parts: &mut Parts, state: &S, index: usize) -> String {
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    parameters.ok().and_then(|all| all.iter().nth(index).map(|(name, _)| name.to_owned())).unwrap_or_default()
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim_end() == "charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    let is_json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    // RFC 8259, section 8.1: JSON is UTF-8, of which ASCII is a part.
    let is_utf_8 =
        charset.is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii"));
    if is_json && is_utf_8 {
        return Ok(());
    }
    let detail = match given {
        "" => "The body has no content-type; send JSON with `content-type: application/json`.".to_owned(),
        given if is_json => {
            format!("The body is `{given}`; send JSON as UTF-8, with `content-type: application/json`.")
        }
        given => format!("The body is `{given}`; send JSON with `content-type: application/json`."),
    };
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    json_input::from_slice(body).map_err(|mistake| match mistake {
        Mistake::NotJson(why) => {
            ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", format!("The body is not JSON: {why}."))
        }
        Mistake::Misfit { path, detail } => {
            invalid("body", vec![api::FieldError { pointer: pointer(&path), detail }])
        }
    })
}

fn mistakes<T: Validate<Context = ()>>(
    value: &T,
    pointer: impl Fn(Vec<String>) -> String,
) -> Vec<api::FieldError> {
    let Err(report) = value.validate() else { return Vec::new() };
    let errors = report.iter().map(|(path, error)| {
        let detail = expectation(error.message());
        api::FieldError { pointer: pointer(garde_segments(path)), detail }
    });
    errors.collect()
}

/// 422 `invalid_request` for a request with these wrong fields.
#[must_use]
pub fn invalid_request(errors: Vec<api::FieldError>) -> ApiError {
    invalid("request", errors)
}

/// The page of a list that only grows at its end: its cursors are positions.
///
/// # Errors
/// 422 `invalid_request` when nobody gave this cursor.
pub fn page<T>(query: &api::PageQuery, items: impl ExactSizeIterator<Item = T>) -> ApiResult<api::Page<T>> {
    let from = cursor(query.cursor.as_deref(), |cursor| cursor.parse().ok())?.unwrap_or(0);
    let total = items.len();
    let items: Vec<T> = items.skip(from).take(query.length()).collect();
    let end = from.saturating_add(items.len());
    let next_cursor = (!items.is_empty() && end < total).then(|| end.to_string());
    Ok(api::Page { items, next_cursor })
}

/// Where a list goes on, read from the cursor that the page before gave.
///
/// # Errors
/// 422 `invalid_request` when nobody gave this cursor.
pub fn cursor<T>(cursor: Option<&str>, read: impl Fn(&str) -> Option<T>) -> ApiResult<Option<T>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let place = read(cursor);
    let refusal = || invalid_parameter("cursor", "expected `next_cursor` of the page before, unchanged");
    place.map(Some).ok_or_else(refusal)
}

/// 422 `invalid_request` for a query parameter whose type alone does not tell that it is wrong.
#[must_use]
pub fn invalid_parameter(name: &str, detail: &str) -> ApiError {
    invalid("query string", vec![api::FieldError { pointer: format!("?{name}"), detail: detail.to_owned() }])
}

fn invalid(what: &str, errors: Vec<api::FieldError>) -> ApiError {
    let detail = match errors.as_slice() {
        [] => format!("The {what} is not valid."),
        [one] if one.pointer.is_empty() => format!("The {what} is not valid: {}.", one.detail),
        [one] => format!("The {what} is not valid: `{}`: {}.", one.pointer, one.detail),
        many => format!("The {what} is not valid in {} places; `errors` names each.", many.len()),
    };
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors)
}

/// garde says what is wrong (`lower than 1`); a caller wants to know what is right.
fn expectation(message: &str) -> String {
    for (wrong, right) in [
        ("length is lower than ", "expected a length of at least "),
        ("length is greater than ", "expected a length of at most "),
        ("lower than ", "expected at least "),
        ("greater than ", "expected at most "),
    ] {
        if let Some(bound) = message.strip_prefix(wrong) {
            return format!("{right}{bound}");
        }
    }
    message.to_owned()
}

/// garde prints `agents[3].epsilon`; its components themselves are not public.
fn garde_segments(path: &garde::error::Path) -> Vec<String> {
    let text = path.to_string().replace('[', ".").replace(']', "");
    text.split('.').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn pointer(segments: &[String]) -> String {
    PointerBuf::from_tokens(segments).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_missed_is_told_as_what_is_expected() {
        assert_eq!(expectation("lower than 1"), "expected at least 1");
        assert_eq!(expectation("length is greater than 20"), "expected a length of at most 20");
        assert_eq!(expectation("not a valid url"), "not a valid url");
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let all: Vec<u32> = (0..25).collect();
        let mut query = api::PageQuery { limit: Some(10), cursor: None };
        let mut seen = Vec::new();
        loop {
            let page = page(&query, all.iter().copied()).unwrap();
            assert!(page.items.len() <= 10);
            seen.extend(page.items);
            match page.next_cursor {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_cursor_that_nobody_gave_is_refused() {
        let query = api::PageQuery { limit: None, cursor: Some("x".into()) };
        assert_eq!(page(&query, [1].into_iter()).unwrap_err().code(), "invalid_request");
        let past_the_end = api::PageQuery { limit: None, cursor: Some("99".into()) };
        assert!(page(&past_the_end, [1].into_iter()).unwrap().items.is_empty());
    }

    #[test]
    fn pointers_are_escaped_as_rfc_6901_says() {
        // RFC 6901, section 5: "/a~1b" names the key "a/b", "/m~0n" the key "m~n".
        assert_eq!(pointer(&["a/b".into()]), "/a~1b");
        assert_eq!(pointer(&["m~n".into(), "0".into()]), "/m~0n/0");
        assert_eq!(pointer(&[]), "");
    }

    #[test]
    fn what_is_no_json_and_what_is_no_such_body_are_told_apart() {
        #[derive(Debug, serde::Deserialize)]
        struct Body {
            #[allow(dead_code)] // only parsed
            list: Vec<u8>,
        }
        let code = |text: &str| parse::<Body>(text.as_bytes()).unwrap_err().code();
        assert_eq!(code("{\"list\": [1,"), "malformed_json");
        assert_eq!(code("{\"list\": []} {}"), "malformed_json");
        assert_eq!(code("{\"list\": [1, 300]}"), "invalid_request");
        assert_eq!(code("[]"), "invalid_request");
    }
}
