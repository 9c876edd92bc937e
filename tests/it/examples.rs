//! The examples of the OpenAPI documents work when they are pasted, and what the services answer is what the documents
//! say.

use serde_json::{Value, json};
use test_support::database;

use crate::{
    contract::{faults_of_answer, operations},
    support::{Stack, file},
};

/// Opaque to callers, sent as it was given; what this log itself must have signed; and what is said of an anomaly, which a run
/// as short as this has none of (`services/psi-field/tests/it/anomalies.rs` judges one).
const WITHOUT_EXAMPLE: [&str; 3] =
    ["/v1/swarms/{id}/snapshot", "/v1/log/cosignatures", "/v1/swarms/{id}/anomalies/{window}/verdict"];

/// The key of the log in the examples of what a witness is sent.
const WITNESSED: &str = "log.example.org+4c9bf558+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";

/// Which requests a deployment defers depends on all that it was asked before: `services/trainer/tests/it/deployments.rs` reads
/// what became of them.
const OF_DEFERRED: &str = "/v1/deployments/{name}/decisions/{id}";

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_body_is_accepted_and_every_answer_is_as_documented() {
    let database = database().await;
    let stack = Stack::start_with(database.url(), |settings| {
        settings.remembrancer.witness_logs = vec![WITNESSED.to_owned()];
    })
    .await;
    // with the checkpoint that the example of a rewind names
    let body =
        json!({"agents": 2, "episodes": 12, "steps_per_episode": 5, "environment": {"preset": "contended"}});
    let (_, run) = stack.post(&format!("{}/v1/runs", stack.trainer), &body).await;
    let run = run["id"].as_str().unwrap().to_owned();
    stack.ended(&format!("{}/v1/runs/{run}", stack.trainer)).await;
    let asked =
        json!({"requests": [{"tenant": "tenant-gaming", "workload": "general_compute", "gpu_hours": 1.5}]});
    let (_, served) = stack.post(&format!("{}/v1/policies/{run}/decisions", stack.trainer), &asked).await;
    let decision = served["decisions"][0]["id"].as_str().unwrap().to_owned();
    let played = json!({"environment": {"preset": "contended"}, "n": 2});
    let (_, environment) = stack.post(&format!("{}/v1/environments", stack.trainer), &played).await;
    let environment = environment["id"].as_str().unwrap().to_owned();
    let (mut tried, mut evaluation) = (0, None);
    for (service, url) in stack.services() {
        let document: Value = serde_json::from_str(&file(&format!("openapi/{service}.json"))).unwrap();
        for (path, method, operation) in in_reading_order(&document) {
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten()
            {
                if WITHOUT_EXAMPLE.contains(&path) {
                    continue;
                }
                let example = example(&document, content)
                    .unwrap_or_else(|| panic!("{service}: {method} {path} has no example"));
                let body = match example {
                    Value::String(text) if media_type != "application/json" => text,
                    example => example.to_string(),
                };
                let id = match path {
                    _ if path.starts_with("/v1/decisions") => &decision,
                    _ if path.starts_with("/v1/environments") => &environment,
                    _ => &run,
                };
                let place = filled(path, operation, id);
                let request =
                    stack.http.request(method.to_uppercase().parse().unwrap(), format!("{url}{place}"));
                let answer = request.header("content-type", media_type).body(body).send().await.unwrap();
                let (status, faults, body) = checked(&document, operation, answer).await;
                let text = String::from_utf8_lossy(&body);
                assert!(status.is_success(), "{service}: {method} {path}: {status}: {text}");
                assert!(faults.is_empty(), "{service}: {method} {path}: {faults:?}: {text}");
                if path == "/v1/evaluations" {
                    evaluation =
                        serde_json::from_slice::<Value>(&body).unwrap()["id"].as_str().map(str::to_owned);
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 12, "only {tried} bodies have examples");

    let evaluation = evaluation.unwrap();
    let place = format!("{}/v1/evaluations/{evaluation}", stack.evaluator);
    stack.until(&place, |evaluation| evaluation["status"] == "completed").await;
    let ended = stack.get(&format!("{}/v1/runs/{run}", stack.trainer)).await;
    let federated =
        json!({"algorithm": "cem", "agents": 1, "episodes": 1, "steps_per_episode": 5, "federate": {}});
    let (_, federated) = stack.post(&format!("{}/v1/runs", stack.trainer), &federated).await;
    stack.ended(&format!("{}/v1/runs/{}", stack.trainer, federated["id"].as_str().unwrap())).await;
    let federation = stack.get(&format!("{}/v1/federation", stack.trainer)).await;
    let stream = federation["streams"][0]["id"].as_str().unwrap().to_owned();
    let contribution = federation["streams"][0]["contributions"][0]["sha256"].as_str().unwrap().to_owned();
    let values = [
        ("a", run.clone()),
        ("b", run.clone()),
        ("digest", ended["digest"].as_str().unwrap().to_owned()),
        ("log_index", "0".to_owned()),
        ("from", "1".to_owned()),
        ("tree_size", "1".to_owned()),
    ];
    let mut read = 0;
    for (service, url) in stack.services() {
        let document: Value = serde_json::from_str(&file(&format!("openapi/{service}.json"))).unwrap();
        for (path, method, operation) in operations(&document) {
            if method != "get" || path == OF_DEFERRED {
                continue;
            }
            let id = match path {
                _ if path.starts_with("/v1/decisions") => &decision,
                _ if path.starts_with("/v1/environments") => &environment,
                _ if path.starts_with("/v1/evaluations") => &evaluation,
                _ if path.starts_with("/v1/federation/streams") => &stream,
                _ if path.starts_with("/v1/federation/contributions") => &contribution,
                _ => &run,
            };
            let mut place = filled(path, operation, id);
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            // What is needed, and which leaf a proof is of, which may be said in several ways.
            let needed = parameters.filter(|parameter| {
                parameter["in"] == "query"
                    && (parameter["required"] == true || parameter["name"] == "log_index")
            });
            for (number, parameter) in needed.enumerate() {
                let name = parameter["name"].as_str().unwrap();
                let value = values.iter().find(|(known, _)| *known == name);
                let (_, value) = value.unwrap_or_else(|| panic!("{method} {path} needs `{name}`"));
                place += &format!("{}{name}={value}", if number == 0 { "?" } else { "&" });
            }
            let answer = stack.http.get(format!("{url}{place}")).send().await.unwrap();
            let (status, faults, body) = checked(&document, operation, answer).await;
            let text = String::from_utf8_lossy(&body);
            assert!(status.is_success(), "{service}: {method} {place}: {status}: {text}");
            assert!(faults.is_empty(), "{service}: {method} {place}: {faults:?}: {text}");
            read += 1;
        }
    }
    assert!(read >= 50, "only {read} operations were read");
}

/// Status, faults and body.
async fn checked(
    document: &Value,
    operation: &Value,
    answer: reqwest::Response,
) -> (reqwest::StatusCode, Vec<String>, Vec<u8>) {
    let status = answer.status();
    let content_type =
        answer.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = answer.bytes().await.unwrap().to_vec();
    (status, faults_of_answer(document, operation, status.as_u16(), content_type.as_deref(), &body), body)
}

/// Path, method and operation, as `/docs` shows them: one tag after the other.
fn in_reading_order(document: &Value) -> Vec<(&str, &str, &Value)> {
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let paths = document["paths"].as_object().unwrap().iter();
    let mut operations: Vec<_> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect();
    // what gives a thing back comes after all that need it
    operations.sort_by_key(|(path, _, operation)| {
        (tags.iter().position(|tag| **tag == operation["tags"][0]), path.ends_with("/release"))
    });
    operations
}

/// That of the body, or of its schema.
fn example(document: &Value, content: &Value) -> Option<Value> {
    let name = content["schema"]["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    let schema = name.and_then(|pointer| document.pointer(pointer)).unwrap_or(&content["schema"]);
    [content, schema]
        .into_iter()
        .find_map(|place| place.get("example").or_else(|| first_of(place.get("examples")?)).cloned())
}

/// Of a media type's examples, which have names, or of a schema's, which have none.
fn first_of(examples: &Value) -> Option<&Value> {
    examples.get(0).or_else(|| examples.as_object()?.values().next()?.get("value"))
}

/// The path with the examples of its parameters, or with this id where there is none.
fn filled(path: &str, operation: &Value, id: &str) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(|parameter| parameter["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let example = parameter.get("example").or_else(|| parameter["schema"].get("example"));
        let known = example.and_then(Value::as_str).filter(|_| !path.starts_with("/v1/decisions"));
        path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), known.unwrap_or(id))
    })
}
