//! Whoever can post to the ledger can plant records under psi-field's names, and take its ids first.

use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{Service, interventions, play, with};

#[tokio::test]
async fn a_swarm_is_brought_back_from_the_newest_snapshot_that_is_one() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let answers = play(&service, "s", 0, 20, Value::Null).await;
    assert_eq!(service.post("/v1/swarms/s/checkpoints", &json!(null)).await.0, 200);
    let snapshot = service.get("/v1/swarms/s/snapshot").await.1;
    drop(service);

    let artifacts = [
        ("text", ledger.put_artifact(b"no JSON")),
        ("object", ledger.put_artifact(b"{}")),
        ("field", ledger.put_artifact(br#"{"next_window": 20, "field": {"format": "x"}}"#)),
        ("other window", ledger.put_artifact(snapshot.to_string().as_bytes())),
        ("missing", api::Hash([9; 32])),
    ];
    for (number, (what, sha256)) in artifacts.iter().enumerate() {
        let next_window = if *what == "other window" { 19 } else { 20 };
        let body = json!({"content": "psi_field_snapshot", "swarm": "s", "next_window": next_window, "sha256": sha256,
            "size_bytes": number});
        ledger.plant_record(
            &format!("swarm:s:snapshot:{next_window}:{sha256}"),
            "psi.snapshot",
            "swarm:s",
            body,
        );
        // and bodies that are none
        ledger.plant_record(
            &format!("odd-{number}"),
            "psi.snapshot",
            "swarm:s",
            json!({"next_window": what}),
        );
        ledger.plant_record(&format!("odder-{number}"), "intervention", "swarm:s", json!({"status": number}));
    }
    let service = Service::start(with(ledger.url())).await;
    let (status, back) = service.get("/v1/swarms/s/snapshot").await;
    assert_eq!((status, back), (200, snapshot));
    play(&service, "s", 20, 25, answers.last().cloned().unwrap()).await;
}

#[tokio::test]
async fn a_swarm_whose_records_ids_were_taken_first_goes_on_as_if_they_had_not_been() {
    // The same swarm elsewhere tells which ids it will want.
    let elsewhere = FakeRemembrancer::start().await;
    let service = Service::start(with(elsewhere.url())).await;
    let expected = play(&service, "s", 0, 75, Value::Null).await;
    assert_eq!(service.post("/v1/swarms/s/checkpoints", &json!(null)).await.0, 200);
    let wanted: Vec<String> = elsewhere.records().into_iter().map(|record| record.id).collect();
    assert!(!interventions(&elsewhere).is_empty() && wanted.len() > 1);

    let ledger = FakeRemembrancer::start().await;
    for id in &wanted {
        ledger.plant_record(id, "note", "thing:1", json!({"text": "mine"}));
    }
    let mut service = Service::start(with(ledger.url())).await;
    assert_eq!(play(&service, "s", 0, 75, Value::Null).await, expected);
    assert_eq!(service.post("/v1/swarms/s/checkpoints", &json!(null)).await.0, 200);
    assert_eq!(interventions(&ledger), interventions(&elsewhere));
    let snapshot = service.get("/v1/swarms/s/snapshot").await.1;
    drop(service);
    service = Service::start(with(ledger.url())).await;
    assert_eq!(service.get("/v1/swarms/s/snapshot").await, (200, snapshot), "it is found under the spare id");
}
