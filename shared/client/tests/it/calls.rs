//! Calls against a service of the test: what is sent, and what each kind of failure becomes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use api::{
    Hash,
    policies::{DecisionRequest, Outcome, PolicyQuery},
    remembrancer::{DecisionQuery, RecordKind, RecordQuery},
    trainer::{MetricsQuery, NewRun},
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post, put},
};
use client::{
    ClientError, Endpoint, Evaluator, HeldLease, PageQuery, PsiField, Remembrancer, Trainer,
    retry_while_transient,
};
use test_support::{problem, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn remembrancer(app: Router) -> Remembrancer {
    Remembrancer::new(Endpoint::new(format!("http://{}", serve(app).await))).unwrap()
}

/// A service that answers every call with the request line, the body and some headers as its problem.
async fn echo(headers: HeaderMap, request: Request) -> Response {
    let shown = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let line = format!(
        "{} {} auth={} key={} accept={}",
        request.method(),
        request.uri(),
        shown("authorization"),
        shown("idempotency-key"),
        shown("accept"),
    );
    let body = serde_json::to_vec(&api::Problem { status: 400, detail: line, ..api::Problem::default() });
    (StatusCode::BAD_REQUEST, body.unwrap()).into_response()
}

fn line<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> String {
    answer.unwrap_err().problem().unwrap().detail.clone()
}

#[tokio::test]
async fn calls_go_to_the_documented_routes() {
    let address = serve(Router::new().fallback(any(echo))).await;
    let endpoint = Endpoint::new(format!("http://{address}/base/")).with_api_key(Some("k1".into()));
    let (id, hash) = (uuid::Uuid::nil(), Hash([0xab; 32]));
    let json = "auth=Bearer k1 key=- accept=application/json";

    let trainer = Trainer::new(endpoint.clone()).unwrap();
    assert_eq!(
        line(trainer.create_run(&NewRun::default(), Some("once")).await),
        "POST /base/v1/runs auth=Bearer k1 key=once accept=application/json"
    );
    let query = MetricsQuery { from: Some(3), ..MetricsQuery::default() };
    assert_eq!(
        line(trainer.window_metrics(id, &query).await),
        format!("GET /base/v1/runs/{id}/metrics?resolution=window&format=json&from=3 {json}")
    );
    assert_eq!(
        line(trainer.metrics_csv(id, &query).await),
        format!(
            "GET /base/v1/runs/{id}/metrics?resolution=episode&format=csv&from=3 auth=Bearer k1 key=- accept=text/csv"
        )
    );

    let page = PageQuery { limit: Some(2), cursor: Some("a&b".into()) };
    assert_eq!(
        line(trainer.agents(id, &page).await),
        format!("GET /base/v1/runs/{id}/agents?limit=2&cursor=a%26b {json}")
    );

    assert_eq!(
        line(trainer.decide(id, &DecisionRequest::default(), Some("once")).await),
        format!("POST /base/v1/policies/{id}/decisions auth=Bearer k1 key=once accept=application/json")
    );
    assert_eq!(line(trainer.policy(id).await), format!("GET /base/v1/policies/{id} {json}"));
    let query = PolicyQuery { run: Some(id), ..PolicyQuery::default() };
    assert_eq!(line(trainer.policies(&query).await), format!("GET /base/v1/policies?run={id} {json}"));
    assert_eq!(line(trainer.decision(id).await), format!("GET /base/v1/decisions/{id} {json}"));
    assert_eq!(
        line(trainer.tell_outcome(id, &Outcome::default()).await),
        format!("POST /base/v1/decisions/{id}/outcome {json}")
    );

    let psi_field = PsiField::new(endpoint.clone()).unwrap();
    assert_eq!(
        line(psi_field.swarm("a/b c?").await),
        format!("GET /base/v1/swarms/a%2Fb%20c%3F {json}"),
        "an id stays one segment"
    );
    assert_eq!(line(psi_field.checkpoint("s").await), format!("POST /base/v1/swarms/s/checkpoints {json}"));

    let remembrancer = Remembrancer::new(endpoint.clone()).unwrap();
    assert_eq!(line(remembrancer.run_head(&hash).await), format!("GET /base/v1/log/runs/{hash} {json}"));
    let query = DecisionQuery { run: Some(hash), limit: Some(5), ..DecisionQuery::default() };
    assert_eq!(
        line(remembrancer.decisions(&query).await),
        format!("GET /base/v1/decisions?run={hash}&limit=5 {json}")
    );
    let query = RecordQuery { kind: Some(RecordKind::from_static("run.ended")), ..RecordQuery::default() };
    assert_eq!(
        line(remembrancer.records(&query).await),
        format!("GET /base/v1/records?kind=run.ended {json}")
    );

    let evaluator = Evaluator::new(endpoint).unwrap();
    assert_eq!(line(evaluator.evaluation(id).await), format!("GET /base/v1/evaluations/{id} {json}"));
}

#[tokio::test]
async fn an_id_that_would_change_the_route_is_refused_before_the_call() {
    let address = serve(Router::new().fallback(any(echo))).await;
    let psi_field = PsiField::new(Endpoint::new(format!("http://{address}"))).unwrap();
    for id in ["..", ".", ""] {
        assert!(matches!(psi_field.swarm(id).await, Err(ClientError::InvalidCall { .. })), "{id}");
    }
}

#[tokio::test]
async fn an_artifact_is_named_by_its_content_and_checked_against_its_name() {
    // SHA-256 of "abc": FIPS 180-2, appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let app = Router::new().route(
        "/v1/artifacts/{name}",
        put(|path: axum::extract::Path<String>, headers: HeaderMap| async move {
            let media_type = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            let sha256 = path.0.parse().unwrap();
            axum::Json(api::remembrancer::Artifact { sha256, size_bytes: 3, media_type })
        })
        .get(|path: axum::extract::Path<String>| async move {
            if path.0.starts_with("ba78") { "abc" } else { "forged" }
        }),
    );
    let remembrancer = remembrancer(app).await;
    let artifact = remembrancer.put_artifact("text/plain", "abc").await.unwrap();
    assert_eq!((artifact.sha256.to_string().as_str(), artifact.media_type.as_str()), (abc, "text/plain"));
    assert_eq!(remembrancer.artifact(&artifact.sha256).await.unwrap(), "abc");
    let error = remembrancer.artifact(&Hash([0; 32])).await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidAnswer { .. }) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_problem_keeps_its_code_and_only_some_are_worth_trying_again() {
    for (status, transient) in [
        (400, false),
        (404, false),
        (409, false),
        (422, false),
        (500, false),
        (408, true),
        (429, true),
        (503, true),
    ] {
        let app = Router::new()
            .route("/v1/log/key", get(move || async move { problem(status, "some_code", "Said the fake.") }));
        let error = remembrancer(app).await.log_key().await.unwrap_err();
        assert_eq!((error.status(), error.code()), (Some(status), Some("some_code")));
        assert_eq!(error.is_transient(), transient, "{status}");
        assert!(error.to_string().contains("Said the fake."), "{error}");
    }
}

