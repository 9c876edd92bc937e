//! The fake remembrancer that other services are tested with answers as the real one does.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::{FakeRemembrancer, database};

use crate::support::Stack;

const RUN: &str = "07";

fn decision(sequence: u64, value: f64) -> Value {
    json!({"run": RUN.repeat(32), "sequence": sequence, "episode": 0, "step": 0, "agent": 0, "tenant": "t",
        "workload": "w", "gpu_type": "g", "gpu_hours": 1.5, "action": "drop", "reason": "no_viable_provider",
        "reward": -0.1, "explored": false, "propensity": 1.0, "value": value, "policy_version": 0,
        "deferred": false, "wait_ms": 0.0})
}

fn batch(sequences: std::ops::Range<u64>) -> Value {
    json!({"decisions": sequences.map(|sequence| decision(sequence, 0.5)).collect::<Vec<_>>()})
}

fn record(id: &str, subject: &str, part: u64) -> Value {
    json!({"id": id, "kind": "note", "subject": subject, "body": {"z": part, "a": {"c": 1.0, "b": "x"}}})
}

/// Calls in their order: each may depend on those before it.
fn calls() -> Vec<(Method, String, Value)> {
    let run = RUN.repeat(32);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let zeros = "00".repeat(32);
    let get = |path: String| (Method::GET, path, Value::Null);
    let post = |path: &str, body| (Method::POST, path.to_owned(), body);
    vec![
        get("/readyz".into()),
        get(format!("/v1/log/runs/{run}")),
        post("/v1/decisions", batch(3..5)),
        post("/v1/decisions", batch(0..4)),
        post("/v1/decisions", batch(0..4)),
        post("/v1/decisions", batch(2..7)),
        post("/v1/decisions", batch(9..10)),
        post("/v1/decisions", json!({"decisions": [decision(6, 0.5), decision(7, 0.5), decision(9, 0.5)]})),
        post("/v1/decisions", json!({"decisions": [decision(6, 0.75), decision(7, 0.5)]})),
        post("/v1/decisions", json!({"decisions": [decision(7, 0.5)], "frontier": [zeros]})),
        post("/v1/decisions", json!({"decisions": []})),
        post("/v1/decisions", batch(0..7)),
        get(format!("/v1/log/runs/{run}")),
        get("/v1/leases/l".into()),
        post("/v1/leases/l/renew", json!({"token": 1, "ttl_ms": 60_000})),
        post("/v1/leases/l/claim", json!({"holder": "a", "ttl_ms": 60_000})),
        post("/v1/leases/l/claim", json!({"holder": "b", "ttl_ms": 60_000})),
        post("/v1/leases/l/claim", json!({"holder": "a", "ttl_ms": 60_000})),
        post("/v1/leases/l/renew", json!({"token": 1, "ttl_ms": 60_000})),
        post("/v1/leases/l/renew", json!({"token": 2, "ttl_ms": 60_000})),
        post("/v1/decisions?lease=l&token=3", batch(7..8)),
        post("/v1/decisions?lease=l&token=2", batch(7..8)),
        post("/v1/records", record("r1", "s", 1)),
        post("/v1/records", record("r1", "s", 1)),
        post("/v1/records", record("r1", "s", 2)),
        post("/v1/records", record("r1", "t", 1)),
        post("/v1/records", record("r2", "t", 1)),
        post("/v1/records", record("r3", "s", 3)),
        post("/v1/records", json!({"id": "r4", "kind": "run", "subject": "s", "body": {}})),
        post("/v1/records", json!({"id": "r4", "kind": "run.created", "subject": "s", "body": {}})),
        post("/v1/records", json!({"id": "r4", "kind": "note", "subject": "s", "body": {}})),
        post("/v1/records", json!({"id": "r5", "kind": "run.ended", "subject": "s", "body": {}})),
        get("/v1/records/r1".into()),
        get("/v1/records/nothing".into()),
        get("/v1/records?limit=2".into()),
        get("/v1/records?subject=s&newest_first=true".into()),
        get("/v1/records?kind=note&limit=1&newest_first=true".into()),
        get("/v1/records?kind=run".into()),
        get("/v1/records?cursor=zz".into()),
        get("/v1/records?after_log_index=8".into()),
        post("/v1/records?lease=l&token=1", record("r4", "s", 4)),
        post("/v1/records?lease=l", record("r4", "s", 4)),
        post("/v1/leases/l/release", json!({"token": 1})),
        post("/v1/leases/l/release", json!({"token": 2})),
        post("/v1/leases/l/release", json!({"token": 2})),
        post("/v1/decisions?lease=l&token=2", batch(8..9)),
        get("/v1/leases".into()),
        get("/v1/leases?held=true".into()),
        get("/v1/leases?prefix=m".into()),
        (Method::PUT, format!("/v1/artifacts/{abc}"), json!("abc")),
        (Method::PUT, format!("/v1/artifacts/{abc}"), json!("abc")),
        (Method::PUT, format!("/v1/artifacts/{zeros}"), json!("abc")),
        get(format!("/v1/artifacts/{abc}")),
        get(format!("/v1/artifacts/{zeros}")),
        get(format!("/v1/log/evidence?run={run}&sequence=99")),
    ]
}

/// What callers rely on: the status and, of a refusal, its code; of all else the body. When something was recorded and
/// where a page goes on is each ledger's own.
async fn answer(http: &reqwest::Client, base: &str, call: &(Method, String, Value)) -> (u16, Value) {
    let (method, path, body) = call;
    let request = http.request(method.clone(), format!("{base}{path}"));
    let request = match (method, body) {
        (&Method::GET, _) => request,
        (_, Value::String(content)) => request.header("content-type", "text/plain").body(content.clone()),
        (_, body) => request.json(body),
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if status >= 400 {
        return (status, body["code"].take());
    }
    strip(&mut body);
    (status, body)
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("next_cursor") {
                fields["next_cursor"] = json!(!fields["next_cursor"].is_null());
            }
            // a record's leaf has its time in it, and all roots after it
            let own = ["recorded_at", "expires_at", "leaf_hash", "checks"];
            fields.retain(|name, _| !own.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_remembrancer_answers_as_the_real_one() {
    let database = database().await;
    let real = Stack::start(&database).await;
    let fake = FakeRemembrancer::start().await;
    fake.set_page_size(100);
    let real_url = real.remembrancer.url();
    let mut differences = Vec::new();
    for call in calls() {
        let (mut real, mut fake) =
            (answer(&real.http, &real_url, &call).await, answer(&real.http, fake.url(), &call).await);
        if call.1 == "/v1/records" {
            for (_, receipt) in [&mut real, &mut fake] {
                receipt.as_object_mut().map(|receipt| receipt.remove("root_hash"));
            }
        }
        if fake != real {
            differences.push(format!("{} {} {}\n real {real:?}\n fake {fake:?}", call.0, call.1, call.2));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
