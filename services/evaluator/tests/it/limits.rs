//! The physical limit in evaluations, over HTTP.

use api::evaluator::{EvaluationResult, Share};
use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{Service, evaluator};

/// A small evaluation with a limit.
fn request(preset: &str) -> Value {
    json!({"rules": ["cheapest", "defer-large"], "environment": {"preset": preset}, "seeds": 3, "steps": 4})
}

/// What the counter of the limit's steps says of a source.
async fn limit_steps(service: &Service, source: &str) -> u64 {
    let metrics = service.get("/metrics").await.text().await.unwrap();
    let name = format!("ai_mesh_evaluation_limit_steps_total{{source=\"{source}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("0");
    value.parse().unwrap()
}

fn bytes(result: &EvaluationResult) -> String {
    serde_json::to_string(result).unwrap()
}

#[tokio::test]
async fn every_policy_is_told_which_share_of_the_gap_to_the_limit_it_closes() {
    let ledger = FakeRemembrancer::start().await;
    let evaluation = evaluator(ledger.url()).await.completed(&request("contended")).await;
    assert_eq!((evaluation.limit_steps_done, evaluation.limit_steps_total), (12, 12));
    let result = evaluation.result.unwrap();
    let limit = result.limit.unwrap();
    assert_eq!((limit.steps_solved, limit.steps_total), (12, 12));
    assert!(limit.note.contains("all 4 steps of every episode"), "{}", limit.note);
    let best = limit.reward.unwrap().mean;
    let reward = |i: usize| result.policies[i].metrics.reward.unwrap().mean;
    for (i, policy) in result.policies.iter().enumerate() {
        assert!(reward(i) <= best && policy.metrics.fill_rate.unwrap().mean <= limit.fill_rate.unwrap().mean);
        let expected = (reward(i) - reward(0)) / (best - reward(0));
        assert!((policy.gap_closed.unwrap().mean - expected).abs() < 1e-9, "{}", policy.name);
        assert!((policy.reward_on_limit_steps.unwrap().mean - reward(i)).abs() < 1e-9);
        assert_eq!(policy.informed_gap_closed, None);
        assert_eq!(policy.reward_by_seed.len(), 3);
    }
    let nothing = Share { mean: 0.0, ci_low: 0.0, ci_high: 0.0 };
    assert_eq!(result.policies[0].gap_closed, Some(nothing));
    let tie = Share { mean: 0.5, ci_low: 0.5, ci_high: 0.5 };
    assert_eq!(result.policies[0].probability_of_improvement, Some(tie));
    let headroom = limit.headroom.unwrap().mean;
    assert!((headroom - (best - reward(0)) / reward(0)).abs() < 1e-9);
}

#[tokio::test]
async fn a_sample_of_the_steps_compares_everybody_on_the_same_ones() {
    let ledger = FakeRemembrancer::start().await;
    let mut sampled = request("contended");
    sampled["limit_steps"] = json!(2);
    let result = evaluator(ledger.url()).await.completed(&sampled).await.result.unwrap();
    let limit = result.limit.unwrap();
    assert_eq!((limit.steps_solved, limit.steps_total), (6, 12));
    assert!(limit.note.contains("2 of the 4 steps"), "{}", limit.note);
    let best = limit.reward.unwrap().mean;
    let on_sample = |i: usize| result.policies[i].reward_on_limit_steps.unwrap().mean;
    for (i, policy) in result.policies.iter().enumerate() {
        assert!((on_sample(i) - policy.metrics.reward.unwrap().mean).abs() > 1e-6, "{}", policy.name);
        let expected = (on_sample(i) - on_sample(0)) / (best - on_sample(0));
        assert!((policy.gap_closed.unwrap().mean - expected).abs() < 1e-9, "{}", policy.name);
    }
}

#[tokio::test]
async fn no_limit_is_solved_where_none_is_wanted() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let mut without = request("contended");
    without["limit_steps"] = json!(0);
    let evaluation = service.completed(&without).await;
    let result = evaluation.result.unwrap();
    assert_eq!((evaluation.limit_steps_total, result.limit), (0, None));
    assert!(result.policies.iter().all(|p| p.gap_closed.is_none() && p.reward_on_limit_steps.is_none()));
    assert_eq!(limit_steps(&service, "solved").await, 0);
    assert!(ledger.records_of("limit.solved").is_empty());
}

