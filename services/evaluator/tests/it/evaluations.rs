//! `/v1/evaluations`, over HTTP.

use api::{
    Hash, Page,
    evaluator::{Evaluation, EvaluationStatus},
};
use routing_env::{Catalog, Environment, Preset, Workloads};
use serde_json::{Value, json};
use test_support::{FakeRemembrancer, Fault, eventually};

use crate::support::{evaluator, policy_file};

fn contended() -> Environment {
    Environment::built_in(Preset::Contended).with_steps(2)
}

/// A small evaluation of these policies.
fn request(policies: &[Hash]) -> Value {
    json!({"policies": policies, "environment": {"preset": "contended"}, "seeds": 3, "steps": 2})
}

#[tokio::test]
async fn rules_alone_are_compared_and_the_result_is_recorded() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let accepted = service.accepted(&request(&[])).await;
    let episodes = 3 * policy::Rule::ALL.len() as u64;
    assert_eq!(accepted.episodes_total, episodes);
    let evaluation = service.ended(accepted.id).await;
    let result = evaluation.result.unwrap();
    assert_eq!(evaluation.episodes_done, episodes);
    assert_eq!(result.environment, "contended");
    assert_eq!(result.seeds, [1 << 32, (1 << 32) + 1, (1 << 32) + 2]);
    let names: Vec<&str> = result.policies.iter().map(|p| p.name.as_str()).collect();
    let rules: Vec<&str> = policy::Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names, rules);
    let best = result.policies.iter().find(|p| Some(&p.name) == result.best_rule.as_ref()).unwrap();
    let reward = |p: &api::evaluator::PolicyResult| p.metrics.reward.unwrap().mean;
    assert!(result.policies.iter().all(|p| reward(p) <= reward(best)));
    for policy in &result.policies {
        let expected = reward(policy) - reward(&result.policies[0]);
        assert!((policy.versus_baseline.reward.unwrap().mean - expected).abs() < 1e-9);
    }
    let records = ledger.records_of("evaluation.completed");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].subject, format!("evaluation:{}", evaluation.id));
    assert_eq!(Some(&records[0].id), evaluation.record_id.as_ref());
    assert_eq!(records[0].body["environment_digest"], json!(result.environment_digest));
}

#[tokio::test]
async fn a_learned_policy_comes_first_and_is_judged_in_sentences() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = ledger.put_artifact(&serde_json::to_vec(&policy_file(&contended(), 7)).unwrap());
    let result = service.completed(&request(&[policy])).await.result.unwrap();
    assert_eq!(result.policies.len(), 2 + policy::Rule::ALL.len());
    let [trained, untrained] = [&result.policies[0], &result.policies[1]];
    assert_eq!(trained.policy_sha256, Some(policy));
    assert!(trained.learned && trained.name == "q-learning" && trained.versus_untrained.is_some());
    assert!(untrained.learned && untrained.name == "q-learning" && untrained.trained_episodes == Some(0));
    assert_eq!((untrained.policy_sha256, &untrained.versus_untrained), (None, &None));
    let title = format!("q-learning ({})", &policy.to_string()[..8]);
    assert!(
        result.verdicts[0].contains(&title)
            && result.verdicts[0].contains("the same algorithm never trained")
    );
    assert!(result.verdicts.iter().any(|verdict| verdict.starts_with(&title)), "{:?}", result.verdicts);
}

#[tokio::test]
async fn the_same_evaluation_gives_the_same_result_bytes() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = ledger.put_artifact(&serde_json::to_vec(&policy_file(&contended(), 7)).unwrap());
    let one = service.completed(&request(&[policy])).await;
    let two = service.completed(&request(&[policy])).await;
    assert_ne!(one.id, two.id);
    assert_eq!(
        serde_json::to_string(&one.result.unwrap()).unwrap(),
        serde_json::to_string(&two.result.unwrap()).unwrap()
    );
    let records = ledger.records_of("evaluation.completed");
    assert_eq!(records[0].body, records[1].body);
}