#[tokio::test]
async fn a_receipt_of_another_record_is_none() {
    let receipt = |id: &str| {
        serde_json::json!({"id": id, "log_index": 1, "leaf_hash": Hash([1; 32]), "tree_size": 2,
        "root_hash": Hash([2; 32])})
    };
    let app = Router::new().route("/v1/records", post(move || async move { axum::Json(receipt("a")) }));
    let remembrancer = remembrancer(app).await;
    let record = |id: Option<&str>| api::remembrancer::NewRecord {
        id: id.map(str::to_owned),
        kind: api::remembrancer::RecordKind::from_static("note"),
        subject: "s".into(),
        body: serde_json::Map::new(),
    };
    assert_eq!(remembrancer.post_record(&record(Some("a"))).await.unwrap().id, "a");
    assert_eq!(remembrancer.post_record(&record(None)).await.unwrap().id, "a");
    let error = remembrancer.post_record(&record(Some("b"))).await.unwrap_err();
    assert!(error.to_string().contains("of the record a, not of b") && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn what_is_no_such_service_is_said_so() {
    let app = Router::new()
        .route("/v1/log/key", get(|| async { "hello" }))
        .route("/v1/log/checkpoint", get(|| async { (StatusCode::BAD_GATEWAY, "<html>") }));
    let remembrancer = remembrancer(app).await;
    let error = remembrancer.log_key().await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidAnswer { status: 200, .. }), "{error}");
    assert!(!error.is_transient());
    assert!(remembrancer.log_checkpoint().await.unwrap_err().is_transient(), "a gateway's 502 passes");
}