#[tokio::test]
async fn a_limit_is_solved_once_by_a_process_and_once_by_all_processes() {
    let ledger = FakeRemembrancer::start().await;
    let first = evaluator(ledger.url()).await;
    let one = first.completed(&request("congested")).await.result.unwrap();
    assert_eq!((limit_steps(&first, "solved").await, limit_steps(&first, "known").await), (12, 0));
    assert_eq!(ledger.records_of("limit.solved").len(), 3);

    ledger.tamper_records(Vec::clear); // its own memory is enough
    let again = first.completed(&request("congested")).await;
    assert_eq!(again.limit_steps_done, 12);
    assert_eq!((limit_steps(&first, "solved").await, limit_steps(&first, "known").await), (12, 12));
    assert!(ledger.records_of("limit.solved").is_empty());
    assert_eq!(bytes(&again.result.unwrap()), bytes(&one));
    drop(first);

    let second = evaluator(ledger.url()).await;
    let mut fewer_seeds = request("congested");
    fewer_seeds["seeds"] = json!(2);
    second.completed(&fewer_seeds).await;
    assert_eq!((limit_steps(&second, "solved").await, limit_steps(&second, "known").await), (8, 0));
    drop(second);

    let third = evaluator(ledger.url()).await;
    let more_seeds = third.completed(&request("congested")).await.result.unwrap();
    assert_eq!((limit_steps(&third, "solved").await, limit_steps(&third, "known").await), (4, 8));
    assert_eq!(bytes(&more_seeds), bytes(&one));
}

#[tokio::test]
async fn a_record_that_cannot_be_the_limit_is_solved_again() {
    let ledger = FakeRemembrancer::start().await;
    let first = evaluator(ledger.url()).await;
    let expected = first.completed(&request("contended")).await.result.unwrap();
    drop(first);
    let planted: [(&str, Value); 3] = [
        ("reward", json!("much")),    // no figure
        ("reward", json!(1.0)),       // the rules earned more
        ("requests", json!(123_u64)), // there were others
    ];
    ledger.tamper_records(|records| {
        let limits = records.iter_mut().filter(|record| record.kind.as_str() == "limit.solved");
        for (record, (field, value)) in limits.zip(planted) {
            record.body.insert(field.into(), value);
        }
    });
    let second = evaluator(ledger.url()).await;
    let evaluation = second.completed(&request("contended")).await;
    assert_eq!(bytes(&evaluation.result.unwrap()), bytes(&expected));
    assert_eq!((limit_steps(&second, "solved").await, limit_steps(&second, "known").await), (12, 0));
}

#[tokio::test]
async fn hidden_knowledge_has_a_reference_and_the_limit_of_one_who_knows_it() {
    let ledger = FakeRemembrancer::start().await;
    let request = json!({"environment": {"preset": "drifting"}, "seeds": 6, "steps": 24});
    let result = evaluator(ledger.url()).await.completed(&request).await.result.unwrap();
    let limit = result.limit.as_ref().unwrap();
    assert_eq!((limit.steps_solved, limit.steps_total), (144, 144));
    let find = |name: &str| result.policies.iter().find(|p| p.name == name).unwrap();
    let informed = find("bid-price-informed");
    assert!(informed.reference && !find("bid-price").reference);
    let reward = |name: &str| find(name).metrics.reward.unwrap().mean;
    assert!(
        reward("bid-price-informed") > reward(result.best_rule.as_ref().unwrap()),
        "a reference is no rival"
    );
    let whole = Share { mean: 1.0, ci_low: 1.0, ci_high: 1.0 };
    assert_eq!(informed.informed_gap_closed, Some(whole));
    let closed = find("defer-large").informed_gap_closed.unwrap().mean;
    let expected =
        (reward("defer-large") - reward("bid-price")) / (reward("bid-price-informed") - reward("bid-price"));
    assert!((closed - expected).abs() < 1e-9);
    let gap_closed = |name: &str| find(name).gap_closed.unwrap().mean;
    assert!((0.8..1.0).contains(&gap_closed("bid-price-informed")), "{}", gap_closed("bid-price-informed"));
    assert!(gap_closed("bid-price") < gap_closed("bid-price-informed"));
    assert!(result.verdicts.iter().any(|said| said.contains("what is hidden")), "{:?}", result.verdicts);
}

#[tokio::test]
async fn the_default_environment_has_nothing_to_learn_and_the_report_says_so() {
    let ledger = FakeRemembrancer::start().await;
    let request = json!({"seeds": 4, "steps": 20});
    let result = evaluator(ledger.url()).await.completed(&request).await.result.unwrap();
    let verdict = result.verdicts.last().unwrap();
    assert!(verdict.ends_with("of the physical limit: there is nothing to learn here."), "{verdict}");
}
