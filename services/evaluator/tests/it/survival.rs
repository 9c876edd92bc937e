//! Evaluations outlive whoever works on them.

use std::time::Duration;

use api::{
    Hash, Page,
    evaluator::{Evaluation, EvaluationStatus},
    remembrancer::{Fence, LeaseClaim, LeaseRelease, Record},
};
use client::{Endpoint, Remembrancer};
use records::{Body as _, evaluation::Created};
use serde_json::{Value, json};
use test_support::{FakeRemembrancer, eventually};
use uuid::Uuid;

use crate::support::{Killable, evaluator};

/// An evaluation that takes long enough to be interrupted.
fn long() -> Value {
    json!({"environment": {"preset": "contended"}, "seeds": 12, "steps": 60, "limit_steps": 1})
}

fn short() -> Value {
    json!({"environment": {"preset": "contended"}, "seeds": 2, "steps": 2, "limit_steps": 0})
}

fn results(ledger: &FakeRemembrancer, id: Uuid) -> Vec<Record> {
    let subject = format!("evaluation:{id}");
    ledger.records_of("evaluation.completed").into_iter().filter(|record| record.subject == subject).collect()
}

#[tokio::test]
async fn an_evaluation_whose_evaluator_was_killed_ends_on_another_with_the_same_id_and_figures() {
    let ledger = FakeRemembrancer::start().await;
    let first = Killable::start(ledger.url()).await;
    let id = first.service().accepted(&long()).await.id;
    first.service().under_way(id).await;
    first.kill();
    assert_eq!(results(&ledger, id).len(), 0);

    let second = evaluator(ledger.url()).await;
    ledger.run_out_leases();
    let resumed = second.ended(id).await;
    assert_eq!((resumed.id, resumed.status), (id, EvaluationStatus::Completed));
    assert_eq!(results(&ledger, id).len(), 1);

    let undisturbed = second.completed(&long()).await;
    let text = |evaluation: Evaluation| serde_json::to_string(&evaluation.result.unwrap()).unwrap();
    assert_eq!(text(resumed), text(undisturbed));
}

#[tokio::test]
async fn an_evaluator_that_shuts_down_gives_its_work_back() {
    let ledger = FakeRemembrancer::start().await;
    let first = evaluator(ledger.url()).await;
    let id = first.accepted(&long()).await.id;
    first.under_way(id).await;
    drop(first);
    let second = evaluator(ledger.url()).await; // its leases last for an hour, and so did the first one's
    assert_eq!(second.ended(id).await.status, EvaluationStatus::Completed);
    assert_eq!(results(&ledger, id).len(), 1);
}

#[tokio::test]
async fn an_evaluator_that_lost_its_lease_writes_nothing() {
    let ledger = FakeRemembrancer::start().await;
    let remembrancer = Remembrancer::new(Endpoint::new(ledger.url())).unwrap();
    let service = evaluator(ledger.url()).await;
    let id = service.accepted(&long()).await.id;
    service.under_way(id).await;
    ledger.run_out_leases();
    let name = format!("evaluation:{id}");
    let claim = LeaseClaim { holder: "another".into(), ttl_ms: 3_600_000 };
    let claimed = remembrancer.claim_lease(&name, &claim).await.unwrap();
    eventually("the evaluator stopped working on it", async || {
        let at_work = service.metric("ai_mesh_evaluations_at_work").await;
        if at_work == 0.0 { Ok(()) } else { Err(at_work) }
    })
    .await;
    let told: Evaluation = service.get(&format!("/v1/evaluations/{id}")).await.json().await.unwrap();
    assert_eq!(told.status, EvaluationStatus::Running);
    assert!(ledger.records().iter().all(|record| record.id != id.to_string()));

    let fence = Fence { lease: name.clone(), token: claimed.token };
    remembrancer.release_lease(&fence.lease, &LeaseRelease { token: fence.token }).await.unwrap();
    assert_eq!(service.ended(id).await.status, EvaluationStatus::Completed);
    assert_eq!(results(&ledger, id).len(), 1);
}

#[tokio::test]
async fn evaluators_on_one_ledger_do_no_work_twice() {
    let ledger = FakeRemembrancer::start().await;
    let evaluators = [evaluator(ledger.url()).await, evaluator(ledger.url()).await];
    let mut ids = Vec::new();
    for _ in 0..3 {
        for service in &evaluators {
            ids.push(service.accepted(&short()).await.id);
        }
    }
    for id in &ids {
        let [one, other] = [&evaluators[0], &evaluators[1]];
        assert_eq!(one.ended(*id).await.result, other.ended(*id).await.result);
        assert_eq!(results(&ledger, *id).len(), 1);
    }
    let (mut completed, mut episodes) = (0.0, 0.0);
    for service in &evaluators {
        completed += service.metric("ai_mesh_evaluations_total").await;
        episodes += service.metric("ai_mesh_evaluation_episodes_total").await;
    }
    let rules = policy::Rule::ALL.len();
    assert_eq!((completed, episodes), (6.0, (6 * 2 * rules) as f64));
}

#[tokio::test]
async fn a_key_and_the_list_are_the_same_on_every_evaluator() {
    let ledger = FakeRemembrancer::start().await;
    let [one, other] = [evaluator(ledger.url()).await, evaluator(ledger.url()).await];
    let first: Evaluation = one.post(&short(), Some("k")).await.json().await.unwrap();
    let again: Evaluation = other.post(&short(), Some("k")).await.json().await.unwrap();
    assert_eq!((first.id, first.created_at), (again.id, again.created_at));
    let reused = other.post(&long(), Some("k")).await;
    assert_eq!(reused.json::<api::Problem>().await.unwrap().code, "idempotency_key_reused");
    one.ended(first.id).await;
    for service in [&one, &other] {
        let page: Page<Evaluation> = service.get("/v1/evaluations").await.json().await.unwrap();
        let listed: Vec<_> = page.items.iter().map(|e| (e.id, e.status, e.created_at)).collect();
        assert_eq!(listed, [(first.id, EvaluationStatus::Completed, first.created_at)]);
    }
}

#[tokio::test]
async fn what_cannot_be_done_any_more_is_recorded_as_failed() {
    let ledger = FakeRemembrancer::start().await;
    let remembrancer = Remembrancer::new(Endpoint::new(ledger.url())).unwrap();
    let id = Uuid::now_v7();
    let config =
        serde_json::from_value(json!({"policies": [Hash([9; 32])], "seeds": 2, "steps": 2})).unwrap();
    let created = Created::new(id, config, None).unwrap();
    remembrancer.post_record(&created.to_record().unwrap()).await.unwrap();
    let service = evaluator(ledger.url()).await;
    let failed = service.ended(id).await;
    assert_eq!(failed.status, EvaluationStatus::Failed);
    assert!(failed.error.unwrap().contains("has no artifact 0909"));
    assert_eq!(ledger.records_of("evaluation.failed").len(), 1);
    tokio::time::timeout(Duration::from_secs(120), service.completed(&short())).await.unwrap();
}

#[tokio::test]
async fn evaluations_of_earlier_versions_are_listed_after_the_others() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let early = service.completed(&short()).await.id;
    ledger.tamper_records(|records| {
        records.retain(|record| record.id == early.to_string());
        records[0].kind = "evaluation".parse().unwrap();
    });
    let later = service.completed(&short()).await.id;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.get(&format!("/v1/evaluations?limit=1{cursor}")).await;
        let page: Page<Evaluation> = page.json().await.unwrap();
        seen.extend(page.items.iter().map(|e| (e.id, e.status)));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [(later, EvaluationStatus::Completed), (early, EvaluationStatus::Completed)]);
}
