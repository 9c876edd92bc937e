use std::{
    any::Any,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use serde_json::json;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    ApiError, HttpConfig, Metrics, Readiness, ServiceInfo,
    auth::{Access, Gate, require_key},
    boundary::{Boundary, boundary},
    conditional, cors, docs, encoding,
    hosts::{self, Hosts},
    limits, openapi,
    operations::{get_health, get_metrics, get_readiness},
    rate::{RateLimit, rate},
    scopes::Needed,
    unreadable,
};

/// A service's routes.
pub struct Routes {
    keyed: OpenApiRouter,
    open: OpenApiRouter,
}

impl Routes {
    /// The same with routes that everybody may call, also where there are keys: what comes there vouches for itself. The
    /// limits are those of all.
    #[must_use]
    pub fn with_open(self, open: OpenApiRouter) -> Self {
        Self { open: self.open.merge(open), ..self }
    }

    /// The document of all of them, as [`openapi`](crate::openapi) wants it.
    #[must_use]
    pub fn documented(self) -> OpenApiRouter {
        self.keyed.merge(self.open)
    }
}

impl From<OpenApiRouter> for Routes {
    fn from(keyed: OpenApiRouter) -> Self {
        Self { keyed, open: OpenApiRouter::new() }
    }
}

/// A service, whole: its routes behind keys and limits, and beside them `/` (leads a browser to
/// `/docs`, and tells others what this is),
/// `/docs`, `/openapi.json`, `/healthz`, `/readyz` and `/metrics`. Every error is a problem+json with
/// the request's id, and every request is logged and counted once.
///
/// Where there are keys, each operation needs one of the scopes that its document says, and who has none gets the documents, health and readiness, the [open](Routes::with_open) routes, and
/// nothing else. Where there are none,
/// a browser gets nothing for the pages of others.
pub fn app(
    info: ServiceInfo,
    routes: impl Into<Routes>,
    http: &HttpConfig,
    metrics: Metrics,
    readiness: Readiness,
) -> Router {
    let Routes { mut keyed, open } = routes.into();
    let (open, open_document) = open.split_for_parts();
    keyed.get_openapi_mut().merge(open_document);
    let (router, document) = openapi(&info, keyed);
    let access = Access::of(http);
    let needed = Arc::new(Needed::of(&document));
    let gate = |access: Access| from_fn_with_state(Gate { access, needed: Arc::clone(&needed) }, require_key);
    let permits = Arc::new(Semaphore::new(http.max_concurrent_requests));
    // The last layer is the outermost: the key comes first, so that strangers take up no permits where they may not call.
    let limited = |router: Router, access: Access| {
        router
            .layer(from_fn(encoding::decode))
            .layer(limits::body_limit(http.body_limit_bytes))
            .layer(from_fn_with_state(http.request_timeout(), limits::timeout))
            .layer(from_fn_with_state(Arc::clone(&permits), limits::concurrency))
            .layer(gate(access))
    };
    let mut api = limited(router, access.clone()).merge(limited(open, access.without_keys()));
    // Outside of the keys, so that who guesses them is slowed down too.
    if let Some(limit) = RateLimit::of(http, access.clone()) {
        api = api.layer(from_fn_with_state(limit, rate));
    }
    let metrics_route = Router::new()
        .route("/metrics", get(get_metrics))
        .with_state((metrics.clone(), readiness.clone()))
        .layer(gate(access));
    let mut router = Router::new()
        .merge(api)
        .merge(metrics_route)
        .merge(docs::routes(&info, &document))
        .route("/", get(move |headers: HeaderMap| async move { root(&info, &headers) }))
        .route("/healthz", get(get_health).with_state(info.name))
        .route("/readyz", get(get_readiness).with_state(readiness))
        .fallback(|| async { StatusCode::NOT_FOUND });
    if !http.has_keys() {
        router = router
            .layer(hosts::same_site(http))
            .layer(from_fn_with_state(Hosts::of(http), hosts::known_host));
    }
    if let Some(cors) = cors::layer(http) {
        router = router.layer(cors);
    }
    router
        .layer(from_fn(conditional::unless_it_is_known))
        .layer(from_fn(unreadable::answer))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Boundary { service: info.name, metrics }, boundary))
        .layer(map_response(harden))
        .layer(map_response(move |response: Response| signed(info.name, response)))
}

/// A browser is led to the documents; whoever asks for nothing in particular is told what this is.
fn root(info: &ServiceInfo, headers: &HeaderMap) -> Response {
    let accepted =
        headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/html") {
        return Redirect::temporary("docs").into_response();
    }
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let body = json!({
        "name": info.title, "version": env!("CARGO_PKG_VERSION"), "status": "active", "timestamp": timestamp,
        "docs": "docs", "openapi": "openapi.json",
    });
    axum::Json(body).into_response()
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}

/// Whoever took the address of another service for this one is told so.
async fn signed(service: &'static str, mut response: Response) -> Response {
    let program = format!("{}{service}/{}", api::SERVER_PREFIX, env!("CARGO_PKG_VERSION"));
    if let Ok(program) = axum::http::HeaderValue::from_str(&program) {
        response.headers_mut().insert(axum::http::header::SERVER, program);
    }
    response
}

/// A browser must not guess types.
async fn harden(mut response: Response) -> Response {
    let nosniff = axum::http::HeaderValue::from_static("nosniff");
    response.headers_mut().entry(axum::http::header::X_CONTENT_TYPE_OPTIONS).or_insert(nosniff);
    response
}
