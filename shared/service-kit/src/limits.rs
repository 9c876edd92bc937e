//! Limits on a request: how long its body, how long its answer may take, how many at once.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use crate::{ApiError, BoxFuture};

/// A layer that sets the longest body of the routes under it, in bytes. The innermost one counts, so
/// a route may take more (or less) than `HttpConfig::body_limit_bytes` gives the others:
/// `routes!(put_artifact).layer(service_kit::body_limit(256 << 20))`. It holds for [`Json`](crate::Json)
/// and for axum's `Bytes` and `String`; a handler that streams a body must count for itself.
#[must_use]
pub fn body_limit(bytes: usize) -> BodyLimit {
    BodyLimit(bytes)
}

/// See [`body_limit`].
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(usize);

impl<S> Layer<S> for BodyLimit {
    type Service = BodyLimited<S>;

    fn layer(&self, inner: S) -> BodyLimited<S> {
        BodyLimited { inner, limit: *self }
    }
}

/// The service that [`body_limit`] makes.
#[derive(Clone, Debug)]
pub struct BodyLimited<S> {
    inner: S,
    limit: BodyLimit,
}

impl<S> Service<Request> for BodyLimited<S>
where
    S: Service<Request, Error = Infallible> + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let limit = self.limit;
        let (parts, body) = request.into_parts();
        let body = SharedBody(Arc::new(Mutex::new(body)));
        let mut request = Request::from_parts(parts, Body::new(body.clone()));
        DefaultBodyLimit::max(limit.0).apply(&mut request);
        request.extensions_mut().insert(limit);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?.into_response();
            if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
                body.drain().await;
            }
            // axum's own extractors answer 413 in plain text that does not name the limit.
            let unnamed = response.status() == StatusCode::PAYLOAD_TOO_LARGE
                && response.extensions().get::<Arc<api::Problem>>().is_none();
            Ok(if unnamed { too_large(Some(limit)).into_response() } else { response })
        })
    }
}

/// A body that can still be read when whoever was to read it has given up.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    /// Reads on and throws away. A caller who is still sending would else find the connection closed, and never
    /// see the answer.
    async fn drain(self) {
        let mut rest = self;
        let mut left = DRAINED_BYTES;
        let drained = async {
            while let Some(Ok(frame)) = rest.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    break;
                }
            }
        };
        // Who sends longer than that is cut off.
        let _ = tokio::time::timeout(DRAINED_FOR, drained).await;
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body().size_hint()
    }
}

/// How much of a body that is too long is read nevertheless, and for how long.
const DRAINED_BYTES: usize = 256 << 20;
const DRAINED_FOR: Duration = Duration::from_secs(3);

pub(crate) fn limit_of(request: &Request) -> Option<BodyLimit> {
    request.extensions().get().copied()
}

pub(crate) fn too_large(limit: Option<BodyLimit>) -> ApiError {
    let detail = match limit {
        Some(BodyLimit(bytes)) => {
            format!("The body is longer than this route takes: at most {bytes} bytes. Send less at once.")
        }
        None => "The body is longer than this route takes. Send less at once.".to_owned(),
    };
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Refuses a request while `limit` others are being served. Waiting instead would pile up requests
/// whose callers have long given up.
pub(crate) async fn concurrency(
    State(permits): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    // Held until the answer's head is there; a stream of events does not count against the limit.
    let Ok(_permit) = permits.try_acquire() else {
        return ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "The service is at work on as many requests as it takes at once. Try again in a second.",
        )
        .retry_after(Duration::from_secs(1))
        .into_response();
    };
    next.run(request).await
}

/// 408 `request_timeout` when the body did not arrive in time, 504 `timeout` when the answer did not.
pub(crate) async fn timeout(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let waiting = Arc::new(AtomicBool::new(false));
    let watched = waiting.clone();
    let request = request.map(|body| Body::new(WatchedBody { inner: body, waiting: watched }));
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) if waiting.load(Ordering::Relaxed) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            format!("The request's body did not arrive within {} s. Send it again.", limit.as_secs_f64()),
        )
        .into_response(),
        Err(_) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            format!(
                "There was no answer within {} s. Whether the request was carried out is unknown: repeat it with \
                 the same Idempotency-Key, or look it up.",
                limit.as_secs_f64()
            ),
        )
        .into_response(),
    }
}

/// A body that says whether somebody waits for its next bytes.
struct WatchedBody {
    inner: Body,
    waiting: Arc<AtomicBool>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        self.waiting.store(frame.is_pending(), Ordering::Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

/// At most `limit` bytes of a body, for putting its text into a problem.
pub(crate) async fn text_of(body: Body, limit: usize) -> Option<String> {
    if body.size_hint().upper()? > limit as u64 {
        return None;
    }
    let bytes = body.collect().await.ok()?.to_bytes();
    String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.trim().is_empty())
}
