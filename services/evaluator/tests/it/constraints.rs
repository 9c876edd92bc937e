//! Evaluations under constraints, over HTTP.

use serde_json::json;
use test_support::FakeRemembrancer;

use crate::support::evaluator;

#[tokio::test]
async fn a_constraint_is_met_by_whoever_heeds_it_and_judged_beside_the_limit_under_it() {
    let ledger = FakeRemembrancer::start().await;
    let evaluator = evaluator(ledger.url()).await;
    let request = |preference| {
        json!({
            "rules": ["cheapest", "bid-price"],
            "environment": {"preset": "contended"},
            "seeds": 2,
            "steps": 20,
            "preference": preference,
        })
    };
    let free = evaluator.completed(&request(json!({"cost": 3}))).await.result.unwrap();
    assert!(free.constraints.is_empty());
    let bound = 0.98 * free.policies[2].metrics.avg_latency_ms.unwrap().mean;
    let wanted = json!({"cost": 3, "at_most": {"avg_latency_ms": bound}, "at_least": {"fill_rate": 1}});
    let evaluation = evaluator.completed(&request(wanted)).await;
    assert_eq!((evaluation.limit_steps_done, evaluation.limit_steps_total), (40, 40));
    let result = evaluation.result.unwrap();
    let [latency, fill] = &result.constraints[..] else { panic!("{:?}", result.constraints) };
    assert_eq!(
        (latency.figure.as_str(), latency.at_most, latency.at_least),
        ("avg_latency_ms", Some(bound), None)
    );
    let names: Vec<&str> = result.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["weighted-score", "cheapest", "bid-price"]);
    assert_eq!(latency.policies.len(), 3);
    let limit = latency.limit.unwrap();
    assert_eq!((limit.episodes, limit.met_on), (2, 2));
    // a fill of 1 is out of reach of everybody, and the answer says by how much at best
    let (at_best, heeding) = (fill.limit.unwrap(), fill.policies[2]);
    assert_eq!((at_best.met_on, heeding.met_on), (0, 0));
    assert!(0.01 < at_best.missed_by && at_best.missed_by < heeding.missed_by, "{at_best:?} {heeding:?}");
    assert!(
        result.verdicts.iter().any(|verdict| verdict.starts_with("Nobody can keep fill_rate at least 1"))
    );
    assert_eq!(result.best_rule, free.best_rule);
    assert!(result.limit.unwrap().reward.unwrap().mean < free.limit.unwrap().reward.unwrap().mean);
}

#[tokio::test]
async fn the_worst_tenant_gets_its_share_where_that_is_constrained() {
    let ledger = FakeRemembrancer::start().await;
    let evaluator = evaluator(ledger.url()).await;
    let request = |preference| {
        let environment = json!({"preset": "overloaded"});
        json!({"rules": ["cheapest", "bid-price"], "environment": environment, "seeds": 2, "steps": 40, "preference": preference})
    };
    let free = evaluator.completed(&request(json!({}))).await.result.unwrap();
    let worst = free.policies[2].metrics.worst_tenant_gpu_hours_fill.unwrap().mean;
    let wanted = json!({"at_least": {"worst_tenant_gpu_hours_fill": 1.02 * worst}});
    let result = evaluator.completed(&request(wanted)).await.result.unwrap();
    let [constraint] = &result.constraints[..] else { panic!("{:?}", result.constraints) };
    assert_eq!(constraint.figure, "worst_tenant_gpu_hours_fill");
    let (cheapest, heeding) = (constraint.policies[1], constraint.policies[2]);
    assert!(cheapest.price.is_none() && heeding.price.unwrap() > 0.0, "{cheapest:?} {heeding:?}");
    // on some seeds nobody can; who heeds it misses it by less than who does not, and by no less than the limit
    let at_best = constraint.limit.unwrap();
    assert!(at_best.missed_by <= heeding.missed_by, "{at_best:?} {heeding:?}");
    assert!(heeding.missed_by < cheapest.missed_by, "{heeding:?} {cheapest:?}");
    let served = result.policies[2].metrics.worst_tenant_gpu_hours_fill.unwrap().mean;
    assert!(served > 1.005 * worst, "{served} of {worst}");
    assert!(result.limit.unwrap().reward.unwrap().mean < free.limit.unwrap().reward.unwrap().mean);
}

#[tokio::test]
async fn one_constraint_is_kept_by_whoever_heeds_it_alone() {
    let ledger = FakeRemembrancer::start().await;
    let request = json!({
        "rules": ["cheapest", "bid-price"],
        "environment": {"preset": "contended"},
        "seeds": 3,
        "steps": 40,
        "preference": {"at_most": {"avg_latency_ms": 308}},
    });
    let result = evaluator(ledger.url()).await.completed(&request).await.result.unwrap();
    let kept = |policy: usize| result.constraints[0].policies[policy];
    assert!(kept(2).met_on == 3 && kept(2).price.unwrap() > 0.0, "{:?}", kept(2));
    assert!(kept(1).met_on < 3 && kept(1).price.is_none(), "{:?}", kept(1));
}
