use api::psi_field::Window;
use psi_field::Config;
use serde_json::{Value, json};

use test_support::FakeRemembrancer;

use crate::support::{Service, ids, play, window, with};

#[tokio::test]
async fn the_same_window_gets_the_same_answer_and_anything_else_409_with_the_number_expected() {
    let service = Service::alone().await;
    let answers = play(&service, "s", 0, 5, Value::Null).await;
    for number in 0..5 {
        assert_eq!(service.window("s", &window(number)).await, answers[number as usize]);
    }
    let (status, gap) = service.post("/v1/swarms/s/windows", &window(7)).await;
    assert_eq!((status, &gap["code"]), (409, &json!("window_gap")));
    assert!(gap["detail"].as_str().unwrap().contains("window 5 is expected"), "{gap}");
    assert_eq!(gap["errors"], json!([{"pointer": "/number", "detail": "expected 5"}]));

    let other = Window { number: 3, ..window(4) };
    let (status, conflict) = service.post("/v1/swarms/s/windows", &other).await;
    assert_eq!((status, &conflict["code"]), (409, &json!("window_conflict")));
    assert_eq!(conflict["errors"][0]["detail"], "expected 5");
    assert_eq!(service.get("/v1/swarms/s").await.1["next_window"], 5, "nothing of this moved the swarm");
}