#[tokio::test]
async fn a_result_survives_a_restart_to_the_last_byte() {
    let ledger = FakeRemembrancer::start().await;
    let first = evaluator(ledger.url()).await;
    let mut workloads = serde_json::to_value(Workloads::built_in()).unwrap();
    // an order that is not the alphabet's
    let profiles = workloads["workload_profiles"].as_object().unwrap();
    let mut names: Vec<String> = profiles.keys().cloned().collect();
    names.sort();
    let mix: serde_json::Map<String, Value> =
        names.into_iter().rev().take(2).map(|name| (name, json!(0.5))).collect();
    workloads["tenants"][0]["mix"] = Value::Object(mix);
    let body = json!({"environment": {"workloads": workloads}, "seeds": 2, "steps": 3});
    let before = first.completed(&body).await;
    let path = format!("/v1/evaluations/{}", before.id);
    let csv = first.get(&format!("{path}/results.csv")).await.text().await.unwrap();
    drop(first);
    let second = evaluator(ledger.url()).await;
    let after: Evaluation = second.get(&path).await.json().await.unwrap();
    let text = |e: &Evaluation| serde_json::to_string(&(&e.result, &e.config, &e.record_id)).unwrap();
    assert_eq!(text(&after), text(&before));
    assert_eq!(after.status, EvaluationStatus::Completed);
    assert_eq!(second.get(&format!("{path}/results.csv")).await.text().await.unwrap(), csv);
    let page: Page<Evaluation> = second.get("/v1/evaluations").await.json().await.unwrap();
    assert_eq!(page.items.iter().map(|e| e.id).collect::<Vec<_>>(), [before.id]);
}

#[tokio::test]
async fn csv_has_a_row_for_every_policy_and_metric() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let evaluation = service.completed(&request(&[])).await;
    let answer = service.get(&format!("/v1/evaluations/{}/results.csv", evaluation.id)).await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let csv = answer.text().await.unwrap();
    let result = evaluation.result.unwrap();
    // of each rule 12 figures, 4 of the gaps, 4 of each of the 4 tenants, 1 of each size and of each step; and 5 of the
    // limit
    let steps = result.steps as usize;
    assert_eq!(csv.lines().count(), 1 + policy::Rule::ALL.len() * (12 + 4 + 16 + 3 + steps) + 5);
    assert!(csv.starts_with(
        "policy,learned,metric,mean,ci_low,ci_high,iqm,std_dev,training_std_dev,diff_to_baseline,"
    ));
    let fill = result.policies[1].metrics.fill_rate.unwrap();
    let row =
        format!("cheapest,false,fill_rate,{},{},{},{},", fill.mean, fill.ci_low, fill.ci_high, fill.iqm);
    assert!(csv.contains(&row), "{row} is not in {csv}");
    let reward = result.limit.unwrap().reward.unwrap();
    let row = format!("limit,false,reward,{},", reward.mean);
    assert!(csv.contains(&row), "{row} is not in {csv}");
}

#[tokio::test]
async fn a_policy_that_is_not_there_is_refused_with_what_to_do() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let missing = Hash([9; 32]);
    let (status, problem) = service.refused(&request(&[missing])).await;
    assert_eq!((status, problem.code.as_str()), (404, "policy_not_found"));
    assert!(problem.detail.contains(&format!("PUT the policy file to its /v1/artifacts/{missing}")));
}

#[tokio::test]
async fn a_policy_of_another_catalog_is_refused_with_both_lists() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let mut catalog = Catalog::built_in();
    catalog.providers.truncate(6);
    let other = Environment::new(catalog, Workloads::built_in(), Preset::Steady);
    let policy =
        ledger.put_artifact(&serde_json::to_vec(&policy_file(&other.unwrap().with_steps(1), 7)).unwrap());
    let (status, problem) = service.refused(&request(&[policy])).await;
    assert_eq!((status, problem.code.as_str()), (409, "policy_mismatch"));
    let all: Vec<String> = Catalog::built_in().providers.into_iter().map(|p| p.id).collect();
    assert!(problem.detail.contains(&all.join(", ")), "{}", problem.detail);
    assert!(problem.detail.contains(&format!("{}, this", all[..6].join(", "))), "{}", problem.detail);
}

#[tokio::test]
async fn a_policy_that_was_trained_on_a_test_seed_is_refused() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let mut file = policy_file(&contended(), 7);
    file.training.first_seed = api::FIRST_HELD_OUT_SEED - 10;
    file.training.episodes = 13; // the last training seed is the third test seed
    let overlapping = ledger.put_artifact(&serde_json::to_vec(&file).unwrap());
    let (status, problem) = service.refused(&request(&[overlapping])).await;
    assert_eq!((status, problem.code.as_str()), (409, "seeds_overlap"));
    assert!(problem.detail.contains("4294967298"), "{}", problem.detail);
    file.training.episodes = 10; // the last one before them
    let beside = ledger.put_artifact(&serde_json::to_vec(&file).unwrap());
    service.completed(&request(&[beside])).await;
}

#[tokio::test]
async fn an_artifact_that_is_no_policy_is_refused() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let mut damaged = serde_json::to_value(policy_file(&contended(), 7)).unwrap();
    damaged["agents"].as_array_mut().unwrap().pop();
    for content in [b"hello".to_vec(), b"{}".to_vec(), serde_json::to_vec(&damaged).unwrap()] {
        let artifact = ledger.put_artifact(&content);
        let (status, problem) = service.refused(&request(&[artifact])).await;
        assert_eq!((status, problem.code.as_str()), (422, "invalid_policy"), "{}", problem.detail);
    }
}

