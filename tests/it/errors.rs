//! `docs/errors.md` executed: every error that a caller can meet, what provokes it, and what it says.

use std::{collections::BTreeSet, path::Path, time::Duration};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use test_support::{ProxyMode, database, dedicated_cluster};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Settings, Stack, file, rows, run};

const REQUESTS: [&str; 6] = ["service", "request", "status", "code", "pointer", "what to do"];
const CIRCUMSTANCES: [&str; 6] = ["service", "circumstances", "status", "code", "what to do", "test"];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_document_is_answered_as_it_says() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    let mut words = Words::of(&stack).await;
    let rows = rows(&file("docs/errors.md"), &REQUESTS);
    assert!(rows.len() >= 40, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        for (service, url) in stack.services() {
            if row[0] == service || row[0] == "every" {
                let answer = send(&stack, &url, &words.fill(&row[1])).await;
                if let Err(why) = check(row, answer, &mut words).await {
                    wrong.push(format!("{service}: {}: {why}", row[1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_code_of_the_services_is_in_the_document_and_no_other() {
    let document = file("docs/errors.md");
    let mut documented: BTreeSet<String> =
        rows(&document, &REQUESTS).into_iter().map(|row| row[3].clone()).collect();
    for row in rows(&document, &CIRCUMSTANCES) {
        let [path, name] = row[5].split("` `").collect::<Vec<_>>()[..] else { panic!("no test: {row:?}") };
        assert!(file(path).contains(&format!("fn {name}(")), "{path} has no test {name}");
        documented.insert(row[3].clone());
    }
    documented.remove("-");
    let mut known = BTreeSet::new();
    for folder in ["trainer", "psi-field", "remembrancer", "evaluator"] {
        codes_in(&Path::new("../services").join(folder).join("src"), &mut known);
    }
    codes_in(Path::new("../shared/service-kit/src"), &mut known);
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "add a row to docs/errors.md for {missing:?}");
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "docs/errors.md has {unknown:?}, which no service has");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_error_is_answered_however_it_is_asked() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    for (service, url) in stack.services() {
        let head = stack.http.head(format!("{url}/healthz")).send().await.unwrap();
        assert_eq!(head.status(), 200, "{service}");
        assert!(head.headers().contains_key("x-request-id"), "{service}");
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{service}: HEAD has no body");
        // RFC 9110, section 12.4.1: what cannot be had as it is wanted may be sent as it is
        let accept = stack.http.get(format!("{url}/healthz")).header("accept", "image/png;q=oops, ,/");
        assert_eq!(accept.send().await.unwrap().status(), 200, "{service}");
        let encoded = stack.get(&format!("{url}/%68ealthz")).await;
        assert!(encoded["status"] == "ok" || encoded["code"] == "not_found", "{service}: {encoded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_told_so() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    for (service, path) in [
        ("trainer", "/v1/runs"),
        ("psi-field", "/step"),
        ("remembrancer", "/v1/records"),
        ("evaluator", "/v1/evaluations"),
    ] {
        let url = stack.services().into_iter().find(|(name, _)| *name == service).unwrap().1;
        let address = url.strip_prefix("http://").unwrap();
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        // a chunk whose length is no number
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
             connection: close\r\n\r\n1\r\n{{\r\nzz\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), connection.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("unreadable_body"),
            "{service}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runs_and_evaluations_than_may_wait_are_refused_with_a_time_to_come_back() {
    let database = database().await;
    let stack = Stack::start_with(database.url(), |settings| {
        settings.trainer.max_concurrent_runs = 1;
        settings.trainer.max_unfinished_runs = 20;
    })
    .await;
    let long = json!({"agents": 1, "episodes": 1_000_000, "recording": "none", "psi_field": "off"});
    let waiting = fill(&stack, &format!("{}/v1/runs", stack.trainer), &long, "too_many_runs").await;
    assert_eq!(waiting, 20);
    let long = json!({"policies": [], "seeds": 1000, "steps": 1_000_000});
    let waiting =
        fill(&stack, &format!("{}/v1/evaluations", stack.evaluator), &long, "too_many_evaluations").await;
    assert_eq!(waiting, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_interventions_than_may_wait_are_refused() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    let swarm = format!("{}/v1/swarms/s", stack.psi_field.url());
    let agent = json!({"agent": 0, "epsilon": 0.1, "q_table_size": 1, "decisions": 1});
    let window = json!({"number": 0, "agents": [agent], "swarm": {}});
    assert_eq!(stack.post(&format!("{swarm}/windows"), &window).await.0, 200);
    for number in 0..=100 {
        let request = stack.http.post(format!("{swarm}/interventions"));
        let request = request.header("idempotency-key", format!("k{number}"));
        let answer = request.json(&json!({"kind": "albedo", "reason": "r"})).send().await.unwrap();
        let expected = if number < 100 { 202 } else { 409 };
        assert_eq!(answer.status(), expected, "{number}");
        if number == 100 {
            assert_eq!(answer.json::<Value>().await.unwrap()["code"], "too_many_interventions");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_whose_checkpoint_is_gone_are_told_with_what_brings_them_back() {
    let database = database().await;
    let folder = tempfile::tempdir().unwrap(); // where the log's key is
    let start = async || {
        let here = |settings: &mut Settings| settings.remembrancer.data_dir = folder.path().to_owned();
        Stack::start_with(database.url(), here).await
    };
    let run = {
        let stack = start().await;
        stack.ended(&stack.start_run().await).await["id"].as_str().unwrap().to_owned()
    };
    database.execute("DELETE FROM artifacts").await;
    let stack = start().await; // whose trainer has no figures in memory
    let answer = stack.http.get(format!("{}/v1/runs/{run}/agents", stack.trainer)).send().await.unwrap();
    let problem = problem(answer, 404, "checkpoint_not_found").await;
    assert!(problem["detail"].as_str().unwrap().contains("/v1/artifacts"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_remembrancer_is_away_callers_are_told_whom_it_is_waited_for_and_then_all_goes_on() {
    let database = database().await;
    let stack = Stack::start_with(database.url(), |settings| {
        settings.psi_field.http.request_timeout_seconds = 2; // of which psi-field waits for the ledger most
    })
    .await;
    let under_way = stack.start_run().await;
    stack.remembrancer.set(ProxyMode::Refuse);
    for (url, body) in [
        (format!("{}/v1/runs", stack.trainer), run()),
        (
            format!("{}/v1/swarms/s/windows", stack.psi_field.url()),
            json!({"number": 5, "swarm": {},
            "agents": [{"agent": 0, "epsilon": 0.1, "q_table_size": 1, "decisions": 1}]}),
        ),
        (format!("{}/v1/evaluations", stack.evaluator), json!({"policies": []})),
    ] {
        let answer = stack.http.post(&url).json(&body).send().await.unwrap();
        assert!(answer.headers().contains_key("retry-after"), "{url}");
        let problem = problem(answer, 503, "remembrancer_unavailable").await;
        assert!(problem["detail"].as_str().unwrap().contains("remembrancer"), "{problem}");
    }
    let waiting = stack.until(&under_way, |run| run["progress"]["waiting_for"].is_string()).await;
    assert!(waiting["progress"]["waiting_for"].as_str().unwrap().contains("remembrancer"), "{waiting}");
    stack.remembrancer.set(ProxyMode::Forward);
    let ended = stack.ended(&under_way).await;
    assert!(ended["progress"]["waiting_for"].is_null(), "{ended}");
    stack.ended(&stack.start_run().await).await;
    stack.assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_psi_field_and_says_so() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    stack.psi_field.set(ProxyMode::Refuse);
    let under_way = stack.start_run().await;
    let waiting = stack.until(&under_way, |run| run["progress"]["waiting_for"].is_string()).await;
    assert!(waiting["progress"]["waiting_for"].as_str().unwrap().contains("psi-field"), "{waiting}");
    stack.psi_field.set(ProxyMode::Forward);
    assert_eq!(stack.ended(&under_way).await["reproducible"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_and_comes_back_loses_nothing() {
    let cluster = dedicated_cluster().await;
    let stack = Stack::start_with(cluster.url(), |_| {}).await;
    let expected = stack.ended(&stack.start_run().await).await;
    let under_way = stack.start_run().await;
    cluster.stop().await;
    let ledger = stack.remembrancer.url();
    let record = json!({"id": "r", "kind": "note", "subject": "s", "body": {}});
    let answer = stack.http.post(format!("{ledger}/v1/records")).json(&record).send().await.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    problem(answer, 503, "database_unavailable").await;
    let ready = stack.http.get(format!("{ledger}/readyz")).send().await.unwrap();
    problem(ready, 503, "not_ready").await;
    cluster.restart().await;
    stack.until(&format!("{ledger}/readyz"), |answer| answer["ready"] == true).await;
    assert_eq!(
        stack.post(&format!("{ledger}/v1/records"), &record).await.0,
        201,
        "it was not recorded before"
    );
    // the same configuration: the same decisions, each once
    assert_eq!(stack.ended(&under_way).await["run_root"], expected["run_root"]);
    let head = stack.get(&format!("{ledger}/v1/log/runs/{}", expected["digest"].as_str().unwrap())).await;
    assert_eq!(head["next_sequence"], expected["progress"]["decisions"]);
    stack.assert_intact().await;
}

/// Starts as many as are taken, and says how many that were.
async fn fill(stack: &Stack, url: &str, body: &Value, code: &str) -> usize {
    for taken in 0..2000 {
        let answer = stack.http.post(url).json(body).send().await.unwrap();
        if answer.status() != 202 {
            assert!(answer.headers().contains_key("retry-after"), "{code}");
            problem(answer, 429, code).await;
            return taken;
        }
    }
    panic!("{url} takes everything");
}

/// What the document's words in braces stand for.
struct Words(Vec<(&'static str, String)>);

impl Words {
    async fn of(stack: &Stack) -> Self {
        let ended = stack.ended(&stack.start_run().await).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let config = ended["config"].to_string();
        // the built-in catalog with one provider under another name
        let catalog = file("shared/routing-env/data/providers.json").replace("\"flux\"", "\"other\"");
        let decision = json!({"run": "ab".repeat(32), "episode": 0, "step": 0, "agent": 0, "tenant": "t",
            "workload": "w", "gpu_type": "H100", "gpu_hours": 1.0, "action": "hold", "reason": "held", "reward": 0.0,
            "explored": false, "propensity": 1.0, "policy_version": 0, "deferred": false, "wait_ms": 0.0});
        let window =
            json!({"agents": [{"agent": 1, "epsilon": 0.1, "q_table_size": 1, "decisions": 1}], "swarm": {}});
        let fields = |object: &str| object[1..object.len() - 1].to_owned();
        Self(vec![
            ("{run}", text(&ended["id"])),
            ("{digest}", text(&ended["digest"])),
            ("{policy}", text(&ended["policy_sha256"])),
            ("{checkpoint}", text(&ended["checkpoint"]["sha256"])),
            ("{config}", fields(&config)),
            ("{catalog}", catalog),
            ("{decision}", fields(&decision.to_string())),
            ("{window}", fields(&window.to_string())),
            ("{last id}", String::new()),
        ])
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
    }

    /// What was created last.
    fn created(&mut self, answer: &Value) {
        if let (Some(id), Some(last)) = (answer["id"].as_str(), self.0.last_mut()) {
            last.1 = id.to_owned();
        }
    }
}

/// Sends `METHOD path [header: value] body`.
async fn send(stack: &Stack, url: &str, request: &str) -> Response {
    let (method, rest) = request.split_once(' ').unwrap();
    let (path, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut request =
        stack.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{url}{path}"));
    let mut content_type = "application/json";
    while let Some((name, value, after)) = header(rest) {
        match name {
            "content-type" => content_type = value,
            name => request = request.header(name, value),
        }
        rest = after;
    }
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    let body = match rest.strip_prefix('<').and_then(|rest| rest.strip_suffix(" MiB>")) {
        Some(mebibytes) => " ".repeat(mebibytes.parse::<usize>().unwrap() << 20),
        None => rest.to_owned(),
    };
    request.body(body).send().await.unwrap()
}

/// The header `[name: value]` that a text begins with, and what follows.
fn header(text: &str) -> Option<(&str, &str, &str)> {
    let (inside, after) = text.strip_prefix('[')?.split_once(']')?;
    let (name, value) = inside.split_once(':')?;
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    is_name.then(|| (name, value.trim(), after.trim_start()))
}

/// Compares an answer with its row.
async fn check(row: &[String], answer: Response, words: &mut Words) -> Result<(), String> {
    let [_, _, status, code, pointer, what_to_do] = row else { return Err("a row has six cells".into()) };
    let (actual, headers) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if actual.as_str() != status {
        return Err(format!("expected {status}, got {actual}: {text}"));
    }
    if code == "-" && status == "204" {
        return Ok(());
    }
    let body: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    if code == "-" {
        words.created(&body);
        return Ok(());
    }
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let pointers: Vec<_> =
        body["errors"].as_array().into_iter().flatten().map(|e| e["pointer"].clone()).collect();
    let checks = [
        (header("content-type") == "application/problem+json", "it is no problem"),
        (body["code"] == code.as_str(), "another code"),
        (pointer.is_empty() || pointers.contains(&Value::from(pointer.as_str())), "another pointer"),
        (body["request_id"] == header("x-request-id") && !header("x-request-id").is_empty(), "no request id"),
        (body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "no detail"),
        (status != "405" || !header("allow").is_empty(), "no Allow"),
        (!matches!(status.as_str(), "429" | "503") || !header("retry-after").is_empty(), "no Retry-After"),
        (what_to_do.len() > 3, "the row does not say what to do"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(format!("{why}: {text}")),
        None => Ok(()),
    }
}

/// The problem of an answer that must be this one.
async fn problem(answer: Response, status: u16, code: &str) -> Value {
    let actual = answer.status();
    let problem: Value = answer.json().await.unwrap();
    assert_eq!((actual.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
    problem
}

/// The codes in the sources under a folder: what stands where an error gets its code.
fn codes_in(folder: &Path, codes: &mut BTreeSet<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_in(&path, codes);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            let parts: Vec<&str> = source.split('"').collect();
            for place in 1..parts.len() - 1 {
                if is_code(parts[place]) && names_a_code(parts[place - 1], parts[place], parts[place + 1]) {
                    codes.insert(parts[place].to_owned());
                }
            }
        }
    }
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Whether a literal stands where an error gets its code.
fn names_a_code(before: &str, literal: &str, after: &str) -> bool {
    let before = before.trim_end();
    let with_status = before.strip_suffix(',').is_some_and(|rest| {
        let status = rest.rsplit_once("StatusCode::").map(|(_, name)| name);
        status.is_some_and(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    });
    let arm = before.ends_with("=>") && literal.ends_with("_not_found");
    let words = literal.contains('_'); // `invalid("path", …)` says where, not what
    let call = before.ends_with("unavailable(")
        || (words && ["conflict(", "invalid("].iter().any(|call| before.ends_with(call)));
    // `(code, detail)`: the detail is a text, a `format!`, or what a library said
    let after = after.trim_start_matches(',').trim_start();
    let pair = words
        && before.strip_suffix('(').is_some_and(|rest| rest.ends_with(char::is_whitespace))
        && (after.is_empty()
            || ["format!(", "text.", "INTERNAL_DETAIL"].iter().any(|detail| after.starts_with(detail)));
    with_status || arm || call || pair
}
