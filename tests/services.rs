//! All four services as they are, over HTTP, with a network between them that fails.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::Stack;
use test_support::{ProxyMode, database};

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