#[tokio::test]
async fn wrong_fields_are_pointed_at_and_nothing_is_started() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    for (body, pointer) in [
        (json!({"seeds": 1}), "/seeds"),
        (json!({"first_seed": 5}), "/first_seed"),
        (json!({"seed": 3}), "/seed"),
        (json!({"rules": ["best"]}), "/rules/0"),
        (json!({"environment": {"preset": "calm"}}), "/environment/preset"),
        (json!({"environment": {"providers": {"providers": []}}}), "/environment/providers/providers"),
        (json!({"environment": {"workloads": {"tenants": 3}}}), "/environment/workloads/tenants"),
        (json!({"policies": ["abc"]}), "/policies/0"),
        (json!({"limit_steps": 1_000_001}), "/limit_steps"),
    ] {
        let (status, problem) = service.refused(&body).await;
        assert_eq!((status, problem.code.as_str()), (422, "invalid_request"), "{body}");
        assert!(problem.errors.iter().any(|e| e.pointer == pointer), "{body}: {:?}", problem.errors);
    }
    let page: Page<Evaluation> = service.get("/v1/evaluations").await.json().await.unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test]
async fn the_same_key_gets_the_same_evaluation_and_no_other_request() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let one: Evaluation = service.post(&request(&[]), Some("k")).await.json().await.unwrap();
    let two: Evaluation = service.post(&request(&[]), Some("k")).await.json().await.unwrap();
    assert_eq!(one.id, two.id);
    let other = service.post(&json!({"seeds": 2}), Some("k")).await;
    assert_eq!(other.status(), 409);
    assert_eq!(other.json::<api::Problem>().await.unwrap().code, "idempotency_key_reused");
    let page: Page<Evaluation> = service.get("/v1/evaluations").await.json().await.unwrap();
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn while_the_remembrancer_is_away_results_wait_and_nothing_is_accepted() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let mut longer = request(&[]);
    longer["steps"] = json!(120);
    longer["limit_steps"] = json!(1);
    let id = service.accepted(&longer).await.id;
    service.under_way(id).await;
    ledger.faults().set(Fault::Refuse);
    let answer = service.post(&request(&[]), None).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<api::Problem>().await.unwrap().code, "remembrancer_unavailable");
    assert_eq!(service.get("/readyz").await.status(), 503);

    let path = format!("/v1/evaluations/{id}");
    eventually("all episodes are played", async || {
        let waiting: Evaluation = service.get(&path).await.json().await.unwrap();
        if waiting.episodes_done == waiting.episodes_total { Ok(()) } else { Err(waiting) }
    })
    .await;
    let failed = ledger.faults().failed();
    eventually("the result has been offered twice", async || {
        let since = ledger.faults().failed() - failed;
        if since >= 2 { Ok(()) } else { Err(since) }
    })
    .await;
    let waiting: Evaluation = service.get(&path).await.json().await.unwrap();
    assert_eq!(waiting.status, EvaluationStatus::Running);
    let csv = service.get(&format!("{path}/results.csv")).await;
    assert_eq!(csv.status(), 409);
    ledger.faults().clear();
    assert_eq!(service.ended(id).await.status, EvaluationStatus::Completed);
    assert_eq!(service.get("/readyz").await.status(), 200);
}

#[tokio::test]
async fn pages_follow_one_another_whoever_recorded_what_is_on_them() {
    let ledger = FakeRemembrancer::start().await;
    let earlier = evaluator(ledger.url()).await;
    let recorded = earlier.completed(&request(&[])).await.id;
    drop(earlier);
    let service = evaluator(ledger.url()).await;
    let mut expected = vec![recorded];
    for _ in 0..2 {
        expected.insert(0, service.completed(&request(&[])).await.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/v1/evaluations?limit=1{cursor}")).await;
        let page: Page<Evaluation> = page.json().await.unwrap();
        seen.extend(page.items.iter().map(|e| e.id));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, expected);
    let wrong = service.get("/v1/evaluations?cursor=nonsense").await;
    assert_eq!(wrong.status(), 422);
}

#[tokio::test]
async fn an_unknown_evaluation_is_404_and_a_wrong_id_422() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let unknown = service.get("/v1/evaluations/01980000-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<api::Problem>().await.unwrap().code, "evaluation_not_found");
    assert_eq!(service.get("/v1/evaluations/x").await.status(), 422);
}

#[tokio::test]
async fn the_document_is_the_one_that_the_service_shows() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let shown: Value = service.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(shown, serde_json::to_value(evaluator::openapi()).unwrap());
    assert!(shown["paths"]["/v1/evaluations/{id}/results.csv"]["get"].is_object());
}
