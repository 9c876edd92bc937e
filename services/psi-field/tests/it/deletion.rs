//! A swarm that is deleted does not come back, one that expires does where there is a ledger, and what the ledger has of either
//! stays there.

use psi_field::Config;
use serde_json::{Value, json};
use test_support::{FakeRemembrancer, Fault, eventually};

use crate::support::{Service, ids, interventions, play, window, with};

/// Nobody finds it, and no window but its first is taken.
async fn is_deleted(service: &Service, swarm: &str) {
    for path in ["", "/windows", "/interventions", "/anomalies", "/snapshot"] {
        let (status, problem) = service.get(&format!("/v1/swarms/{swarm}{path}")).await;
        assert_eq!((status, &problem["code"]), (410, &json!("swarm_deleted")), "{path}: {problem}");
    }
    for (path, body) in [
        ("end", Value::Null),
        ("checkpoints", Value::Null),
        ("interventions", json!({"kind": "albedo", "reason": "too late"})),
        ("windows", serde_json::to_value(window(7)).unwrap()),
    ] {
        let (status, problem) = service.post(&format!("/v1/swarms/{swarm}/{path}"), &body).await;
        assert_eq!((status, &problem["code"]), (410, &json!("swarm_deleted")), "{path}: {problem}");
    }
}

async fn checkpoint(service: &Service, swarm: &str) -> Value {
    let (status, snapshot) = service.post(&format!("/v1/swarms/{swarm}/checkpoints"), &Value::Null).await;
    assert_eq!(status, 200, "{snapshot}");
    snapshot
}

/// The figures of a life: what the windows come to but for the ids, which differ from life to life.
fn without_ids(mut answers: Vec<Value>) -> Vec<Value> {
    for answer in &mut answers {
        for intervention in answer["interventions"].as_array_mut().unwrap() {
            intervention["id"] = Value::Null;
        }
    }
    answers
}

#[tokio::test]
async fn a_deleted_swarm_does_not_come_back_and_the_ledger_keeps_what_it_has() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    play(&service, "s", 0, 64, Value::Null).await;
    checkpoint(&service, "s").await;
    play(&service, "s", 64, 66, Value::Null).await;
    let wish = json!({"kind": "albedo", "reason": "by hand"});
    assert_eq!(service.post("/v1/swarms/s/interventions", &wish).await.0, 202);
    let before: Vec<_> = ["psi.snapshot", "psi.anomaly"].map(|kind| ledger.records_of(kind)).into();

    let deleted = service.delete("/v1/swarms/s").await;
    let record = "swarm:s:deletion:0";
    assert_eq!(deleted, (200, json!({"id": "s", "next_window": 66, "record": record})));
    assert_eq!(
        Value::Object(ledger.record(record).unwrap().body),
        json!({"swarm": "s", "life": 0, "next_window": 66})
    );
    let after: Vec<_> = ["psi.snapshot", "psi.anomaly"].map(|kind| ledger.records_of(kind)).into();
    assert_eq!(after, before, "nothing of it is gone");
    let last = interventions(&ledger).pop().unwrap();
    assert_eq!(last, "expired albedo 66", "what nobody acknowledged is told of");
    is_deleted(&service, "s").await;
    assert_eq!(service.get("/v1/swarms").await.1["items"], json!([]));
    assert_eq!(service.delete("/v1/swarms/s").await, deleted, "said again");
    let metrics = service.text("/metrics").await;
    assert!(metrics.contains("psi_field_swarms_dropped_total{reason=\"deleted\"} 1"), "{metrics}");
    assert!(metrics.contains("psi_field_swarms 0"), "{metrics}");

    drop(service);
    let service = Service::start(with(ledger.url())).await;
    is_deleted(&service, "s").await;
    assert_eq!(service.delete("/v1/swarms/s").await, deleted);
    assert_eq!(ledger.records_of("psi.deletion").len(), 1);
}

#[tokio::test]
async fn whoever_posts_again_begins_anew_under_the_same_name() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let wish = json!({"kind": "albedo", "reason": "by hand"});
    play(&service, "s", 0, 10, Value::Null).await;
    assert_eq!(service.post("/v1/swarms/s/interventions", &wish).await.0, 202);
    let first = play(&service, "s", 10, 70, Value::Null).await;
    assert!(first.iter().any(|answer| answer["interventions"][0]["by_operator"] == true));
    checkpoint(&service, "s").await;
    service.delete("/v1/swarms/s").await;

    // Other figures under the same numbers: the ledger holds another anomaly and another nigredo of that name.
    let other = |number: u64| {
        let mut window = window(number);
        for agent in &mut window.agents {
            agent.mean_reward = agent.mean_reward.map(|reward| reward + 1.0);
        }
        window
    };
    let mut again = Vec::new();
    for number in 0..64 {
        again.push(service.window("s", &other(number)).await);
    }
    assert!(again.iter().any(|answer| !ids(answer).is_empty()), "the outage is found again");
    assert!(
        again
            .iter()
            .flat_map(|answer| answer["interventions"].as_array().unwrap())
            .all(|i| i["by_operator"] == false),
        "what an operator commanded its predecessor is not for it"
    );
    let known: Vec<_> = first.iter().flat_map(ids).collect();
    assert!(
        again.iter().flat_map(ids).all(|id| !known.contains(&id)),
        "nothing is mistaken for what was before"
    );
    let found = service.get("/v1/swarms/s/anomalies").await.1["items"].as_array().unwrap().len();
    assert!((1..ledger.records_of("psi.anomaly").len()).contains(&found), "its own alone: {found}");

    // It survives a restart as any other, and is deleted as any other.
    let snapshot = checkpoint(&service, "s").await;
    drop(service);
    let service = Service::start(with(ledger.url())).await;
    assert_eq!(service.get("/v1/swarms/s/snapshot").await.1, snapshot);
    assert_eq!(service.delete("/v1/swarms/s").await.1["record"], "swarm:s:deletion:1");
    is_deleted(&service, "s").await;
}

