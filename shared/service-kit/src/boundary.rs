//! The outermost layer: gives a request its id, logs and counts it once, and sees to it that every
//! error leaves as a problem.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use trace_context::{Context, Span};
use tracing::Instrument as _;

use crate::{
    Metrics,
    error::{Cause, INTERNAL_DETAIL, problem_response, title},
    limits,
};

/// What the boundary needs.
#[derive(Clone)]
pub(crate) struct Boundary {
    pub(crate) service: &'static str,
    pub(crate) metrics: Metrics,
}

pub(crate) async fn boundary(State(state): State<Boundary>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let trace = trace(request.headers());
    // Handlers that call other services pass it on.
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        service = state.service,
        request_id = id,
        trace_id = trace.trace_id(),
        span_id = trace.id(),
        parent_span_id = trace.parent_id(),
        key = tracing::field::Empty, // told by whoever looks at keys
    );
    let in_flight = InFlight::enter(&state.metrics);
    let context = Context { span: trace, request_id: Some(id.clone()) };
    let response = trace_context::within(context, next.run(request).instrument(span.clone())).await;
    drop(in_flight);
    let response = finish(response, &method, &path, &id).await;

    let latency = started.elapsed();
    let status = response.status();
    count(&state.metrics, &method, route.as_deref(), status, latency.as_secs_f64());
    let latency_ms = latency.as_micros() as f64 / 1e3;
    span.in_scope(|| {
        let (status, cause) = (status.as_u16(), response.extensions().get::<Cause>());
        match (status, cause) {
            (500.., Some(cause)) => {
                tracing::error!(%method, path, status, latency_ms, %cause, "request failed")
            }
            (500.., None) => tracing::error!(%method, path, status, latency_ms, "request failed"),
            // Probes, scrapes and what a run sends all the time say nothing while they succeed.
            (..400, _) if is_probe(&path) || response.extensions().get::<Routine>().is_some() => {
                tracing::debug!(%method, path, status, latency_ms, "request")
            }
            _ => tracing::info!(%method, path, status, latency_ms, "request"),
        }
    });
    response
}

/// Marks the answer to what comes many times a second: while it succeeds its log line is for `debug`. Given as
/// `Extension(Routine)` beside the answer's body.
#[derive(Clone, Copy, Debug)]
pub struct Routine;

/// Marks an error whose form another specification lays down: it leaves as it is. Given as `Extension(AsSpecified)` beside
/// the answer's body.
#[derive(Clone, Copy, Debug)]
pub struct AsSpecified;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Turns an error that is not yet a problem into one, writes the request's id into it and into the
/// header.
async fn finish(response: Response, method: &Method, path: &str, id: &str) -> Response {
    let status = response.status();
    let specified = response.extensions().get::<AsSpecified>().is_some();
    let mut response = if (status.is_client_error() || status.is_server_error()) && !specified {
        let (mut parts, body) = response.into_parts();
        let mut problem = match parts.extensions.get::<Arc<api::Problem>>() {
            Some(problem) => problem.as_ref().clone(),
            None => foreign_problem(status, body, method, path).await,
        };
        problem.request_id = Some(id.to_owned());
        let (fresh, body) = problem_response(status, &problem).into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_ENCODING);
        parts.headers.extend(fresh.headers);
        Response::from_parts(parts, body)
    } else {
        response
    };
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The problem for an error that axum, a library or a service's fallback made. A 4xx keeps its short
/// text; a 5xx says nothing of the inside.
async fn foreign_problem(
    status: StatusCode,
    body: axum::body::Body,
    method: &Method,
    path: &str,
) -> api::Problem {
    let text = if status.is_client_error() { limits::text_of(body, 1000).await } else { None };
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => {
            ("not_found", format!("There is nothing at `{path}`; `/docs` lists the routes."))
        }
        // axum writes the `Allow` header after this layer, so its methods are not known here.
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            format!(
                "{method} is not possible at `{path}`; the answer's `Allow` header lists the methods that are."
            ),
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("body_too_large", text.unwrap_or_else(|| "The body is too long.".into()))
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", text.unwrap_or_else(|| "The body's content-type does not fit.".into()))
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            ("invalid_request", text.unwrap_or_else(|| "The request is not valid.".into()))
        }
        status if status.is_client_error() => {
            ("bad_request", text.unwrap_or_else(|| "The request is not valid.".into()))
        }
        _ => ("internal_error", INTERNAL_DETAIL.to_owned()),
    };
    api::Problem {
        kind: format!("/problems/{code}"),
        title: title(status),
        status: status.as_u16(),
        code: code.to_owned(),
        detail,
        request_id: None,
        errors: Vec::new(),
    }
}

/// The caller's id for the request if it is one that can stand in a log line, else a new UUIDv7.
fn request_id(headers: &HeaderMap) -> String {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::now_v7().to_string(),
    }
}

/// The trace that the caller sent, else a new one; two `traceparent` headers are none.
fn trace(headers: &HeaderMap) -> Span {
    let text = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let mut parents = text("traceparent");
    match (parents.next(), parents.next()) {
        (Some(parent), None) => Span::continued(parent, text("tracestate")),
        _ => None,
    }
    .unwrap_or_else(Span::begin)
}

fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

fn count(metrics: &Metrics, method: &Method, route: Option<&str>, status: StatusCode, seconds: f64) {
    // The route, not the path, and only the usual methods: a label's values must be few.
    let route = route.unwrap_or("unmatched").to_owned();
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let labels = [("method", method), ("route", route)];
    metrics
        .histogram("http_request_duration_seconds", "How long requests took to the answer's head.", &labels)
        .record(seconds);
    let [method, route] = labels;
    metrics
        .counter(
            "http_requests_total",
            "Requests answered.",
            &[method, route, ("status", status.as_u16().to_string())],
        )
        .increment(1);
}

/// Counts a request for as long as it is served, also when its caller hangs up and it is dropped.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn enter(metrics: &Metrics) -> Self {
        let gauge = metrics.gauge("http_requests_in_flight", "Requests at work now.", &[]);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_request_id_is_kept_only_when_it_can_stand_in_a_log_line() {
        let id_for = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
            request_id(&headers)
        };
        assert_eq!(id_for("cli-7:retry_2.a"), "cli-7:retry_2.a");
        for hostile in ["", "a b", "x\" level=\"error", &"a".repeat(129)] {
            assert_ne!(id_for(hostile), hostile);
            assert!(uuid::Uuid::parse_str(&id_for(hostile)).is_ok());
        }
    }

    #[test]
    fn a_trace_is_continued_only_when_the_caller_sent_exactly_one() {
        // The example of https://www.w3.org/TR/trace-context/#traceparent-header
        let example = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let mut headers = HeaderMap::new();
        assert_eq!(trace(&headers).parent_id(), None);
        headers.append("traceparent", example.clone());
        headers.append("tracestate", HeaderValue::from_static("rojo=1"));
        headers.append("tracestate", HeaderValue::from_static("congo=2"));
        let continued = trace(&headers);
        assert_eq!(continued.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(continued.tracestate(), Some("rojo=1,congo=2"));
        headers.append("traceparent", example);
        assert_ne!(trace(&headers).trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace(&headers).tracestate(), None);
    }
}
