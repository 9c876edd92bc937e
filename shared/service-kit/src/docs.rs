//! The documents for people: Swagger UI under `/docs`, from this binary alone. What it loads is named relative to it, so
//! that it works behind a proxy which puts a prefix before all paths.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use utoipa_swagger_ui::Config;

use crate::{ApiError, ServiceInfo};

/// `/docs/`, its assets, and `/openapi.json`.
pub(crate) fn routes(info: &ServiceInfo, document: &serde_json::Value) -> Router {
    let document = Bytes::from(document.to_string());
    let config = Config::new(["../openapi.json"])
        // No call to the outside; the page is made for trying things out, again and again.
        .validator_url("none")
        .try_it_out_enabled(true)
        .persist_authorization(true)
        .display_request_duration(true)
        .doc_expansion("list")
        // Without the bar that asks for another document's address: there is one.
        .use_base_layout()
        // The schemas stand with the operations that use them; the list of all at the end stays folded.
        .default_models_expand_depth(0);
    let files = Files { title: info.title, config: Arc::new(config) };
    let index = files.clone();
    Router::new()
        .route("/docs", get(|| async { Redirect::to("docs/") }))
        .route("/docs/", get(async move || index.answer("index.html")))
        .route("/docs/{*file}", get(async move |Path(path): Path<String>| files.answer(&path)))
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], document)))
}

#[derive(Clone)]
struct Files {
    title: &'static str,
    config: Arc<Config<'static>>,
}

impl Files {
    fn answer(&self, path: &str) -> Response {
        let file = match utoipa_swagger_ui::serve(path, self.config.clone()) {
            Ok(Some(file)) => file,
            Ok(None) => return StatusCode::NOT_FOUND.into_response(),
            Err(error) => return ApiError::internal(error.to_string()).into_response(),
        };
        let body = match path {
            "index.html" => Bytes::from(titled(&file.bytes, self.title)),
            _ => Bytes::from(file.bytes.into_owned()),
        };
        let headers =
            [(header::CONTENT_TYPE, file.content_type.as_str()), (header::CONTENT_SECURITY_POLICY, POLICY)];
        (headers, body).into_response()
    }
}

/// Nothing from outside, whatever a later version of the page may want. It sets styles on elements and
/// has its icons in `data:` URLs; an answer that was tried out is shown as a `blob:` when it is no text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The page with the service's title, so that four tabs can be told apart.
fn titled(page: &[u8], title: &str) -> String {
    String::from_utf8_lossy(page).replace("<title>Swagger UI</title>", &format!("<title>{title}</title>"))
}
