//! A small service on port 0, as a caller and as an operator see it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing::get,
};
use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};
use service_kit::{
    ApiError, ApiResult, Content, Deadlines, HttpConfig, Json, Metrics, Path, Query, Readiness, ServiceInfo,
    app, bind, body_limit, listen, openapi, serve, with_tags,
};
use test_support::eventually;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

const INFO: ServiceInfo =
    ServiceInfo { name: "demo", port: 8001, title: "Demo", description: "A service for tests." };

#[derive(Serialize, Deserialize, ToSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Thing {
    #[garde(length(min = 1))]
    name: String,
    #[serde(default)]
    #[garde(skip)]
    count: u32,
    #[serde(default)]
    #[garde(dive)]
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize, ToSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Part {
    #[garde(range(min = 0.0, max = 1.0))]
    share: f64,
}

#[derive(Deserialize, IntoParams, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    #[garde(inner(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

/// Makes a thing.
#[utoipa::path(post, path = "/v1/things", responses((status = 200, body = Thing)))]
async fn create(Json(thing): Json<Thing>) -> Json<Thing> {
    Json(thing)
}

/// Lists things.
#[utoipa::path(get, path = "/v1/things", params(Page), responses((status = 200, body = String)))]
async fn list(Query(page): Query<Page>) -> String {
    format!("{:?}", page.limit)
}

/// One thing.
#[utoipa::path(get, path = "/v1/things/{id}", params(("id" = u64, Path)),
    responses((status = 200, body = String), (status = 404, description = "`thing_not_found`.")))]
async fn one(Path(id): Path<u64>) -> ApiResult<String> {
    match id {
        1 => Ok("one".into()),
        2 => Err(ApiError::internal("secret of the inside")),
        3 => panic!("secret of the panic"),
        4 => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok("late".into())
        }
        5 => Err(ApiError::unavailable("database_away", "The database is away.", "secret of the database")),
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, "thing_not_found", format!("There is no thing {id}."))),
    }
}

/// Stops a thing that others use.
#[utoipa::path(post, path = "/v1/things/{id}/stop", params(("id" = u64, Path)), extensions(("x-scopes" = json!(["operate"]))),
    responses((status = 200, body = String)))]
async fn stop(Path(id): Path<u64>) -> String {
    format!("stopped {id}")
}

/// Asks with a body, and changes nothing.
#[utoipa::path(post, path = "/v1/things/{id}/ask", params(("id" = u64, Path)), extensions(("x-scopes" = json!(["read"]))),
    responses((status = 200, body = String)))]
async fn ask(Path(id): Path<u64>) -> String {
    format!("asked {id}")
}

/// Takes more than the others.
#[utoipa::path(put, path = "/v1/blobs", request_body = Vec<u8>, responses((status = 200, body = String)))]
async fn blob(body: Bytes) -> String {
    body.len().to_string()
}

/// Takes any bytes, as long as the others.
#[utoipa::path(put, path = "/v1/notes", request_body = Vec<u8>, responses((status = 200, body = String)))]
async fn note(body: Bytes) -> String {
    body.len().to_string()
}

/// Says no as another specification has it.
#[utoipa::path(get, path = "/v1/specified", responses((status = 409, body = String, content_type = "text/x.own")))]
async fn specified() -> impl axum::response::IntoResponse {
    let headers = [("content-type", "text/x.own")];
    (StatusCode::CONFLICT, axum::Extension(service_kit::AsSpecified), headers, "7\n")
}

/// Gives back what it gets.
#[utoipa::path(put, path = "/v1/echo", request_body = Vec<u8>, responses((status = 200, body = Vec<u8>)))]
async fn echo(Content(body): Content) -> Bytes {
    body
}

fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(one))
        .routes(routes!(stop))
        .routes(routes!(ask))
        .routes(routes!(blob).layer(body_limit(5000)))
        .routes(routes!(note))
        .routes(routes!(echo))
        .routes(routes!(specified))
}

fn ready() -> Readiness {
    Arc::new(|| Box::pin(async { Vec::new() }))
}

fn grace(seconds: f64) -> Deadlines {
    Deadlines { grace: Duration::from_secs_f64(seconds), ..Deadlines::default() }
}

pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) client: Client,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Service {
    pub(crate) async fn start(http: HttpConfig) -> Self {
        let deadlines = Deadlines { grace: Duration::from_secs(5), ..http.deadlines() };
        Self::start_app(app(INFO, routes(), &http, Metrics::new(), ready()), deadlines).await
    }

    async fn start_app(app: Router, deadlines: Deadlines) -> Self {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, app, deadlines, shutdown.clone()));
        // Redirects are looked at, not followed.
        let client =
            test_support::http_client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, client, shutdown, served }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// What comes back for these bytes until the connection ends.
    pub(crate) async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let address = self.url.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(format!("{}/v1/things", self.url));
        request.header("content-type", "application/json").body(body).send().await.unwrap()
    }
}

/// The problem of an answer, after everything that holds for each of them.
pub(crate) async fn problem(response: Response, status: u16, code: &str) -> api::Problem {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let text = response.text().await.unwrap();
    assert!(!text.contains("secret"), "{text}");
    let problem: api::Problem = serde_json::from_str(&text).unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
    assert_eq!(problem.kind, format!("/problems/{code}"));
    assert_eq!(problem.request_id, Some(id));
    problem
}

fn pointers(problem: &api::Problem) -> Vec<&str> {
    problem.errors.iter().map(|error| error.pointer.as_str()).collect()
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_told_where() {
    let service = Service::start(HttpConfig::default()).await;
    assert_eq!(service.post(r#"{"name": "a", "parts": [{"share": 1}]}"#).await.status(), 200);

    let told = problem(service.post("{\"name\":\n  oops}").await, 400, "malformed_json").await;
    assert!(told.detail.contains("line 2 column 3"), "{}", told.detail);
    let told = problem(service.post(r#"{"name": "a"} x"#).await, 400, "malformed_json").await;
    assert!(told.detail.contains("line 1 column 15"), "{}", told.detail);

    let told =
        problem(service.post(r#"{"name": "a", "parts": [{"share": "b"}]}"#).await, 422, "invalid_request")
            .await;
    assert_eq!(pointers(&told), ["/parts/0/share"]);
    let told = problem(service.post(r#"{"name": "a", "nmae": 1}"#).await, 422, "invalid_request").await;
    assert_eq!(pointers(&told), ["/nmae"]);
    assert!(told.detail.contains("unknown field"), "{}", told.detail);

    let two = r#"{"name": "", "parts": [{"share": 0.5}, {"share": 2}]}"#;
    let told = problem(service.post(two).await, 422, "invalid_request").await;
    assert_eq!(pointers(&told), ["/name", "/parts/1/share"]);

    let request = service.client.post(format!("{}/v1/things", service.url)).body("name=a");
    problem(request.send().await.unwrap(), 415, "unsupported_media_type").await;
}

#[tokio::test]
async fn a_body_may_come_from_any_editor_or_language() {
    let service = Service::start(HttpConfig::default()).await;
    let marked = "\u{feff}{\"name\": \"a\", \"count\": 2.0}\r\n";
    assert_eq!(service.post(marked).await.json::<serde_json::Value>().await.unwrap()["count"], 2);
    let told = problem(service.post(r#"{"name": "a", "count": 2.5}"#).await, 422, "invalid_request").await;
    assert_eq!(told.errors[0].detail, "expected a whole number, found 2.5");
    assert_eq!(pointers(&told), ["/count"]);
    let utf_16: Vec<u8> = r#"{"name": "a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let told = problem(service.post(utf_16).await, 400, "malformed_json").await;
    assert!(told.detail.contains("UTF-16"), "{}", told.detail);
    let typed = |kind: &str| {
        let request = service.client.post(format!("{}/v1/things", service.url)).header("content-type", kind);
        request.body(r#"{"name": "a"}"#).send()
    };
    for taken in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
        "application/x+json",
    ] {
        assert_eq!(typed(taken).await.unwrap().status(), 200, "{taken}");
    }
    for refused in ["application/json; charset=utf-16", "application/json;charset=iso-8859-1", "text/json"] {
        let told = problem(typed(refused).await.unwrap(), 415, "unsupported_media_type").await;
        assert!(told.detail.contains(refused), "{}", told.detail);
    }
}

#[tokio::test]
async fn a_query_or_path_that_does_not_fit_is_told_where() {
    let service = Service::start(HttpConfig::default()).await;
    for five in ["5", "5.0", "5e0"] {
        let answer = service.get(&format!("/v1/things?limit={five}")).await;
        assert_eq!(answer.text().await.unwrap(), "Some(5)", "{five}");
    }
    for wrong in ["/v1/things?limit=0", "/v1/things?limit=many", "/v1/things?limit=2.5"] {
        let told = problem(service.get(wrong).await, 422, "invalid_request").await;
        assert_eq!(pointers(&told), ["?limit"]);
    }
    let told = problem(service.get("/v1/things?page=3").await, 422, "invalid_request").await;
    assert!(
        told.errors[0].detail.contains("`page`") && told.errors[0].detail.contains("`limit`"),
        "{told:?}"
    );
    let told = problem(service.get("/v1/things/abc").await, 422, "invalid_request").await;
    assert_eq!(pointers(&told), ["{id}"]);
    assert_eq!(told.errors[0].detail, "expected a whole number, found `abc`");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_possible_are_problems_too() {
    let service = Service::start(HttpConfig::default()).await;
    let told = problem(service.get("/v2/nothing").await, 404, "not_found").await;
    assert!(told.detail.contains("/v2/nothing"), "{}", told.detail);
    problem(service.get("/docs/nothing.js").await, 404, "not_found").await;
    problem(service.get("/v1/things/9").await, 404, "thing_not_found").await;
    let response = service.client.delete(format!("{}/v1/things/1", service.url)).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    let told = problem(response, 405, "method_not_allowed").await;
    assert!(told.detail.contains("DELETE") && told.detail.contains("/v1/things/1"), "{}", told.detail);
}

#[tokio::test]
async fn an_error_of_the_inside_says_nothing_of_it() {
    let service = Service::start(HttpConfig::default()).await;
    problem(service.get("/v1/things/2").await, 500, "internal_error").await;
    problem(service.get("/v1/things/3").await, 500, "internal_error").await; // a panic
    let response = service.get("/v1/things/5").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503, "database_away").await;
    assert_eq!(service.get("/v1/things/1").await.status(), 200, "and the service goes on");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_with_the_limit_and_a_route_may_have_its_own() {
    let http = HttpConfig { body_limit_bytes: 1000, ..HttpConfig::default() };
    let service = Service::start(http).await;
    let told = problem(service.post(vec![b' '; 1001]).await, 413, "body_too_large").await;
    assert!(told.detail.contains("1000 bytes"), "{}", told.detail);
    let put = |path: &str, length: usize| {
        service.client.put(format!("{}{path}", service.url)).body(vec![0u8; length]).send()
    };
    assert_eq!(put("/v1/blobs", 5000).await.unwrap().text().await.unwrap(), "5000");
    let told = problem(put("/v1/blobs", 5001).await.unwrap(), 413, "body_too_large").await;
    assert!(told.detail.contains("5000 bytes"), "{}", told.detail);
    let told = problem(put("/v1/notes", 1001).await.unwrap(), 413, "body_too_large").await;
    assert!(told.detail.contains("1000 bytes"), "{}", told.detail);
}

#[tokio::test]
async fn a_caller_who_is_still_sending_a_body_that_is_too_long_sees_the_answer() {
    let http = HttpConfig { body_limit_bytes: 1000, ..HttpConfig::default() };
    let service = Service::start(http).await;
    for _ in 0..10 {
        problem(service.post(" ".repeat(8 << 20)).await, 413, "body_too_large").await;
    }
}

#[tokio::test]
async fn an_answer_or_a_body_that_takes_too_long_is_given_up() {
    let http = HttpConfig { request_timeout_seconds: 1, ..HttpConfig::default() };
    let service = Service::start(http).await;
    problem(service.get("/v1/things/4").await, 504, "timeout").await;

    // A body that begins and never ends.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/things HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn more_requests_than_it_takes_at_once_are_turned_away_but_health_is_not() {
    let http = HttpConfig { max_concurrent_requests: 1, ..HttpConfig::default() };
    let service = Service::start(http).await;
    let busy = tokio::spawn(service.client.get(format!("{}/v1/things/4", service.url)).send());
    let refused = eventually("a second request is turned away", async || {
        let response = service.get("/v1/things/1").await;
        if response.status() == 503 { Ok(response) } else { Err(response.status()) }
    })
    .await;
    assert_eq!(refused.headers()["retry-after"], "1");
    problem(refused, 503, "overloaded").await;
    assert_eq!(service.get("/healthz").await.status(), 200);
    busy.abort();
    eventually("a caller that hung up takes up no room", async || {
        let status = service.get("/v1/things/1").await.status();
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test]
async fn with_keys_only_documents_and_health_are_open() {
    let http = HttpConfig { api_keys: vec!["first".into(), "second".into()], ..HttpConfig::default() };
    let service = Service::start(http).await;
    let with = |key: &str| {
        let request = service.client.get(format!("{}/v1/things/1", service.url));
        request.header("authorization", key).send()
    };
    let response = service.get("/v1/things/1").await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    problem(response, 401, "missing_api_key").await;
    problem(with("Basic first").await.unwrap(), 401, "missing_api_key").await;
    for wrong in ["Bearer firs", "Bearer first2", "Bearer ", "Bearer first, second"] {
        let response = with(wrong).await.unwrap();
        assert_eq!(response.status(), 401, "{wrong}");
    }
    assert_eq!(with("Bearer first").await.unwrap().status(), 200);
    assert_eq!(with("bearer second").await.unwrap().status(), 200);
    problem(service.get("/metrics").await, 401, "missing_api_key").await;
    for open in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        assert_eq!(service.get(open).await.status(), 200, "{open}");
    }
}

#[tokio::test]
async fn an_error_whose_form_another_specification_says_leaves_as_it_is() {
    let service = Service::start(HttpConfig::default()).await;
    let answer = service.get("/v1/specified").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (409, &"text/x.own".parse().unwrap())
    );
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(answer.text().await.unwrap(), "7\n");
}

#[tokio::test]
async fn an_open_route_needs_no_key_and_has_the_limits_of_all() {
    let http = |keys: &[&str], bind: &str| HttpConfig {
        api_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        bind: bind.parse().unwrap(),
        body_limit_bytes: 100,
        ..HttpConfig::default()
    };
    let open = || OpenApiRouter::new().routes(routes!(note));
    let keyed = || OpenApiRouter::new().routes(routes!(one)).routes(routes!(create, list));
    let start = async |http: HttpConfig| {
        let routes = service_kit::Routes::from(keyed()).with_open(open());
        Service::start_app(app(INFO, routes, &http, Metrics::new(), ready()), grace(5.0)).await
    };
    let service = start(http(&["first"], "127.0.0.1:0")).await;
    let put = async |service: &Service, length: usize| {
        let url = format!("{}/v1/notes", service.url);
        service.client.put(url).body(vec![b'x'; length]).send().await.unwrap()
    };
    assert_eq!(put(&service, 3).await.text().await.unwrap(), "3");
    problem(put(&service, 101).await, 413, "body_too_large").await;
    problem(service.get("/v1/things/1").await, 401, "missing_api_key").await;
    let document: serde_json::Value = service.get("/openapi.json").await.json().await.unwrap();
    for path in ["/v1/notes", "/v1/things", "/v1/things/{id}"] {
        assert!(document["paths"].as_object().unwrap().contains_key(path), "{path}");
    }
    // a service that serves nobody does not serve there either
    let closed = start(http(&[], "0.0.0.0:0")).await;
    problem(put(&closed, 3).await, 403, "keys_not_configured").await;
}

#[tokio::test]
async fn a_service_that_others_can_reach_without_keys_is_refused_and_serves_nobody() {
    let http = HttpConfig { bind: ([0, 0, 0, 0], 0).into(), ..HttpConfig::default() };
    let error = listen(&http).await.unwrap_err().to_string();
    assert!(error.contains("http.api_keys") && error.contains("allow_insecure_bind"), "{error}");
    // Whoever binds it in another way gets a service that answers nothing.
    let service = Service::start(http.clone()).await;
    problem(service.get("/v1/things/1").await, 403, "keys_not_configured").await;
    let asked_for = HttpConfig { allow_insecure_bind: true, ..http };
    assert!(listen(&asked_for).await.is_ok());
    assert_eq!(Service::start(asked_for).await.get("/v1/things/1").await.status(), 200);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let taken = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let error = bind(address).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    let service = Service::start(HttpConfig::default()).await;
    let with =
        |id: &str| service.client.get(format!("{}/healthz", service.url)).header("x-request-id", id).send();
    assert_eq!(with("cli-42").await.unwrap().headers()["x-request-id"], "cli-42");
    let replaced = with("no spaces please").await.unwrap();
    assert_eq!(replaced.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let is_ready = Arc::new(AtomicBool::new(false));
    let shown = is_ready.clone();
    let readiness: Readiness = Arc::new(move || {
        let ready = shown.load(Ordering::Relaxed);
        Box::pin(async move { if ready { vec![] } else { vec!["the database does not answer".to_owned()] } })
    });
    let app = app(INFO, routes(), &HttpConfig::default(), Metrics::new(), readiness);
    let service = Service::start_app(app, grace(5.0)).await;
    let told = problem(service.get("/readyz").await, 503, "not_ready").await;
    assert!(told.detail.contains("the database does not answer"), "{}", told.detail);
    assert_eq!(service.get("/healthz").await.status(), 200, "alive all the same");
    is_ready.store(true, Ordering::Relaxed);
    assert_eq!(service.get("/readyz").await.text().await.unwrap(), r#"{"ready":true}"#);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_path() {
    let service = Service::start(HttpConfig::default()).await;
    for path in ["/v1/things/1", "/v1/things/9", "/nowhere/1", "/nowhere/2"] {
        service.get(path).await;
    }
    let metrics = service.get("/metrics").await.text().await.unwrap();
    for line in [
        r#"http_requests_total{method="GET",route="/v1/things/{id}",status="200"} 1"#,
        r#"http_requests_total{method="GET",route="/v1/things/{id}",status="404"} 1"#,
        r#"http_requests_total{method="GET",route="unmatched",status="404"} 2"#,
        r#"http_request_duration_seconds_count{method="GET",route="/v1/things/{id}"} 2"#,
        "http_requests_in_flight 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("nowhere"));
}

#[tokio::test]
async fn the_document_is_served_as_it_is_generated_and_covers_every_operation() {
    let service = Service::start(HttpConfig::default()).await;
    let served: serde_json::Value =
        serde_json::from_slice(&service.get("/openapi.json").await.bytes().await.unwrap()).unwrap();
    let (_, generated) = openapi(&INFO, routes());
    assert_eq!(served, generated);

    assert_eq!(served["info"]["title"], "Demo");
    assert_eq!(served["servers"][0]["url"], ".", "the page tries things out where it comes from");
    assert_eq!(served["servers"][1]["variables"]["port"]["default"], "8001");
    assert_eq!(served["info"]["license"]["name"], "Apache-2.0");
    assert_eq!(served["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
    let paths = served["paths"].as_object().unwrap();
    for path in ["/v1/things", "/v1/things/{id}", "/v1/blobs", "/healthz", "/readyz", "/metrics"] {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            for (range, name) in [("4XX", "Problem"), ("5XX", "ServerError")] {
                let reference = &operation["responses"][range]["$ref"];
                assert_eq!(reference, &format!("#/components/responses/{name}"), "{method} {path}");
            }
        }
    }
    let body = &served["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"];
    assert_eq!(body["$ref"], "#/components/schemas/Problem");
    assert!(served["components"]["schemas"]["Problem"]["properties"]["code"].is_object());
    assert!(served["components"]["schemas"]["FieldError"].is_object());
}

#[tokio::test]
async fn the_documents_need_nothing_from_outside() {
    let service = Service::start(HttpConfig::default()).await;
    let as_a_browser = service.client.get(&service.url).header("accept", "text/html,*/*;q=0.8");
    assert_eq!(as_a_browser.send().await.unwrap().headers()["location"], "docs");
    let told: serde_json::Value = service.get("/").await.json().await.unwrap();
    assert_eq!((&told["status"], told["name"].is_string()), (&serde_json::json!("active"), true));
    assert_eq!(service.get("/docs").await.headers()["location"], "docs/");
    let page = service.get("/docs/").await.text().await.unwrap();
    let script = service.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(
        script.contains("\"../openapi.json\"") && script.contains("\"validatorUrl\": \"none\""),
        "{script}"
    );
    for text in [&page, &script] {
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("src=\"//"),
            "{text}"
        );
    }
    let assets = page.split(['"', '\'']).filter(|part| part.ends_with(".css") || part.ends_with(".js"));
    let mut count = 0;
    for asset in assets {
        let response = service.get(&format!("/docs/{}", asset.trim_start_matches("./"))).await;
        assert_eq!(response.status(), 200, "{asset}");
        count += 1;
    }
    assert!(count >= 4, "the page's scripts and styles were looked at");
}

#[tokio::test]
async fn a_caller_who_sends_too_much_is_told_when_to_go_on_and_others_are_not() {
    let keys = vec!["first".to_owned(), "second".to_owned()];
    let http =
        HttpConfig { requests_per_second: 1, burst: 2, api_keys: keys.clone(), ..HttpConfig::default() };
    let service = Service::start(http).await;
    let with = |key: &str| service.client.get(format!("{}/v1/things/1", service.url)).bearer_auth(key).send();
    assert_eq!(with("first").await.unwrap().status(), 200);
    assert_eq!(with("first").await.unwrap().status(), 200);
    let refused = with("first").await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    let told = problem(refused, 429, "rate_limited").await;
    assert!(
        told.detail.contains("1 requests per second") && told.detail.contains("one API key"),
        "{}",
        told.detail
    );
    assert_eq!(with("second").await.unwrap().status(), 200);

    // Who guesses keys is counted by address, whatever the guesses are.
    assert_eq!(with("guess 1").await.unwrap().status(), 401);
    assert_eq!(with("guess 2").await.unwrap().status(), 401);
    let told = problem(with("guess 3").await.unwrap(), 429, "rate_limited").await;
    assert!(told.detail.contains("one address"), "{}", told.detail);
    for free in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        assert_eq!(service.get(free).await.status(), 200, "{free}");
    }

    eventually("the first caller may go on", async || {
        let status = with("first").await.unwrap().status();
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test]
async fn a_trace_goes_through_a_service_to_the_one_that_it_calls() {
    // The handler answers with the context that a client would send on.
    let app = || {
        let seen = async || {
            let context = trace_context::current().unwrap();
            let state = context.span.tracestate().unwrap_or("-").to_owned();
            format!("{} {state} {}", context.span.traceparent(), context.request_id.as_deref().unwrap())
        };
        app(
            INFO,
            OpenApiRouter::new().route("/seen", get(seen)),
            &HttpConfig::default(),
            Metrics::new(),
            ready(),
        )
    };
    let service = Service::start_app(app(), grace(5.0)).await;
    let call = service.client.get(format!("{}/seen", service.url)).header("x-request-id", "cli-7");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"; // the W3C text's example
    let call = call.header("traceparent", parent).header("tracestate", "congo=t61rcWkgMzE");
    let seen = call.send().await.unwrap().text().await.unwrap();
    assert!(seen.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{seen}");
    assert!(!seen.contains("b7ad6b7169203331"), "the span is the service's own: {seen}");
    assert!(seen.ends_with("-01 congo=t61rcWkgMzE cli-7"), "{seen}");

    let (one, other) = (service.get("/seen").await, service.get("/seen").await);
    let id = one.headers()["x-request-id"].to_str().unwrap().to_owned();
    let (one, other) = (one.text().await.unwrap(), other.text().await.unwrap());
    assert_ne!(one[3..35], other[3..35], "each has a trace of its own");
    assert!(one.ends_with(&id), "{one}");
}

#[tokio::test]
async fn the_tags_come_in_the_services_order_and_the_common_errors_have_a_meaning() {
    let routes = with_tags(routes(), &[("things", "What it is about."), ("demo", "Beside it.")]);
    let (_, document) = openapi(&INFO, routes);
    let document = serde_json::to_value(document).unwrap();
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    assert_eq!(tags, ["things", "demo", "operations"], "a tag of no list would come before operations");
    assert_eq!(document["tags"][0]["description"], "What it is about.");

    let statuses = |path: &str, method: &str| {
        let responses = document["paths"][path][method]["responses"].as_object().unwrap();
        responses.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(statuses("/v1/things", "post"), "200 400 401 403 413 415 422 429 4XX 503 5XX");
    assert_eq!(statuses("/v1/things/{id}", "get"), "200 401 403 404 422 429 4XX 503 5XX");
    let own = &document["paths"]["/v1/things/{id}"]["get"]["responses"]["404"];
    assert_eq!(own["description"], "`thing_not_found`.");
    assert!(own["content"]["application/problem+json"]["schema"].is_object(), "{own}");
    assert_eq!(statuses("/v1/blobs", "put"), "200 401 403 413 429 4XX 503 5XX");
    assert_eq!(statuses("/healthz", "get"), "200 4XX 5XX");
    let limited = &document["components"]["responses"]["RateLimited"];
    assert_eq!(limited["headers"]["Retry-After"]["schema"]["type"], "integer");
    for name in ["MalformedJson", "Unauthorized", "RateLimited", "Unavailable"] {
        let example =
            &document["components"]["responses"][name]["content"]["application/problem+json"]["example"];
        let example: api::Problem = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(example.kind, format!("/problems/{}", example.code));
    }
}

#[tokio::test]
async fn the_documents_page_has_the_services_title_and_may_load_nothing_from_outside() {
    let service = Service::start(HttpConfig::default()).await;
    let page = service.get("/docs/").await;
    assert_eq!(page.headers()["content-type"], "text/html");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    assert!(page.text().await.unwrap().contains("<title>Demo</title>"));
    let script = service.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    for setting in ["\"tryItOutEnabled\": true", "\"persistAuthorization\": true"] {
        assert!(script.contains(setting), "{script}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_in_the_grace_is_told_so_and_half_a_request_keeps_nobody() {
    use tokio::io::AsyncWriteExt as _;
    let arrived = Arc::new(AtomicBool::new(false));
    let under_way = arrived.clone();
    let hangs = async move || {
        under_way.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await;
    };
    let routes = routes().route("/hangs", get(hangs));
    let app = app(INFO, routes, &HttpConfig::default(), Metrics::new(), ready());
    let service = Service::start_app(app, grace(0.3)).await;
    let hanging = tokio::spawn(service.client.get(format!("{}/hangs", service.url)).send());
    let mut half = tokio::net::TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    half.write_all(b"GET /v1/things/1 HTTP/1.1\r\nho").await.unwrap();
    is_set(&arrived).await;

    service.shutdown.cancel();
    let cut = hanging.await.unwrap().unwrap();
    assert_eq!((cut.status().as_u16(), &cut.headers()["retry-after"]), (503, &"2".parse().unwrap()));
    let told: api::Problem = serde_json::from_slice(&cut.bytes().await.unwrap()).unwrap();
    assert_eq!(told.code, "shutting_down");
    ended(service.served).await;
}

async fn is_set(flag: &AtomicBool) {
    eventually("the request is under way", async || {
        flag.load(Ordering::SeqCst).then_some(()).ok_or("not yet")
    })
    .await;
}

/// A service that goes on fails the test.
async fn ended(served: tokio::task::JoinHandle<Result<(), std::io::Error>>) {
    eventually("the service has ended", async || served.is_finished().then_some(()).ok_or("it serves")).await;
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_cuts_off_what_does_not() {
    let stream = || async {
        let endless = std::iter::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"tick\n")));
        Body::from_stream(Ticks(Box::new(endless), Box::pin(tokio::time::sleep(Duration::ZERO))))
    };
    let arrived = Arc::new(AtomicBool::new(false));
    let under_way = arrived.clone();
    let slow = async move || {
        under_way.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    };
    let app = Router::new().route("/slow", get(slow)).route("/stream", get(stream));
    let service = Service::start_app(app, grace(1.0)).await;
    let mut endless = service.get("/stream").await;
    assert!(endless.chunk().await.unwrap().is_some());
    let slow = tokio::spawn(service.client.get(format!("{}/slow", service.url)).send());
    is_set(&arrived).await;

    service.shutdown.cancel();
    assert_eq!(slow.await.unwrap().unwrap().text().await.unwrap(), "done", "it was under way");
    ended(service.served).await;
    eventually("the endless stream is cut off", async || match endless.chunk().await {
        Ok(Some(chunk)) => Err(chunk),
        Ok(None) | Err(_) => Ok(()),
    })
    .await;
    assert!(
        service.client.get(format!("{}/slow", service.url)).send().await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_service_whose_task_is_aborted_answers_nobody_any_more() {
    let service = Service::start(HttpConfig::default()).await;
    assert_eq!(service.get("/v1/things/1").await.status(), 200);
    service.served.abort();
    eventually("the kept connection gets nothing any more", async || {
        match service.client.get(format!("{}/v1/things/1", service.url)).send().await {
            Ok(response) => Err(response.status()),
            Err(_) => Ok(()),
        }
    })
    .await;
}

/// One item every 20 ms.
struct Ticks(
    Box<dyn Iterator<Item = Result<Bytes, std::io::Error>> + Send>,
    std::pin::Pin<Box<tokio::time::Sleep>>,
);

impl futures_core::Stream for Ticks {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::ready!(std::future::Future::poll(self.1.as_mut(), context));
        self.1.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(20));
        std::task::Poll::Ready(self.0.next())
    }
}