#[tokio::test]
async fn an_unknown_swarm_begins_with_window_0_and_leaves_no_trace_before() {
    let service = Service::alone().await;
    let (status, gap) = service.post("/v1/swarms/s/windows", &window(3)).await;
    assert_eq!((status, &gap["code"]), (409, &json!("window_gap")));
    assert_eq!(gap["errors"][0]["detail"], "expected 0");
    for path in ["", "/windows", "/interventions", "/snapshot"] {
        let (status, problem) = service.get(&format!("/v1/swarms/s{path}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("swarm_not_found")), "{path}");
    }
    assert_eq!(service.post("/v1/swarms/s/checkpoints", &json!(null)).await.0, 404);
    assert_eq!(service.get("/v1/swarms").await.1, json!({"items": []}));
    assert!(service.text("/metrics").await.contains("psi_field_swarms 0"));
}

#[tokio::test]
async fn a_wrong_window_is_refused_with_a_pointer_to_what_is_wrong() {
    let service = Service::alone().await;
    let wrong = async |change: fn(&mut Value)| {
        let mut body = serde_json::to_value(window(0)).unwrap();
        change(&mut body);
        let (status, problem) = service.post("/v1/swarms/s/windows", &body).await;
        (status, problem["code"].as_str().unwrap().to_owned(), problem["errors"][0]["pointer"].clone())
    };
    let invalid = |pointer| (422, "invalid_request".to_owned(), json!(pointer));
    assert_eq!(wrong(|w| w["agents"][3]["agent"] = json!(1)).await, invalid("/agents/3/agent"));
    assert_eq!(wrong(|w| w["agents"] = json!([])).await, invalid("/agents"));
    assert_eq!(wrong(|w| w["agents"][0]["epsilon"] = json!(1.5)).await, invalid("/agents/0/epsilon"));
    assert_eq!(wrong(|w| w["swarm"]["fill"] = json!(1.0)).await.1, "invalid_request");
    let unknown = wrong(|w| w["acknowledged"] = json!(["0190a6f0-0000-7000-8000-000000000000"])).await;
    assert_eq!(unknown, (422, "unknown_intervention".to_owned(), json!("/acknowledged")));
    assert_eq!(service.post("/v1/swarms/no%20good/windows", &window(0)).await.0, 422);
    assert_eq!(service.get("/v1/swarms/s").await.0, 404);
}

#[tokio::test]
async fn an_outage_leads_to_an_anomaly_a_nigredo_and_its_assessment() {
    let service = Service::alone().await;
    let answers = play(&service, "s", 0, 90, Value::Null).await;
    let at = answers.iter().position(|a| !ids(a).is_empty()).unwrap();
    assert!((60..63).contains(&at), "{at}");
    assert_eq!(answers[at]["interventions"][0]["kind"], "nigredo");
    let anomaly = answers[60..63].iter().find(|a| a["anomaly"].is_object()).unwrap();
    assert_eq!(anomaly["anomaly"]["detector"], "range");
    assert_eq!(anomaly["anomaly"]["channels"][0]["channel"], "provider_shares[0]");
    let records = service.get("/v1/swarms/s/interventions").await.1;
    assert_eq!(records["items"][0]["status"], "assessed");
    assert_eq!(records["items"][0]["acknowledged_at_window"], at + 1);
    assert!(records["items"][0]["assessment"]["difference_ci_low"].is_number());
    let metrics = service.text("/metrics").await;
    assert!(metrics.contains("psi_field_windows_total 90"), "{metrics}");
    assert!(
        metrics.contains("psi_field_interventions_total{kind=\"nigredo\",status=\"assessed\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn an_operators_intervention_comes_with_the_next_answer_once() {
    let service = Service::alone().await;
    play(&service, "s", 0, 2, Value::Null).await;
    let post = async |key: &str, body: Value| {
        let request =
            service.http().post(service.url("/v1/swarms/s/interventions")).header("idempotency-key", key);
        let response = request.json(&body).send().await.unwrap();
        let location = response.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
        (response.status().as_u16(), location, response.json::<Value>().await.unwrap())
    };
    let albedo = json!({"kind": "albedo", "reason": "a new provider joined"});
    let (status, location, record) = post("k", albedo.clone()).await;
    assert_eq!((status, location.as_deref()), (202, Some("/v1/swarms/s/interventions")));
    assert_eq!((&record["targets"], &record["by_operator"]), (&json!([0, 1, 2, 3, 4]), &json!(true)));
    assert_eq!(record["issued_at_window"], 2);

    let answer = service.window("s", &window(2)).await;
    assert_eq!(answer["interventions"][0]["id"], record["id"]);
    assert_eq!(service.window("s", &window(3)).await["interventions"], json!([]));
    assert_eq!(post("k", albedo).await.2["id"], record["id"], "the same key after delivery: the same one");
    let (status, _, problem) = post("k", json!({"kind": "nigredo", "reason": "other"})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
    assert_eq!(service.window("s", &window(4)).await["interventions"], json!([]));
    let (status, problem) =
        service.post("/v1/swarms/s/interventions", &json!({"kind": "albedo", "reason": ""})).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/reason")));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let service = Service::alone().await;
    for swarm in ["a", "b", "c"] {
        play(&service, swarm, 0, 3, Value::Null).await;
        for kind in ["albedo", "nigredo"] {
            service
                .post(&format!("/v1/swarms/{swarm}/interventions"), &json!({"kind": kind, "reason": "x"}))
                .await;
        }
    }
    let pages = async |path: &str, next: &str| {
        let (mut sizes, mut from) = (Vec::new(), String::new());
        loop {
            let page = service.get(&format!("{path}?limit=2{from}")).await.1;
            sizes.push(page["items"].as_array().unwrap().len());
            match page["next_cursor"].as_str() {
                Some(cursor) => from = format!("&{next}={cursor}"),
                None => return sizes,
            }
        }
    };
    assert_eq!(pages("/v1/swarms", "cursor").await, [2, 1]);
    assert_eq!(pages("/v1/swarms/b/windows", "from").await, [2, 1]);
    assert_eq!(pages("/v1/swarms/b/interventions", "cursor").await, [2]);
    assert_eq!(service.get("/v1/swarms/b/windows?from=2").await.1["items"][0]["window"], 2);
    assert_eq!(service.get("/v1/swarms/b/interventions?cursor=x").await.0, 422);
    assert_eq!(service.get("/v1/swarms?limit=0").await.0, 422);
    let (status, refused) = service.get("/v1/swarms?cursor=zz").await;
    assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &"?cursor".into()), "{refused}");
}

#[tokio::test]
async fn a_snapshot_goes_on_elsewhere_exactly_and_never_over_another_past() {
    let (here, there) = (Service::alone().await, Service::alone().await);
    let answers = play(&here, "s", 0, 58, Value::Null).await;
    let snapshot = here.get("/v1/swarms/s/snapshot").await.1;
    assert_eq!(there.put("/v1/swarms/s/snapshot", &snapshot).await.0, 200);
    assert_eq!(there.put("/v1/swarms/s/snapshot", &snapshot).await.0, 200, "once more changes nothing");
    let last = answers.last().unwrap().clone();
    assert_eq!(play(&there, "s", 58, 90, last.clone()).await, play(&here, "s", 58, 90, last).await);
    assert_eq!(there.get("/v1/swarms/s/snapshot").await, here.get("/v1/swarms/s/snapshot").await);

    let (status, problem) = there.put("/v1/swarms/s/snapshot", &snapshot).await;
    assert_eq!((status, &problem["code"]), (409, &json!("snapshot_conflict")));
    assert_eq!(there.put("/v1/swarms/other/snapshot", &snapshot).await.0, 200, "under another name too");
    let (status, problem) =
        there.put("/v1/swarms/third/snapshot", &json!({"next_window": 58, "field": {}})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("invalid_snapshot")));
    assert_eq!(there.get("/v1/swarms/third").await.0, 404);
}

#[tokio::test]
async fn no_operator_commands_a_swarm_that_repeats_what_the_ledger_holds() {
    let service = Service::alone().await;
    let wish = json!({"kind": "albedo", "reason": "try"});
    service.window("s", &api::psi_field::Window { repeated: true, ..window(0) }).await;
    let (status, problem) = service.post("/v1/swarms/s/interventions", &wish).await;
    assert_eq!((status, &problem["code"]), (503, &json!("swarm_catching_up")));
    // sent again without the mark it is still the same window
    service.window("s", &window(0)).await;
    service.window("s", &window(1)).await;
    assert_eq!(service.post("/v1/swarms/s/interventions", &wish).await.0, 202);
    let nul = json!({"kind": "nigredo", "reason": "a\0b"});
    let (status, problem) = service.post("/v1/swarms/s/interventions", &nul).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/reason")));
}

#[tokio::test]
async fn answers_are_kept_since_the_checkpoint_before_the_last_one() {
    let service = Service::alone().await;
    play(&service, "s", 0, 3, Value::Null).await;
    let checkpoint = service.post("/v1/swarms/s/checkpoints", &json!(null)).await.1;
    assert_eq!(checkpoint, service.get("/v1/swarms/s/snapshot").await.1);
    assert_eq!(checkpoint["next_window"], 3);
    service.window("s", &window(0)).await; // the caller may not have noted the checkpoint down yet
    play(&service, "s", 3, 6, Value::Null).await;
    service.post("/v1/swarms/s/checkpoints", &json!(null)).await;
    assert_eq!(service.get("/v1/swarms/s").await.1["checkpoint_window"], 3);
    service.window("s", &window(3)).await;
    let (status, problem) = service.post("/v1/swarms/s/windows", &window(2)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("window_conflict")));
    assert_eq!(problem["errors"][0]["detail"], "expected 6");
}

#[tokio::test]
async fn memory_is_bounded_in_answers_and_swarms() {
    let service = Service::start(Config { retained_answers: 4, max_swarms: 2, ..Config::default() }).await;
    play(&service, "a", 0, 10, Value::Null).await;
    let kept = service.get("/v1/swarms/a/windows").await.1;
    assert_eq!(kept["items"].as_array().unwrap().len(), 4);
    assert_eq!(kept["items"][0]["window"], 6);
    service.window("b", &window(0)).await;
    let (status, problem) = service.post("/v1/swarms/c/windows", &window(0)).await;
    assert_eq!((status, &problem["code"]), (429, &json!("too_many_swarms")));
}

#[tokio::test]
async fn memory_is_bounded_in_bytes_over_all_swarms_and_whoever_made_room_comes_back() {
    let ledger = FakeRemembrancer::start().await;
    let (least, agents) = (16_u32 << 20, 10_000);
    let config = Config { max_bytes: least as usize, ..with(ledger.url()) };
    let service = Service::start(config).await;
    let many = |number: u64| {
        let agent = |agent| json!({"agent": agent, "mean_reward": 1.0, "epsilon": 0.1, "q_table_size": 1, "decisions": 1});
        json!({"number": number, "agents": (0..agents).map(agent).collect::<Vec<_>>(), "swarm": {}})
    };
    let bytes = || async {
        let metrics = service.text("/metrics").await;
        let line =
            metrics.lines().find(|line| line.starts_with("psi_field_swarm_bytes ")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    service.post("/v1/swarms/s0/windows", &many(0)).await;
    service.post("/v1/swarms/s0/checkpoints", &json!(null)).await;
    let one = bytes().await;
    assert!(one > 40.0 * f64::from(agents), "every agent is remembered: {one}");
    let most = (f64::from(least) / one) as u32;
    for swarm in 1..=most + 5 {
        let (status, answer) = service.post(&format!("/v1/swarms/s{swarm}/windows"), &many(0)).await;
        assert_eq!(status, 200, "{answer}");
        service.post(&format!("/v1/swarms/s{swarm}/checkpoints"), &json!(null)).await;
        assert!(bytes().await <= f64::from(least) + 2.0 * one, "swarm {swarm}");
    }
    let held = service.get("/v1/swarms?limit=1000").await.1["items"].as_array().unwrap().len();
    assert!(held <= most as usize + 1, "{held} of {most}");
    let (status, swarm) = service.get("/v1/swarms/s0").await;
    assert_eq!((status, &swarm["next_window"]), (200, &json!(1)), "the ledger has its state");
}

#[tokio::test]
async fn every_documented_example_works_when_pasted() {
    let document = serde_json::to_value(psi_field::openapi()).unwrap();
    let service = Service::alone().await;
    assert_eq!(service.get("/openapi.json").await.1, document);
    let mut tried = 0;
    // A swarm must be there before one can intervene in it.
    for path in ["/v1/swarms/{id}/windows", "/step", "/init", "/v1/swarms/{id}/interventions"] {
        let operation = &document["paths"][path]["post"];
        let content = &operation["requestBody"]["content"]["application/json"];
        let named = content["schema"]["$ref"].as_str().and_then(|r| r.rsplit('/').next()).unwrap_or_default();
        let example = if content["example"].is_null() {
            document["components"]["schemas"][named]["example"].clone()
        } else {
            content["example"].clone()
        };
        assert!(example.is_object(), "{path} has no example");
        // Windows and steps of one swarm would get in each other's way.
        let id = if path.starts_with("/v1") { "example" } else { "default" };
        let (status, answer) = service.post(&path.replace("{id}", id), &example).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        tried += 1;
    }
    assert_eq!(tried, 4);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} does not say what it is for");
        }
    }
}
