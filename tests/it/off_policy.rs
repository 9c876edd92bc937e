//! Policies judged from the log of a deployment that real calls made.

use serde_json::{Value, json};
use test_support::database;

use crate::support::Stack;

/// Windows that are asked in, and requests a window.
const WINDOWS: u32 = 30;
const REQUESTS: usize = 40;

/// A deployment of `cheapest` that takes such a share of its requests to providers at random.
async fn deploy(stack: &Stack, name: &str, epsilon: f64) {
    let policy = json!({"rule": "cheapest", "environment": {"preset": "default"}});
    let (_, policy) = stack.post(&format!("{}/v1/policies", stack.trainer), &policy).await;
    deploy_policy(stack, name, &policy["id"], epsilon, &Value::Null).await;
}

async fn deploy_policy(stack: &Stack, name: &str, policy: &Value, epsilon: f64, preference: &Value) {
    let deployment = json!({
        "name": name, "policy_id": policy, "clock": "caller", "starts_at": "2026-03-02T00:00:00Z",
        "explore": {"epsilon": epsilon, "cost_guard": 10.0}, "outcome_deadline_seconds": 7200,
        "preference": preference,
    });
    let (status, answer) = stack.post(&format!("{}/v1/deployments", stack.trainer), &deployment).await;
    assert_eq!(status, 201, "{answer}");
}

/// Asks it for hours, with everything that there can be in a log: jobs of the cheapest provider fail every other time and are
/// tried again, some outcomes are never told, a provider's price rises.
async fn ask(stack: &Stack, name: &str) {
    let place = format!("{}/v1/deployments/{name}", stack.trainer);
    for window in 0..WINDOWS {
        let now = format!("2026-03-{:02}T{:02}:00:00Z", 2 + window / 24, window % 24);
        let request = |n: usize| {
            let mut request = json!({"tenant": "tenant-research", "workload": "llm_inference", "gpu_type": "A100",
                "gpu_hours": 0.2 + 0.1 * (n % 5) as f64});
            if n % 17 == 3 {
                request["max_latency_ms"] = json!(280.0);
            }
            json!({"request": request})
        };
        let call = json!({"requests": (0..REQUESTS).map(request).collect::<Vec<_>>(), "now": now,
            "providers": [{"id": "akash", "price_multiplier": 1.0 + 0.01 * f64::from(window)}]});
        let (status, answer) = stack.post(&format!("{place}/decisions"), &call).await;
        assert_eq!(status, 200, "{answer}");
        for (n, decision) in answer["decisions"].as_array().unwrap().iter().enumerate() {
            if decision["action"] != "route" || n % 10 == 9 {
                continue;
            }
            let failed = decision["provider"] == "flux" && n % 2 == 0;
            tell(stack, decision, failed).await;
            if failed && n % 4 == 0 {
                let again = json!({"requests": [{"request": request(n)["request"], "retry_of": decision["id"]}], "now": now});
                let (status, answer) = stack.post(&format!("{place}/decisions"), &again).await;
                assert_eq!(status, 200, "{answer}");
                tell(stack, &answer["decisions"][0], false).await;
            }
        }
    }
}

async fn tell(stack: &Stack, decision: &Value, failed: bool) {
    let outcome = match failed {
        true => json!({"succeeded": false}),
        false => {
            let latency_ms = 1.1 * decision["expected_latency_ms"].as_f64().unwrap();
            json!({"succeeded": true, "latency_ms": latency_ms})
        }
    };
    let url = format!("{}/v1/decisions/{}/outcome", stack.trainer, decision["id"].as_str().unwrap());
    let (status, answer) = stack.post(&url, &outcome).await;
    assert_eq!(status, 201, "{answer}");
}

