//! All four services as they are, over HTTP, with a network between them that fails.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::{ProxyMode, database};

use crate::support::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_fails_all_the_time_changes_nothing_that_a_run_leaves() {
    let (calm_database, stormy_database) = (database().await, database().await);
    let calm = Stack::start(&calm_database).await;
    let expected = calm.ended(&calm.start_run().await).await;

    let stormy = Stack::start(&stormy_database).await;
    let run = stormy.start_run().await;
    let failures = [ProxyMode::Refuse, ProxyMode::CutAfter(60), ProxyMode::Hang, ProxyMode::CutAfter(400)];
    let mut storms = 0;
    'run: loop {
        for failure in failures {
            for proxy in [&stormy.remembrancer, &stormy.psi_field] {
                proxy.set(failure);
                tokio::time::sleep(Duration::from_millis(60)).await;
                proxy.set(ProxyMode::Forward);
                tokio::time::sleep(Duration::from_millis(60)).await;
                let status = stormy.get(&run).await["status"].clone();
                if status != "queued" && status != "running" {
                    break 'run;
                }
                storms += 1;
            }
        }
    }
    let ended = stormy.ended(&run).await;
    assert!(storms >= 2, "the run was over before anything failed");
    for left in ["run_root", "policy_sha256", "digest"] {
        assert_eq!(ended[left], expected[left], "{left}");
    }
    let decisions = expected["progress"]["decisions"].as_i64().unwrap();
    assert_eq!(stormy_database.count("decisions").await, decisions);
    assert_eq!(calm_database.count("decisions").await, decisions);
    calm.assert_intact().await;
    stormy.assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_swarm_is_deleted_in_its_midst_ends_as_one_that_nobody_touched() {
    let (calm_database, database) = (database().await, database().await);
    let (calm, stack) = (Stack::start(&calm_database).await, Stack::start(&database).await);
    let mut config = crate::support::run();
    config["episodes"] = json!(30);
    let swarm_of = |stack: &Stack, run: &Value| {
        format!("{}/v1/swarms/{}", stack.psi_field.url(), run["id"].as_str().unwrap())
    };
    let (_, begun) = stack.post(&format!("{}/v1/runs", stack.trainer), &config).await;
    let swarm = swarm_of(&stack, &begun);
    stack.until(&swarm, |swarm| swarm["next_window"].as_u64() > Some(0)).await;
    let deleted = stack.http.delete(&swarm).send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    let ended = stack.ended(&format!("{}/v1/runs/{}", stack.trainer, begun["id"].as_str().unwrap())).await;

    let (_, begun) = calm.post(&format!("{}/v1/runs", calm.trainer), &config).await;
    let expected = calm.ended(&format!("{}/v1/runs/{}", calm.trainer, begun["id"].as_str().unwrap())).await;
    for left in ["run_root", "policy_sha256", "digest"] {
        assert_eq!(ended[left], expected[left], "{left}");
    }
    let (watched, expected) = (stack.get(&swarm).await, calm.get(&swarm_of(&calm, &expected)).await);
    for left in ["next_window", "state"] {
        assert_eq!(watched[left], expected[left], "{left}");
    }
    stack.assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_is_asked_for_is_proved_like_what_it_was_trained_with() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    let run = stack.ended(&stack.start_run().await).await;
    let policy = format!("{}/v1/policies/{}", stack.trainer, run["id"].as_str().unwrap());
    let ask = async |hours: f64| {
        let request = json!({"tenant": "tenant-research", "workload": "llm_inference", "gpu_hours": hours});
        let body =
            json!({"requests": [request, request], "providers": [{"id": "akash", "available": false}]});
        let request = stack.http.post(format!("{policy}/decisions")).header("idempotency-key", "order-1");
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, served) = ask(0.5).await;
    assert_eq!(status, 200, "{served}");
    assert_eq!(ask(0.5).await, (200, served.clone()));
    assert_eq!(ask(0.6).await.1["code"], "idempotency_key_reused");
    for decision in served["decisions"].as_array().unwrap() {
        let akash = &decision["alternatives"][0];
        assert_eq!((&akash["provider"], &akash["reason"]), (&json!("akash"), &json!("outage")));
        let evidence = stack.http.get(decision["evidence_url"].as_str().unwrap()).send().await.unwrap();
        let evidence = evidence.text().await.unwrap();
        let proved: Value = serde_json::from_str(&evidence).unwrap();
        assert_eq!(proved["log_index"], decision["log_index"]);
        assert_eq!(proved["record"]["provider"], decision["provider"]);
        assert_eq!(proved["record"]["cost_usd"], decision["expected_cost_usd"]);
        assert!(stack.is_valid(&evidence).await);
        let cheaper = evidence.replace("\"action\":\"route\"", "\"action\":\"hold\"");
        assert!(cheaper != evidence && !stack.is_valid(&cheaper).await);
    }
    let decision =
        format!("{}/v1/decisions/{}", stack.trainer, served["decisions"][1]["id"].as_str().unwrap());
    let outcome = json!({"succeeded": true, "latency_ms": 351.25, "cost_usd": 0.97});
    let (status, told) = stack.post(&format!("{decision}/outcome"), &outcome).await;
    assert_eq!(status, 201, "{told}");
    assert_eq!(stack.post(&format!("{decision}/outcome"), &outcome).await, (200, told.clone()));
    let other = json!({"succeeded": false});
    assert_eq!(stack.post(&format!("{decision}/outcome"), &other).await.1["code"], "outcome_conflict");
    assert_eq!(stack.get(&decision).await["outcome"], outcome);
    let record = told["receipt"]["id"].as_str().unwrap();
    let url = format!("{}/v1/log/evidence?record={record}", stack.remembrancer.url());
    let evidence = stack.http.get(url).send().await.unwrap().text().await.unwrap();
    assert!(stack.is_valid(&evidence).await);
    stack.assert_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_its_decisions_its_evaluation_and_their_proofs_can_be_had_by_rest_alone() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    let run = stack.ended(&stack.start_run().await).await;
    let ledger = stack.remembrancer.url();
    let digest = run["digest"].as_str().unwrap();

    let head = stack.get(&format!("{ledger}/v1/log/runs/{digest}")).await;
    assert_eq!(head["run_root"], run["run_root"]);
    assert_eq!(head["next_sequence"], run["progress"]["decisions"]);

    let (status, evaluation) = stack
        .post(
            &format!("{}/v1/evaluations", stack.evaluator),
            &json!({"policies": [run["policy_sha256"]], "environment": {"preset": "contended"}, "seeds": 3, "steps": 10}),
        )
        .await;
    assert_eq!(status, 202, "{evaluation}");
    let url = format!("{}/v1/evaluations/{}", stack.evaluator, evaluation["id"].as_str().unwrap());
    let evaluation = stack.until(&url, |evaluation| evaluation["status"] != "running").await;
    assert_eq!(evaluation["status"], "completed", "{evaluation}");
    assert_eq!(evaluation["result"]["policies"][0]["learned"], true);

    let record = |field: &Value| format!("record={}", field.as_str().unwrap());
    for leaf in
        [format!("run={digest}&sequence=1234"), record(&run["record_id"]), record(&evaluation["record_id"])]
    {
        // as text: what is proved is the record's very characters
        let url = format!("{ledger}/v1/log/evidence?{leaf}");
        let evidence = stack.http.get(url).send().await.unwrap().text().await.unwrap();
        assert!(stack.is_valid(&evidence).await, "{leaf}");
        let index = serde_json::from_str::<Value>(&evidence).unwrap()["log_index"].as_u64().unwrap();
        let moved =
            evidence.replace(&format!("\"log_index\":{index}"), &format!("\"log_index\":{}", index - 1));
        assert!(moved != evidence && !stack.is_valid(&moved).await, "{leaf} at another index");
    }
    stack.assert_intact().await;
}
