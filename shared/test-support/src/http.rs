//! Services that live as long as the test's runtime.

use std::net::SocketAddr;

use api::Problem;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

/// Serves routes on a free loopback port.
pub async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// An answer as all services give them when they refuse something (RFC 9457).
pub fn problem(status: u16, code: &str, detail: impl Into<String>) -> Response {
    let problem = Problem {
        kind: format!("/problems/{code}"),
        title: code.to_owned(),
        status,
        code: code.to_owned(),
        detail: detail.into(),
        ..Problem::default()
    };
    let body = serde_json::to_vec(&problem).expect("a problem is JSON");
    let status = StatusCode::from_u16(status).expect("a status of HTTP");
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// A client for calls as anybody makes them, by HTTP alone.
#[must_use]
pub fn http_client() -> reqwest::Client {
    http_client_builder().build().expect("a client without settings can be built")
}

/// The same, to be set up.
pub fn http_client_builder() -> reqwest::ClientBuilder {
    // An error: this process has one already, and any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// Gets one page.
///
/// # Errors
/// Nobody answered.
pub async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    http_client().get(url).send().await
}