/// The result of an evaluation, and where it is.
async fn evaluated(stack: &Stack, request: &Value) -> (Value, String) {
    let (status, evaluation) = stack.post(&format!("{}/v1/evaluations", stack.evaluator), request).await;
    assert_eq!(status, 202, "{evaluation}");
    let place = format!("{}/v1/evaluations/{}", stack.evaluator, evaluation["id"].as_str().unwrap());
    let ended = stack.until(&place, |evaluation| evaluation["status"] != "running").await;
    assert_eq!(ended["status"], "completed", "{ended}");
    (ended, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_explores_says_what_other_policies_would_have_earned_and_others_find_the_same() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    deploy(&stack, "gateway", 0.45).await;
    ask(&stack, "gateway").await;
    let request = json!({"logged": "gateway", "policies": ["fastest", "cheapest"]});
    let (evaluation, place) = evaluated(&stack, &request).await;
    let result = &evaluation["result"];
    let logged = &result["logged"];
    let [own, fastest, cheapest] = logged["policies"].as_array().unwrap().as_slice() else {
        panic!("{logged}")
    };
    assert_eq!((own["name"].as_str(), own["own"].as_bool()), (Some("cheapest"), Some(true)));
    for policy in [own, fastest, cheapest] {
        assert_eq!(policy["overlap"], 1.0, "{policy}");
        let estimates = &policy["estimates"];
        let figure = |estimator: &str, what: &str| estimates[estimator][what].as_f64().unwrap();
        assert!(figure("doubly_robust", "ci_low") < figure("doubly_robust", "ci_high"), "{policy}");
        let apart = figure("doubly_robust", "mean") - figure("self_normalised", "mean");
        assert!(apart.abs() < 5.0, "{policy}");
    }
    assert_eq!(own["estimates"], cheapest["estimates"]);
    // every other job of flux fails, which is where the cheapest goes
    assert!(fastest["estimates"]["gain"]["ci_low"].as_f64().unwrap() > 0.0, "{fastest}");
    let without = logged["without_outcome"].as_u64().unwrap();
    assert!(without > 50 && without < logged["decisions"].as_u64().unwrap() / 5, "{logged}");
    let verdicts = result["verdicts"].as_array().unwrap();
    assert!(
        verdicts.iter().any(|verdict| verdict.as_str().unwrap().starts_with("fastest would have earned"))
    );

    // what comes later changes nothing for who asks of the same log
    ask_once_more(&stack).await;
    let mut same = request.clone();
    same["log_size"] = logged["log"]["tree_size"].clone();
    let (again, _) = evaluated(&stack, &same).await;
    assert_eq!(again["result"], *result);
    let root = format!("{}/v1/log/proofs/consistency?from={}", stack.remembrancer.url(), same["log_size"]);
    assert_eq!(stack.get(&root).await["from_root"], logged["log"]["root_hash"]);
    let csv = stack.http.get(format!("{place}/results.csv")).send().await.unwrap().text().await.unwrap();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    let page = stack.http.get(format!("{place}/report.html")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("mesh evaluate --logged gateway --policies fastest,cheapest --log-size"), "{page}");
}

async fn ask_once_more(stack: &Stack) {
    let call = json!({"requests": [{"request": {"tenant": "tenant-research", "workload": "llm_inference", "gpu_hours": 1.0}}],
        "now": "2026-03-04T00:00:00Z"});
    let place = format!("{}/v1/deployments/gateway/decisions", stack.trainer);
    assert_eq!(stack.post(&place, &call).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_explore_says_nothing_of_who_decides_otherwise() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    deploy(&stack, "gateway", 0.0).await;
    ask(&stack, "gateway").await;
    let request = json!({"logged": "gateway", "rules": ["fastest"], "policies": ["cheapest"]});
    let (evaluation, _) = evaluated(&stack, &request).await;
    let policies = &evaluation["result"]["logged"]["policies"];
    assert_eq!(policies[1]["name"], "fastest");
    let refusal = policies[1]["refusal"].as_str().unwrap();
    assert!(refusal.contains("it shows too little of what this policy does"), "{refusal}");
    assert_eq!(policies[1].get("estimates"), None);
    // who decides alike earns what was earned
    let same = &policies[2]["estimates"];
    assert_eq!(policies[2]["largest_weight"], 1.0);
    assert!(
        (same["doubly_robust"]["mean"].as_f64().unwrap() - same["logged"]["mean"].as_f64().unwrap()).abs()
            < 1e-9
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_judged_from_a_log_decides_for_what_its_deployment_is_for() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    let run = json!({"agents": 1, "algorithm": "cem", "episodes": 1, "seed": 3,
        "steps_per_episode": 10, "environment": {"preset": "default"}});
    let (_, run) = stack.post(&format!("{}/v1/runs", stack.trainer), &run).await;
    stack.ended(&format!("{}/v1/runs/{}", stack.trainer, run["id"].as_str().unwrap())).await;
    // it was trained for `balanced`, which is not what is wanted here, and least by the tenant that asks
    let wanted = json!({"cost": 8.0, "tenants": {"tenant-research": "fast"}});
    deploy_policy(&stack, "gateway", &run["id"], 0.0, &wanted).await;
    ask(&stack, "gateway").await;
    let request = json!({"logged": "gateway", "policies": [run["id"], "cheapest"]});
    let (evaluation, _) = evaluated(&stack, &request).await;
    let [own, same, cheapest] = evaluation["result"]["logged"]["policies"].as_array().unwrap().as_slice()
    else {
        panic!("{evaluation}")
    };
    assert_eq!((&same["largest_weight"], &same["estimates"]), (&json!(1.0), &own["estimates"]));
    assert!(cheapest["refusal"].is_string(), "{cheapest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_more_leaves_than_there_are_is_pointed_at() {
    let database = database().await;
    let stack = Stack::start(&database).await;
    deploy(&stack, "gateway", 0.45).await;
    let request = json!({"logged": "gateway", "policies": ["fastest"], "log_size": 1_000_000});
    let (status, problem) = stack.post(&format!("{}/v1/evaluations", stack.evaluator), &request).await;
    assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (422, Some("/log_size")), "{problem}");
    let (evaluation, _) = evaluated(&stack, &json!({"logged": "gateway", "policies": ["fastest"]})).await;
    let policy = &evaluation["result"]["logged"]["policies"][1];
    assert_eq!(policy["refusal"], "The log has no decision whose outcome was told.");
}