#[tokio::test]
async fn a_service_that_is_away_or_silent_is_named() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let endpoint = Endpoint::new(&silent).with_timeout(Duration::from_millis(100));
    let error = Remembrancer::new(endpoint.clone()).unwrap().log_key().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }) && error.is_transient(), "{error:?}");
    assert!(error.to_string().contains(&silent), "{error}");

    drop(listener);
    let error = Remembrancer::new(endpoint).unwrap().log_key().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }) && error.is_transient(), "{error:?}");
    assert!(error.to_string().contains(&silent), "{error}");
}

#[test]
fn a_url_or_key_that_cannot_be_used_is_an_error_at_once() {
    for url in ["localhost:8002", "", "ftp://localhost", "http://"] {
        assert!(matches!(Trainer::new(Endpoint::new(url)), Err(ClientError::InvalidCall { .. })), "{url}");
    }
    let endpoint = Endpoint::new("http://localhost").with_api_key(Some("geheim\n".into()));
    let error = Trainer::new(endpoint).unwrap_err().to_string();
    assert!(!error.contains("geheim"), "{error}");
}

#[tokio::test]
async fn a_call_is_repeated_until_the_service_is_back_and_every_pause_is_told() {
    let calls = Arc::new(AtomicU32::new(0));
    let app = Router::new()
        .route(
            "/v1/verify",
            post(|State(calls): State<Arc<AtomicU32>>| async move {
                match calls.fetch_add(1, Ordering::Relaxed) {
                    0 | 1 => problem(503, "starting", "It starts."),
                    _ => axum::Json(api::remembrancer::Verdict {
                        valid: true,
                        verdict: api::remembrancer::Finding::Valid,
                        reason: String::new(),
                        log: None,
                        verifier_key: None,
                        key_known: None,
                    })
                    .into_response(),
                }
            }),
        )
        .with_state(calls.clone());
    let remembrancer = remembrancer(app).await;
    let evidence = api::remembrancer::Evidence {
        record: serde_json::value::RawValue::from_string("{}".into()).unwrap(),
        log_index: 0,
        inclusion_path: vec![],
        checkpoint: String::new(),
        verifier_key: String::new(),
    };
    let (trust, mut pauses) = (api::remembrancer::TrustQuery::default(), Vec::new());
    let verdict = retry_while_transient(
        &CancellationToken::new(),
        || remembrancer.verify(&evidence, &trust),
        |wait| pauses.push(wait.pause.as_millis()),
    )
    .await
    .unwrap();
    assert!(verdict.valid);
    assert_eq!(pauses, [50, 100]);
}

#[tokio::test]
async fn what_fails_for_good_is_called_once() {
    let calls = Arc::new(AtomicU32::new(0));
    let app = Router::new()
        .route(
            "/v1/log/key",
            get(|State(calls): State<Arc<AtomicU32>>| async move {
                calls.fetch_add(1, Ordering::Relaxed);
                problem(409, "conflict", "Another is there.")
            }),
        )
        .with_state(calls.clone());
    let remembrancer = remembrancer(app).await;
    let answer =
        retry_while_transient(&CancellationToken::new(), || remembrancer.log_key(), |_| panic!("a pause"))
            .await;
    assert_eq!(answer.unwrap_err().code(), Some("conflict"));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn retry_after_makes_a_pause_longer_and_a_cancel_ends_it() {
    let app = Router::new().route(
        "/v1/log/key",
        get(|| async { ([(header::RETRY_AFTER, "60")], problem(429, "slow_down", "Too many.")) }),
    );
    let remembrancer = remembrancer(app).await;
    let cancel = CancellationToken::new();
    let mut pause = Duration::ZERO;
    let answer = retry_while_transient(
        &cancel,
        || remembrancer.log_key(),
        |wait| {
            pause = wait.pause;
            cancel.cancel();
        },
    )
    .await;
    assert!(matches!(answer, Err(ClientError::Cancelled)));
    assert_eq!(pause, Duration::from_secs(60));
}

/// A service that answers with the trace headers of each call as a problem: 503 the first time, then 400.
async fn shows_traces(State(calls): State<Arc<AtomicU32>>, headers: HeaderMap) -> Response {
    let shown = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let detail = ["traceparent", "tracestate", "x-request-id"].map(shown).join(" ");
    let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 400 };
    let problem = api::Problem { status, detail, ..api::Problem::default() };
    (StatusCode::from_u16(status).unwrap(), serde_json::to_vec(&problem).unwrap()).into_response()
}

