//! Once a swarm's run has ended, nothing is on its way to it, and nothing can be sent there.

use api::trainer::RunStatus;
use records::run::{Ended, RunRecord};
use serde_json::{Value, json};
use test_support::{FakeRemembrancer, Fault};
use uuid::Uuid;

use crate::support::{Service, ids, interventions, play, window, with};

/// A swarm after an outage whose nigredo nobody acknowledged, and with an albedo on its way.
async fn unattended(service: &Service, swarm: &str) {
    let answers = play(service, swarm, 0, 60, Value::Null).await;
    assert!(answers.iter().all(|answer| ids(answer).is_empty()));
    for number in 60.. {
        if !ids(&service.window(swarm, &window(number)).await).is_empty() {
            break;
        }
    }
    let by_hand = json!({"kind": "albedo", "reason": "by hand"});
    assert_eq!(service.post(&format!("/v1/swarms/{swarm}/interventions"), &by_hand).await.0, 202);
    assert_eq!(statuses(service, swarm).await, ["issued", "issued"]);
}

async fn statuses(service: &Service, swarm: &str) -> Vec<String> {
    let page = service.get(&format!("/v1/swarms/{swarm}/interventions")).await.1;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["status"].as_str().unwrap().to_owned()).collect()
}

/// Nothing can be sent to it, and nothing is on its way.
async fn has_ended(service: &Service, swarm: &str) {
    let by_hand = json!({"kind": "nigredo", "reason": "too late"});
    let (status, problem) = service.post(&format!("/v1/swarms/{swarm}/interventions"), &by_hand).await;
    assert_eq!((status, &problem["code"]), (409, &json!("swarm_ended")), "{problem}");
    assert_eq!(statuses(service, swarm).await, ["expired", "expired"]);
    let shown = service.get(&format!("/v1/swarms/{swarm}")).await.1;
    assert_eq!(shown["ended"], json!(true), "{shown}");
    let next = shown["next_window"].as_u64().unwrap();
    let (status, problem) = service.post(&format!("/v1/swarms/{swarm}/windows"), &window(next)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("swarm_ended")));
}

#[tokio::test]
async fn nothing_stays_on_its_way_to_a_swarm_that_has_ended_not_even_after_a_restart() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    unattended(&service, "s").await;
    let (status, swarm) = service.post("/v1/swarms/s/end", &json!(null)).await;
    assert_eq!((status, &swarm["ended"]), (200, &json!(true)));
    has_ended(&service, "s").await;
    let recorded = interventions(&ledger);
    assert_eq!(recorded.iter().filter(|record| record.starts_with("expired")).count(), 2, "{recorded:?}");

    drop(service);
    let service = Service::start(with(ledger.url())).await;
    has_ended(&service, "s").await;
    assert_eq!(service.post("/v1/swarms/s/end", &json!(null)).await.0, 200, "said again");
    assert_eq!(interventions(&ledger), recorded);
}

#[tokio::test]
async fn without_a_remembrancer_a_swarm_ends_as_well() {
    let service = Service::alone().await;
    unattended(&service, "s").await;
    assert_eq!(service.post("/v1/swarms/none/end", &json!(null)).await.0, 404);
    assert_eq!(service.post("/v1/swarms/s/end", &json!(null)).await.0, 200);
    has_ended(&service, "s").await;
}

#[tokio::test]
async fn that_a_run_has_ended_is_found_in_the_ledger_where_nobody_said_so() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let run = Uuid::now_v7();
    for swarm in [run.to_string(), format!("{run}-1")] {
        unattended(&service, &swarm).await;
    }
    let ended = Ended {
        run_id: run,
        digest: api::Hash([7; 32]),
        status: RunStatus::Failed,
        run_root: None,
        decisions: 0,
        episodes_done: 0,
        policy_sha256: None,
        checkpoint_sha256: None,
        reproducible: true,
        error: Some("it could not go on".into()),
    };
    let record = RunRecord::Ended(ended).to_record().unwrap();
    let appended =
        service.http().post(format!("{}/v1/records", ledger.url())).json(&record).send().await.unwrap();
    assert!(appended.status().is_success(), "{}", appended.status());
    for swarm in [run.to_string(), format!("{run}-1")] {
        assert_eq!(statuses(&service, &swarm).await, ["expired", "expired"]);
        has_ended(&service, &swarm).await;
    }
}

#[tokio::test]
async fn while_the_remembrancer_is_away_a_swarm_does_not_end_and_can_be_told_again() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    unattended(&service, "s").await;
    ledger.faults().set(Fault::Refuse);
    let (status, problem) = service.post("/v1/swarms/s/end", &json!(null)).await;
    assert_eq!((status, &problem["code"]), (503, &json!("remembrancer_unavailable")));
    ledger.faults().clear();
    assert_eq!(statuses(&service, "s").await, ["issued", "issued"]);
    assert_eq!(service.post("/v1/swarms/s/end", &json!(null)).await.0, 200);
    has_ended(&service, "s").await;
}

#[tokio::test]
async fn another_swarm_begins_where_one_has_ended() {
    let service = Service::alone().await;
    unattended(&service, "s").await;
    service.post("/v1/swarms/s/end", &json!(null)).await;
    let snapshot = service.get("/v1/swarms/s/snapshot").await.1;
    assert_eq!(service.put("/v1/swarms/t/snapshot", &snapshot).await.0, 200);
    let next = snapshot["next_window"].as_u64().unwrap();
    assert_eq!(service.window("t", &window(next)).await["window"], next);
}

#[tokio::test]
async fn the_same_key_gets_the_same_intervention_also_when_its_swarm_has_ended() {
    let service = Service::alone().await;
    play(&service, "s", 0, 3, Value::Null).await;
    let post = async |reason: &str| {
        let url = service.url("/v1/swarms/s/interventions");
        let body = json!({"kind": "albedo", "reason": reason});
        let answer =
            service.http().post(url).header("idempotency-key", "k").json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, issued) = post("by hand").await;
    assert_eq!((status, &issued["status"]), (202, &json!("issued")));
    service.post("/v1/swarms/s/end", &json!(null)).await;
    let (status, again) = post("by hand").await;
    assert_eq!((status, &again["id"], &again["status"]), (202, &issued["id"], &json!("expired")));
    let (status, problem) = post("other").await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
}

#[tokio::test]
async fn a_swarm_that_has_ended_makes_room_also_without_a_remembrancer() {
    let service = Service::start(psi_field::Config { max_swarms: 1, ..psi_field::Config::default() }).await;
    service.window("s", &window(0)).await;
    assert_eq!(service.post("/v1/swarms/t/windows", &window(0)).await.0, 429);
    service.post("/v1/swarms/s/end", &json!(null)).await;
    service.window("t", &window(0)).await;
}
