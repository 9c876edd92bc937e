use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{ClientError, Endpoint, ServiceProblem};

/// One service's HTTP client. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    base: Url,
    endpoint: Endpoint,
    /// Which of this system's services should answer; `None` where strangers may.
    service: Option<&'static str>,
}

/// A call under construction.
pub(crate) struct Call<'a> {
    connection: &'a Connection,
    method: Method,
    url: Url,
    body: Option<(String, Bytes)>,
    accept: &'static str,
    idempotency_key: Option<String>,
    last_event_id: Option<String>,
    timeout: Duration,
    /// What went wrong while it was put together.
    failed: Option<String>,
}

/// Asks a service at `/readyz` whether it is ready to serve, whichever it is.
///
/// # Errors
/// It is not, or does not answer, or the URL or the key cannot be used.
pub async fn ready(endpoint: Endpoint) -> Result<(), ClientError> {
    Connection::new(None, endpoint)?.ready().await
}

impl Connection {
    /// To the service of this name; `None` where those of others may answer too.
    pub(crate) fn new(service: Option<&'static str>, endpoint: Endpoint) -> Result<Self, ClientError> {
        let invalid = |detail: String| ClientError::InvalidCall { url: endpoint.url.clone(), detail };
        let base = Url::parse(&endpoint.url)
            .map_err(|error| invalid(format!("{error}; expected a URL like http://127.0.0.1:8002")))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(invalid("expected a URL that begins with http:// or https://".into()));
        }
        if let Some(key) = &endpoint.api_key
            && (key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(invalid("the API key is empty or has characters other than visible ASCII".into()));
        }
        // An error: this process has one already, and any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // What is sent on a connection while its service closes it gets no answer.
            .pool_idle_timeout(endpoint.keep_alive / 3)
            // The services lie side by side; a proxy for the way out must not get their calls.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ai-mesh-client/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // Without this a machine that has no CA certificates could not even call loopback.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| invalid(chain(&error)))?;
        Ok(Self(Arc::new(Inner { http, base, endpoint, service })))
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    pub(crate) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub(crate) fn patch(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::PATCH, path)
    }

    pub(crate) fn delete(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    pub(crate) fn put(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    /// Asks `/readyz`.
    pub(crate) async fn ready(&self) -> Result<(), ClientError> {
        self.get(&["readyz"]).send().await.map(drop)
    }

    /// `path` is a list of segments, each of which is percent-encoded.
    fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.0.base.clone();
        let mut failed = None;
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().extend(path);
            }
            Err(()) => failed = Some("the URL cannot have a path".to_owned()),
        }
        // "." and ".." vanish from a URL and would turn the call into another one.
        if path.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            failed = Some(format!("`/{}` has an empty or dotted part", path.join("/")));
        }
        Call {
            connection: self,
            method,
            url,
            body: None,
            accept: "application/json",
            idempotency_key: None,
            last_event_id: None,
            timeout: self.0.endpoint.timeout,
            failed,
        }
    }
}

