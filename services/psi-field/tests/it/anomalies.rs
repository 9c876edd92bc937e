//! What psi-field found in a swarm stays found.

use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{Service, play, with};

/// All anomalies of a swarm, as `(window, anomaly)`, in pages of one.
async fn anomalies(service: &Service, swarm: &str) -> Vec<(Value, Value)> {
    let (mut found, mut from) = (Vec::new(), String::new());
    loop {
        let (status, page) = service.get(&format!("/v1/swarms/{swarm}/anomalies?limit=1{from}")).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap().iter();
        found.extend(items.map(|item| (item["window"].clone(), item["anomaly"].clone())));
        match page["next_cursor"].as_str() {
            Some(cursor) => from = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

/// Those that the answers told of.
fn told(answers: &[Value]) -> Vec<(Value, Value)> {
    let with_one = answers.iter().filter(|answer| answer["anomaly"].is_object());
    with_one.map(|answer| (answer["window"].clone(), answer["anomaly"].clone())).collect()
}

#[tokio::test]
async fn anomalies_are_listed_over_a_swarms_whole_course_and_none_twice_when_its_windows_come_again() {
    let ledger = FakeRemembrancer::start().await;
    let mut service = Service::start(with(ledger.url())).await;
    let mut answers = play(&service, "s", 0, 60, Value::Null).await;
    service.post("/v1/swarms/s/checkpoints", &json!(null)).await;
    let during = play(&service, "s", 60, 70, answers.last().cloned().unwrap()).await;
    drop(service); // killed, it is sent again what came after the checkpoint
    service = Service::start(with(ledger.url())).await;
    assert_eq!(play(&service, "s", 60, 70, answers.last().cloned().unwrap()).await, during);
    answers.extend(during);
    let expected = told(&answers);
    assert_eq!(expected.len(), 1, "an outage that goes on is one: {expected:?}");
    assert_eq!(anomalies(&service, "s").await, expected);
    assert_eq!(ledger.records_of("psi.anomaly").len(), expected.len());

    for _ in 0..3 {
        service.post("/v1/swarms/s/checkpoints", &json!(null)).await; // whereupon the answers are dropped
    }
    drop(service);
    service = Service::start(with(ledger.url())).await;
    ledger.plant_record("odd", "psi.anomaly", "swarm:s", json!({"window": 1}));
    assert_eq!(anomalies(&service, "s").await, expected, "what others plant is none");
}

#[tokio::test]
async fn a_swarm_that_was_killed_before_its_first_checkpoint_leaves_its_anomalies() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let expected = told(&play(&service, "s", 0, 65, Value::Null).await);
    drop(service);
    let service = Service::start(with(ledger.url())).await;
    assert!(!expected.is_empty());
    assert_eq!(anomalies(&service, "s").await, expected);
    let (status, problem) = service.get("/v1/swarms/nobody/anomalies").await;
    assert_eq!((status, &problem["code"]), (404, &json!("swarm_not_found")));
}

#[tokio::test]
async fn without_a_ledger_the_anomalies_of_the_kept_answers_are_listed() {
    let service = Service::alone().await;
    let expected = told(&play(&service, "s", 0, 70, Value::Null).await);
    assert_eq!(expected.len(), 1, "{expected:?}");
    assert_eq!(anomalies(&service, "s").await, expected);
}

#[tokio::test]
async fn a_verdict_is_recorded_and_counted_and_the_last_one_counts() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let answers = play(&service, "s", 0, 65, Value::Null).await;
    let window = told(&answers)[0].0.clone();
    let verdict = format!("/v1/swarms/s/anomalies/{window}/verdict");
    let last = || async { service.get("/v1/swarms/s/anomalies").await.1["items"][0]["verdict"].clone() };
    assert_eq!(last().await, Value::Null);
    let false_alarm = json!({"useful": false, "reason": "a planned migration"});
    for (said, records) in
        [(&false_alarm, 1), (&false_alarm, 1), (&json!({"useful": true}), 2), (&false_alarm, 3)]
    {
        let (status, told) = service.post(&verdict, said).await;
        assert_eq!((status, &told), (200, said));
        assert_eq!(last().await, *said);
        assert_eq!(ledger.records_of("psi.verdict").len(), records);
    }
    let metrics = service.text("/metrics").await;
    assert!(metrics.contains("psi_field_verdicts_total{useful=\"false\"} 2"), "{metrics}");
    assert!(metrics.contains("psi_field_verdicts_total{useful=\"true\"} 1"), "{metrics}");
    let (status, told) = service.post("/v1/swarms/s/anomalies/3/verdict", &false_alarm).await;
    assert_eq!((status, &told["code"]), (404, &json!("anomaly_not_found")), "{told}");
    let (status, told) = service.post(&verdict, &json!({"useful": "no"})).await;
    assert_eq!((status, &told["errors"][0]["pointer"]), (422, &json!("/useful")), "{told}");
}
