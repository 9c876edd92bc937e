//! `docs/metrics.md` tells all that the services expose, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use test_support::database;

use crate::support::{Stack, file, rows};

/// A metric: its type, and the labels that its samples carry.
type Metric = (String, BTreeSet<String>);

const COLUMNS: [&str; 6] = ["service", "name", "type", "unit", "labels", "meaning"];

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_metrics_is_what_the_services_expose() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    let run = stack.ended(&stack.start_run().await).await;
    evaluate(&stack, &run["policy_sha256"]).await;
    ask(&stack, run["id"].as_str().unwrap()).await;
    let field = stack.psi_field.url();
    let step = json!({"x": [1.0, 2.0], "apply_guardian": true});
    assert_eq!(stack.post(&format!("{field}/step"), &step).await.0, 200);
    // so that an intervention is counted under its labels
    let albedo = json!({"kind": "albedo", "targets": [], "reason": "a test"});
    assert_eq!(stack.post(&format!("{field}/v1/swarms/default/interventions"), &albedo).await.0, 202);
    assert_eq!(stack.post(&format!("{field}/step"), &step).await.0, 200);

    for (service, url) in stack.services() {
        let text = stack.http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
        let (exposed, documented) = (exposed(&text), documented(service));
        for (name, metric) in &exposed {
            assert_eq!(
                documented.get(name),
                Some(metric),
                "{service} exposes {name}: add it to docs/metrics.md"
            );
        }
        for name in documented.keys() {
            assert!(
                exposed.contains_key(name),
                "{service} does not expose {name}, which docs/metrics.md promises"
            );
        }
    }
}

#[test]
fn every_metric_is_described_and_named_as_prometheus_wants_it() {
    for row in rows(&file("docs/metrics.md"), &COLUMNS) {
        let [_, name, kind, unit, _, meaning] = row.as_slice() else { panic!("{row:?}") };
        assert!(!unit.is_empty() || name.ends_with("_info"), "{name}");
        assert!(meaning.ends_with('.'), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
}

/// Asks a policy for a decision, and tells what became of it.
async fn ask(stack: &Stack, policy: &str) {
    let request =
        json!({"requests": [{"tenant": "tenant-dao", "workload": "llm_inference", "gpu_hours": 1}]});
    let url = format!("{}/v1/policies/{policy}/decisions", stack.trainer);
    let (status, served) = stack.post(&url, &request).await;
    assert_eq!(status, 200, "{served}");
    let decision = served["decisions"][0]["id"].as_str().unwrap();
    let outcome = json!({"succeeded": true, "latency_ms": 300});
    let url = format!("{}/v1/decisions/{decision}/outcome", stack.trainer);
    assert_eq!(stack.post(&url, &outcome).await.0, 201);
}

async fn evaluate(stack: &Stack, policy: &serde_json::Value) {
    let request =
        json!({"policies": [policy], "environment": {"preset": "contended"}, "seeds": 2, "steps": 5});
    let (status, evaluation) = stack.post(&format!("{}/v1/evaluations", stack.evaluator), &request).await;
    assert_eq!(status, 202, "{evaluation}");
    let url = format!("{}/v1/evaluations/{}", stack.evaluator, evaluation["id"].as_str().unwrap());
    stack.until(&url, |evaluation| evaluation["status"] == "completed").await;
}

/// What the document says of a service.
fn documented(service: &str) -> BTreeMap<String, Metric> {
    let rows = rows(&file("docs/metrics.md"), &COLUMNS);
    let of_service = rows.into_iter().filter(|row| row[0] == service || row[0] == "every");
    of_service
        .map(|row| {
            let labels = row[4].split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
            (row[1].clone(), (row[2].clone(), labels))
        })
        .collect()
}

/// What a scrape shows, in Prometheus' text format.
fn exposed(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            current = name.to_owned();
            metrics.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let names = labels.split("\",").map(|label| label.split_once('=').unwrap().0.to_owned());
            let of_metric = &mut metrics.get_mut(&current).unwrap().1;
            of_metric.extend(names.filter(|label| label != "le")); // a bucket's bound belongs to the format
        }
    }
    metrics
}