impl Call<'_> {
    pub(crate) fn query(mut self, query: &impl Serialize) -> Self {
        match serde_urlencoded::to_string(query) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => self.url.set_query(Some(&text)),
            Err(error) => self.failed = Some(format!("the query cannot be written: {error}")),
        }
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = Some(("application/json".into(), bytes.into())),
            Err(error) => self.failed = Some(format!("the body cannot be written as JSON: {error}")),
        }
        self
    }

    pub(crate) fn body(mut self, media_type: &str, body: Bytes) -> Self {
        self.body = Some((media_type.to_owned(), body));
        self
    }

    pub(crate) fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    pub(crate) fn idempotency_key(mut self, key: Option<&str>) -> Self {
        self.idempotency_key = key.map(str::to_owned);
        self
    }

    pub(crate) fn last_event_id(mut self, id: Option<String>) -> Self {
        self.last_event_id = id;
        self
    }

    /// Gives the call ten times the usual time: its body or its answer is large.
    pub(crate) fn large(mut self) -> Self {
        self.timeout *= 10;
        self
    }

    /// Sends the call and reads the JSON of its answer.
    pub(crate) async fn answer<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        self.answer_with_status().await.map(|(answer, _)| answer)
    }

    /// The same, with the status of the answer.
    pub(crate) async fn answer_with_status<T: DeserializeOwned>(
        self,
    ) -> Result<(T, StatusCode), ClientError> {
        let (url, status, bytes) = self.send().await?;
        let answer = serde_json::from_slice(&bytes).map_err(|error| ClientError::InvalidAnswer {
            url,
            status: status.as_u16(),
            detail: error.to_string(),
        })?;
        Ok((answer, status))
    }

    /// Sends the call and reads its answer as text.
    pub(crate) async fn text(self) -> Result<String, ClientError> {
        let (url, status, bytes) = self.send().await?;
        String::from_utf8(bytes.into()).map_err(|error| ClientError::InvalidAnswer {
            url,
            status: status.as_u16(),
            detail: error.to_string(),
        })
    }

    /// Sends the call and reads its answer.
    pub(crate) async fn bytes(self) -> Result<Bytes, ClientError> {
        self.send().await.map(|(_, _, bytes)| bytes)
    }

    /// Sends the call and leaves the answer's body to be read as it comes. The usual time is for the
    /// answer's head only.
    pub(crate) async fn open(self) -> Result<(String, Response), ClientError> {
        let after = self.timeout;
        let (url, request) = self.request()?;
        let response = match tokio::time::timeout(after, request.send()).await {
            Err(_) => return Err(ClientError::TimedOut { url, after }),
            Ok(Err(source)) => return Err(failed(&url, after, source)),
            Ok(Ok(response)) => response,
        };
        let (status, retry_after) = (response.status(), retry_after(&response));
        if status.is_success() {
            return Ok((url, response));
        }
        // A problem is short; a body that does not end must not be waited for.
        let bytes = match tokio::time::timeout(after, response.bytes()).await {
            Err(_) => return Err(ClientError::TimedOut { url, after }),
            Ok(bytes) => bytes.map_err(|source| failed(&url, after, source))?,
        };
        Err(refusal(url, status, retry_after, &bytes))
    }

    /// Sends the call and reads at most so many bytes of its answer, whatever its status: for services that are not ours.
    pub(crate) async fn whatever(self, limit: usize) -> Result<(String, StatusCode, Bytes), ClientError> {
        let after = self.timeout;
        let (url, request) = self.request()?;
        let failed = |source| failed(&url, after, source);
        let mut response = request.timeout(after).send().await.map_err(failed)?;
        let (status, mut bytes) = (response.status(), Vec::new());
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > limit {
                let detail = format!("more than {limit} bytes");
                return Err(ClientError::InvalidAnswer { url, status: status.as_u16(), detail });
            }
        }
        Ok((url, status, bytes.into()))
    }

    async fn send(self) -> Result<(String, StatusCode, Bytes), ClientError> {
        let (after, expected) = (self.timeout, self.connection.0.service);
        let (url, request) = self.request()?;
        let response = request.timeout(after).send().await.map_err(|source| failed(&url, after, source))?;
        if let Some(expected) = expected
            && let Some(found) = service_of(&response).filter(|found| found != expected)
        {
            return Err(ClientError::WrongService { url, expected, found });
        }
        let (status, retry_after) = (response.status(), retry_after(&response));
        let bytes = response.bytes().await.map_err(|source| failed(&url, after, source))?;
        if status.is_success() {
            Ok((url, status, bytes))
        } else {
            Err(refusal(url, status, retry_after, &bytes))
        }
    }

    /// The request without a time limit, and its URL as it may be shown.
    fn request(self) -> Result<(String, RequestBuilder), ClientError> {
        let url = shown(&self.url);
        if let Some(detail) = self.failed {
            return Err(ClientError::InvalidCall { url, detail });
        }
        let Inner { http, endpoint, .. } = &*self.connection.0;
        let mut request = http.request(self.method, self.url).header(header::ACCEPT, self.accept);
        if let Some(key) = &endpoint.api_key {
            request = request.bearer_auth(key);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(id) = &self.last_event_id {
            request = request.header("last-event-id", id);
        }
        request = traced(request);
        if let Some((media_type, body)) = self.body {
            request = request.header(header::CONTENT_TYPE, media_type).body(body);
        }
        Ok((url, request))
    }
}

/// Why there is no answer from `url`, where `after` is how long was waited.
pub(crate) fn failed(url: &str, after: Duration, source: reqwest::Error) -> ClientError {
    let url = url.to_owned();
    if source.is_builder() {
        ClientError::InvalidCall { url, detail: chain(&source) }
    } else if source.is_timeout() && !source.is_connect() {
        ClientError::TimedOut { url, after }
    } else {
        ClientError::Unreachable { url, source: source.without_url() }
    }
}

/// Which of this system's services has answered, where it says so.
fn service_of(response: &Response) -> Option<String> {
    let program = response.headers().get(header::SERVER)?.to_str().ok()?;
    let (name, _version) = program.strip_prefix(api::SERVER_PREFIX)?.split_once('/')?;
    Some(name.to_owned())
}

/// What an answer that is no success says.
fn refusal(url: String, status: StatusCode, retry_after: Option<Duration>, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice::<api::Problem>(bytes) {
        Ok(problem) if problem.status == status.as_u16() => {
            ClientError::Problem(Box::new(ServiceProblem { url, problem, retry_after }))
        }
        _ => ClientError::InvalidAnswer {
            url,
            status: status.as_u16(),
            detail: "it is no problem+json".into(),
        },
    }
}

/// Makes the call a part of the trace of the request that is being served, and gives it that request's id;
/// a call that is made beside any request begins a trace of its own.
fn traced(request: RequestBuilder) -> RequestBuilder {
    let Some(context) = trace_context::current() else {
        return request.header("traceparent", trace_context::Span::begin().traceparent());
    };
    let mut request = request.header("traceparent", context.span.traceparent());
    if let Some(state) = context.span.tracestate() {
        request = request.header("tracestate", state);
    }
    match &context.request_id {
        Some(id) => request.header("x-request-id", id),
        None => request,
    }
}

/// Whole seconds; the services never send the header's other form, a date (RFC 9110, 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The URL without what may be secret or long: user, password and query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Fails only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
