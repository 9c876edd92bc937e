use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// What a handler answers with when it cannot do what was asked.
///
/// Domain errors know no HTTP; each service maps them with one `From<DomainError> for ApiError`.
/// On the wire it is an RFC 9457 problem ([`api::Problem`], `application/problem+json`) into which
/// [`app`](crate::app) writes the request's id. Its cause goes to the log and nowhere else.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<api::FieldError>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A problem with this status, stable code (snake_case), and a detail that says what happened,
    /// what was expected and what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None, cause: None }
    }

    /// 500 `internal_error`. The cause is logged and never leaves the service.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", INTERNAL_DETAIL);
        error.cause = Some(Cause(Arc::from(cause.into())));
        error
    }

    /// 503 with `Retry-After: 1`: something that this service needs is away. The cause is logged and
    /// never leaves the service.
    pub fn unavailable(
        code: &'static str,
        detail: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        error.cause = Some(Cause(Arc::from(cause.into())));
        error.retry_after(Duration::from_secs(1))
    }

    /// Names every wrong field.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<api::FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Says when to try again: `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The HTTP status that it becomes.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = api::Problem {
            kind: format!("/problems/{}", self.code),
            title: title(self.status),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
            request_id: None,
            errors: self.errors,
        };
        let mut response = problem_response(self.status, &problem);
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The boundary writes the request's id into the problem and the cause into the log.
        response.extensions_mut().insert(Arc::new(problem));
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

/// Why a 5xx happened; travels to the boundary's log line in the response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Cause(Arc<dyn Error + Send + Sync>);

impl std::fmt::Display for Cause {
    /// The error and everything behind it, in one line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&chain(self.0.as_ref()))
    }
}

/// An error and its sources in one line, leaving out a source that its error already quotes.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

pub(crate) const INTERNAL_DETAIL: &str = "The service met an error that is not yours. Try again; if it stays, \
                                          give the operator the request id: the log has the cause under it.";

pub(crate) fn title(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or("Error").to_owned()
}

pub(crate) fn problem_response(status: StatusCode, problem: &api::Problem) -> Response {
    // A struct of strings and integers always serialises; an empty body would still carry the status.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))], body)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", "Slow down.")
            .retry_after(Duration::from_millis(1200));
        assert_eq!(error.into_response().headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn a_cause_is_told_with_its_sources_but_not_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading the key")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "reading the key: disk on fire");
        #[derive(Debug, thiserror::Error)]
        #[error("reading the key: {0}")]
        struct Quoting(#[source] std::io::Error);
        assert_eq!(chain(&Quoting(std::io::Error::other("disk on fire"))), "reading the key: disk on fire");
    }
}