async fn shower() -> Remembrancer {
    remembrancer(Router::new().fallback(any(shows_traces)).with_state(Arc::default())).await
}

#[tokio::test]
async fn a_call_made_while_serving_a_request_is_in_its_trace_and_has_its_id() {
    let remembrancer = shower().await;
    // The example of https://www.w3.org/TR/trace-context/#examples-of-http-traceparent-headers
    let incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let span = trace_context::Span::continued(incoming, ["congo=t61rcWkgMzE"]).unwrap();
    let expected = format!("{} congo=t61rcWkgMzE cli-7", span.traceparent());
    let context = trace_context::Context { span, request_id: Some("cli-7".into()) };
    let seen = trace_context::within(context, async { line(remembrancer.log_key().await) }).await;
    assert_eq!(seen, expected);
    assert!(seen.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !seen.contains("00f067aa0ba902b7"));
}

#[tokio::test]
async fn calls_beside_any_request_have_traces_of_their_own_and_tries_of_one_call_share_it() {
    let remembrancer = shower().await;
    let mut first = String::new();
    let last = retry_while_transient(
        &CancellationToken::new(),
        || remembrancer.log_key(),
        |wait| first = wait.error.problem().unwrap().detail.clone(),
    )
    .await;
    let last = line(last);
    assert_eq!(first, last, "both tries are in one trace");
    assert!(last.ends_with(" - -"), "{last}");

    let other = line(remembrancer.log_key().await);
    assert!(
        other.starts_with("00-") && other.len() == "00-".len() + 32 + 1 + 16 + "-01 - -".len(),
        "{other}"
    );
    assert_ne!(other[3..35], last[3..35]);
}

#[tokio::test]
async fn a_lease_is_renewed_until_its_service_says_that_it_is_lost_and_what_is_sent_under_it_says_so() {
    let renewals = Arc::new(AtomicU32::new(0));
    let lease = |token: u64| {
        let body = serde_json::json!({"name": "run:1", "holder": "a", "token": token,
            "expires_at": "2026-03-01T00:00:00Z", "held": true});
        axum::Json(body).into_response()
    };
    let app = Router::new()
        .route("/v1/leases/run:1/claim", post(move || async move { lease(7) }))
        .route(
            "/v1/leases/run:1/renew",
            post(move |State(renewals): State<Arc<AtomicU32>>| async move {
                match renewals.fetch_add(1, Ordering::Relaxed) {
                    0 => lease(7),
                    1 => problem(503, "database_unavailable", "The database does not answer."),
                    2 => lease(7),
                    _ => problem(409, "lease_lost", "Somebody else has the lease."),
                }
            }),
        )
        .fallback(any(echo))
        .with_state(renewals.clone());
    let remembrancer = remembrancer(app).await;
    let held = HeldLease::claim(&remembrancer, "run:1", "a", Duration::from_millis(150)).await.unwrap();
    assert_eq!((held.fence().lease.as_str(), held.fence().token), ("run:1", 7));
    held.lost().cancelled().await;
    assert_eq!(renewals.load(Ordering::Relaxed), 4, "an outage is no loss");

    let record = api::remembrancer::NewRecord {
        id: None,
        kind: RecordKind::from_static("note"),
        subject: "s".into(),
        body: serde_json::Map::new(),
    };
    let answer = held.remembrancer().post_record(&record).await.unwrap_err().to_string();
    assert!(answer.contains("POST /v1/records?lease=run%3A1&token=7 "), "{answer}");
}
