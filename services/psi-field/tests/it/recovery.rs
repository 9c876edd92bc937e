use api::psi_field::Window;
use serde_json::{Value, json};
use test_support::{FakeRemembrancer, Fault};

use crate::support::{Service, interventions, play, window, with};

/// Plays 90 windows with checkpoints every 20, an operator's albedo before window 30 and an outage at 60.
async fn undisturbed() -> (Vec<Value>, Vec<String>, Value) {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let mut answers = Vec::new();
    for number in (0..90).step_by(10) {
        if number == 30 {
            intervene(&service).await;
        }
        let last = answers.last().cloned().unwrap_or_default();
        answers.extend(play(&service, "s", number, number + 10, last).await);
        if number % 20 == 10 {
            assert_eq!(service.post("/v1/swarms/s/checkpoints", &json!(null)).await.0, 200);
        }
    }
    let snapshot = service.get("/v1/swarms/s/snapshot").await.1;
    (answers, interventions(&ledger), snapshot)
}

async fn intervene(service: &Service) {
    let (status, record) =
        service.post("/v1/swarms/s/interventions", &json!({"kind": "albedo", "reason": "by hand"})).await;
    assert_eq!((status, &record["issued_at_window"]), (202, &json!(30)));
}

#[tokio::test]
async fn a_swarm_that_was_killed_anywhere_ends_as_if_it_had_not_been() {
    let (expected, records, snapshot) = undisturbed().await;
    assert!(records.iter().any(|r| r.starts_with("issued nigredo 6")), "{records:?}");
    assert_eq!(records[0], "issued albedo 30");

    let ledger = FakeRemembrancer::start().await;
    let mut service = Service::start(with(ledger.url())).await;
    let mut answers: Vec<Value> = Vec::new();
    let mut checkpoint = 0;
    let mut kills = vec![7, 33, 62, 63, 75];
    while answers.len() < 90 {
        let number = answers.len() as u64;
        if number == 30 && !interventions(&ledger).iter().any(|r| r == "issued albedo 30") {
            intervene(&service).await;
        }
        let last = answers.last().cloned().unwrap_or_default();
        answers.extend(play(&service, "s", number, number + 1, last).await);
        if kills.first() == Some(&answers.len()) {
            kills.remove(0);
            drop(service);
            service = Service::start(with(ledger.url())).await;
            // The trainer goes back to its own last checkpoint and posts again what came after.
            let again = answers.split_off(checkpoint);
            let last = answers.last().cloned().unwrap_or_default();
            let posted =
                play(&service, "s", checkpoint as u64, (checkpoint + again.len()) as u64, last).await;
            assert_eq!(posted, again);
            answers.extend(posted);
        }
        if answers.len().is_multiple_of(20) {
            assert_eq!(service.post("/v1/swarms/s/checkpoints", &json!(null)).await.0, 200);
            checkpoint = answers.len();
        }
    }
    assert_eq!(answers, expected);
    assert_eq!(interventions(&ledger), records, "nothing lost, doubled or changed");
    assert_eq!(service.get("/v1/swarms/s/snapshot").await.1, snapshot);
}

#[tokio::test]
async fn a_sender_that_never_noted_the_last_checkpoint_goes_on_from_the_one_before() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let mut answers = play(&service, "s", 0, 10, Value::Null).await;
    service.post("/v1/swarms/s/checkpoints", &json!(null)).await;
    answers.extend(play(&service, "s", 10, 20, Value::Null).await);
    service.post("/v1/swarms/s/checkpoints", &json!(null)).await;
    drop(service);

    let service = Service::start(with(ledger.url())).await;
    assert_eq!(service.get("/v1/swarms/s").await.1["next_window"], 20, "it came back by being asked for");
    assert_eq!(play(&service, "s", 10, 20, Value::Null).await, answers[10..]);
    // Once it has moved on, it does not jump back for whoever posts an old number.
    let (status, problem) = service.post("/v1/swarms/s/windows", &window(3)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("window_conflict")));
}

#[tokio::test]
async fn while_the_remembrancer_is_away_a_window_that_needs_it_is_not_taken_and_can_be_sent_again() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    let mut last = play(&service, "s", 0, 60, Value::Null).await.pop().unwrap();
    ledger.faults().set(Fault::Refuse);
    assert_eq!(service.get("/readyz").await.0, 503);
    let mut refused = None;
    for number in 60..63 {
        let (status, answer) = service.post("/v1/swarms/s/windows", &window(number)).await;
        if status != 200 {
            assert_eq!((status, &answer["code"]), (503, &json!("remembrancer_unavailable")));
            refused = Some(number);
            break;
        }
        last = answer;
    }
    let refused = refused.expect("the outage's nigredo must be recorded before it is sent");
    assert_eq!(last["interventions"], json!([]));
    assert_eq!(service.get("/v1/swarms/s").await.1["next_window"], refused);
    assert_eq!(interventions(&ledger), [""; 0]);

    ledger.faults().clear();
    let answer = service.window("s", &window(refused)).await;
    assert_eq!(answer["interventions"][0]["kind"], "nigredo");
    assert_eq!(interventions(&ledger), [format!("issued nigredo {refused}")]);
    assert_eq!(service.window("s", &window(refused)).await, answer);
    assert_eq!(service.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_swarm_id_with_another_past_in_the_ledger_is_refused() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(with(ledger.url())).await;
    play(&service, "s", 0, 64, Value::Null).await;
    drop(service);
    // The same id again, from window 0, but other figures: its nigredo would get the same identity.
    let service = Service::start(with(ledger.url())).await;
    let other = |number| {
        let mut window: Window = window(number);
        for agent in &mut window.agents {
            agent.mean_reward = agent.mean_reward.map(|r| r + 1.0);
        }
        window.swarm.mean_reward = window.swarm.mean_reward.map(|r| r + 1.0);
        window
    };
    for number in 0..64 {
        let (status, answer) = service.post("/v1/swarms/s/windows", &other(number)).await;
        if status != 200 {
            assert_eq!((status, &answer["code"]), (409, &json!("record_conflict")));
            assert!(number >= 60);
            return;
        }
    }
    panic!("another nigredo was recorded under the same identity");
}

#[tokio::test]
async fn a_snapshot_that_was_put_survives_a_restart() {
    let ledger = FakeRemembrancer::start().await;
    let first = Service::alone().await;
    play(&first, "s", 0, 12, Value::Null).await;
    let snapshot = first.get("/v1/swarms/s/snapshot").await.1;
    let service = Service::start(with(ledger.url())).await;
    assert_eq!(service.put("/v1/swarms/s/snapshot", &snapshot).await.0, 200);
    drop(service);
    let service = Service::start(with(ledger.url())).await;
    assert_eq!(service.window("s", &window(12)).await, first.window("s", &window(12)).await);
}

#[tokio::test]
async fn a_quiet_swarm_makes_room_and_comes_back() {
    let ledger = FakeRemembrancer::start().await;
    let service = Service::start(psi_field::Config { max_swarms: 1, ..with(ledger.url()) }).await;
    play(&service, "a", 0, 5, Value::Null).await;
    let (status, problem) = service.post("/v1/swarms/b/windows", &window(0)).await;
    assert_eq!((status, &problem["code"]), (429, &json!("too_many_swarms")), "`a` is not stored yet");
    service.post("/v1/swarms/a/checkpoints", &json!(null)).await;
    service.window("b", &window(0)).await;
    service.post("/v1/swarms/b/checkpoints", &json!(null)).await;
    assert_eq!(service.window("a", &window(5)).await["window"], 5);
}