#[tokio::test]
async fn a_swarm_that_is_put_back_from_its_snapshot_goes_on_as_it_would_have_also_after_a_restart() {
    let expected = {
        let service = Service::alone().await;
        without_ids(play(&service, "s", 0, 90, Value::Null).await)
    };
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    play(&service, "s", 0, 50, Value::Null).await;
    let snapshot = checkpoint(&service, "s").await;
    play(&service, "s", 50, 62, Value::Null).await;
    service.delete("/v1/swarms/s").await;
    for _ in 0..2 {
        let (status, swarm) = service.put("/v1/swarms/s/snapshot", &snapshot).await;
        assert_eq!((status, &swarm["next_window"]), (200, &json!(50)), "{swarm}");
    }
    drop(service);
    let service = Service::start(with(ledger.url())).await;
    let answers = play(&service, "s", 50, 90, Value::Null).await;
    assert_eq!(without_ids(answers), expected[50..]);
}

#[tokio::test]
async fn while_the_remembrancer_is_away_nothing_is_deleted_and_it_can_be_said_again() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    play(&service, "s", 0, 3, Value::Null).await;
    ledger.faults().set(Fault::Refuse);
    let (status, problem) = service.delete("/v1/swarms/s").await;
    assert_eq!((status, &problem["code"]), (503, &json!("remembrancer_unavailable")));
    ledger.faults().clear();
    assert_eq!(service.get("/v1/swarms/s").await.1["next_window"], 3);
    assert_eq!(service.delete("/v1/swarms/s").await.0, 200);
    assert_eq!(service.delete("/v1/swarms/nobody").await.0, 404);
}

#[tokio::test]
async fn without_a_remembrancer_a_deleted_swarm_was_never_there() {
    let service = Service::alone().await;
    play(&service, "s", 0, 3, Value::Null).await;
    assert_eq!(service.delete("/v1/swarms/s").await, (200, json!({"id": "s", "next_window": 3})));
    for (status, problem) in [service.get("/v1/swarms/s").await, service.delete("/v1/swarms/s").await] {
        assert_eq!((status, &problem["code"]), (404, &json!("swarm_not_found")));
    }
    service.window("s", &window(0)).await;
}

#[tokio::test]
async fn who_speaks_the_single_field_api_begins_anew_after_a_deletion() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let step = json!({"x": [1.0, 2.0, 3.0]});
    for _ in 0..61 {
        assert_eq!(service.post("/step", &step).await.0, 200);
    }
    assert_eq!(service.delete("/v1/swarms/default").await.1["next_window"], 61);
    let (status, state) = service.get("/state").await;
    assert_eq!((status, &state["k"], &state["Psi"]), (200, &json!(0), &json!(0.0)));
    assert!(service.text("/metrics").await.contains("psi_field_density 0\n"));
    assert_eq!(service.post("/step", &step).await.1["k"], 1);
}

#[tokio::test]
async fn a_swarm_without_windows_expires_and_comes_back_with_all_that_it_was_told() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(Config { swarm_ttl_seconds: 1, ..with(ledger.url()) }).await;
    play(&service, "s", 0, 5, Value::Null).await;
    eventually("it expires", async || match service.get("/v1/swarms").await.1 {
        swarms if swarms["items"] == json!([]) => Ok(()),
        swarms => Err(swarms),
    })
    .await;
    let metrics = service.text("/metrics").await;
    assert!(metrics.contains("psi_field_swarms_dropped_total{reason=\"expired\"} 1"), "{metrics}");
    assert!(metrics.contains("psi_field_swarm_bytes 0"), "{metrics}");
    // Nobody had made a checkpoint.
    assert_eq!(service.window("s", &window(5)).await["window"], 5);
    assert_eq!(ledger.records_of("psi.deletion").len(), 0);
}

#[tokio::test]
async fn a_swarm_that_cannot_be_stored_does_not_expire() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(Config { swarm_ttl_seconds: 1, ..with(ledger.url()) }).await;
    play(&service, "s", 0, 5, Value::Null).await;
    ledger.faults().set(Fault::Refuse);
    eventually("it is tried to store it", async || match ledger.faults().failed() {
        0 => Err("nobody asked"),
        _ => Ok(()),
    })
    .await;
    assert_eq!(service.get("/v1/swarms").await.1["items"][0]["next_window"], 5);
    ledger.faults().clear();
    eventually("it is stored", async || match ledger.records_of("psi.snapshot").len() {
        0 => Err("nothing is stored"),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn without_a_remembrancer_what_expires_is_gone() {
    let service = Service::start(Config { swarm_ttl_seconds: 1, ..Config::default() }).await;
    play(&service, "s", 0, 5, Value::Null).await;
    eventually("it expires", async || match service.get("/v1/swarms/s").await {
        (404, _) => Ok(()),
        other => Err(other),
    })
    .await;
    service.window("s", &window(0)).await;
}
