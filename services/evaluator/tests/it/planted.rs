//! Whoever can post to the ledger can plant records under the evaluator's names, and take its ids first.

use api::{
    Page,
    evaluator::{Evaluation, EvaluationStatus},
};
use serde_json::{Value, json};
use test_support::FakeRemembrancer;
use uuid::Uuid;

use crate::support::evaluator;

fn short() -> Value {
    json!({"environment": {"preset": "contended"}, "seeds": 2, "steps": 2, "limit_steps": 1})
}

/// Bodies that no evaluator writes.
fn odd_bodies() -> Vec<Value> {
    vec![
        json!({}),
        json!({"evaluation_id": 7, "config": [], "config_text": null}),
        json!({"evaluation_id": Uuid::nil(), "config": {}, "config_text": "{\"seeds\": \"many\"}"}),
        json!({"config": {}, "config_text": "not JSON", "error": "x", "result": {"policies": {}}}),
    ]
}

#[tokio::test]
async fn planted_records_are_passed_over_and_hide_nothing() {
    let ledger = FakeRemembrancer::start().await;
    ledger.set_page_size(50);
    let plant = |part: usize| {
        for number in 0..15 {
            for (form, body) in odd_bodies().into_iter().enumerate() {
                let id = Uuid::from_u128((part * 1000 + number * 10 + form) as u128);
                let subject = format!("evaluation:{id}");
                for kind in ["evaluation.created", "evaluation", "evaluation.created.again"] {
                    ledger.plant_record(&format!("{id}:{kind}"), kind, &subject, body.clone());
                }
                ledger.plant_record(&format!("{id}:created"), "evaluation.created", "elsewhere", body);
            }
        }
    };
    plant(1);
    let service = evaluator(ledger.url()).await;
    let evaluation = service.completed(&short()).await;
    plant(2);
    let page: Page<Evaluation> = service.get("/v1/evaluations?limit=1000").await.json().await.unwrap();
    let mut listed: Vec<_> = page.items.iter().map(|e| e.id).collect();
    let mut next = page.next_cursor;
    while let Some(cursor) = next {
        let answer = service.get(&format!("/v1/evaluations?limit=1000&cursor={cursor}")).await;
        assert_eq!(answer.status(), 200);
        let page: Page<Evaluation> = answer.json().await.unwrap();
        listed.extend(page.items.iter().map(|e| e.id));
        next = page.next_cursor;
    }
    assert_eq!(listed, [evaluation.id]);
    let planted = service.get(&format!("/v1/evaluations/{}", Uuid::from_u128(1000))).await;
    assert_eq!(planted.status(), 404);
    assert_eq!(service.completed(&short()).await.result, evaluation.result);
}

#[tokio::test]
async fn an_evaluation_whose_ids_were_taken_first_ends_all_the_same() {
    // UUIDv5 of the key in the evaluator's namespace, which is no secret
    let namespace = Uuid::from_u128(0x3c1e_64d2_5f0b_5a88_b0c7_61d7_7c52_90e4);
    let id = Uuid::new_v5(&namespace, b"k");
    let ledger = FakeRemembrancer::start().await;
    let subject = format!("evaluation:{id}");
    for taken in [format!("{id}:created"), format!("{id}:created~1"), id.to_string(), format!("{id}~1")] {
        ledger.plant_record(&taken, "note", "thing:1", json!({"text": "mine"}));
    }
    // Somebody says that it has ended, too.
    ledger.plant_record("x", "evaluation.completed", &subject, json!({"result": "good"}));
    ledger.plant_record("y", "evaluation.failed", &subject, json!({"error": 1}));

    let service = evaluator(ledger.url()).await;
    let accepted: Evaluation = service.post(&short(), Some("k")).await.json().await.unwrap();
    assert_eq!(accepted.id, id);
    let ended = service.ended(id).await;
    assert_eq!(ended.status, EvaluationStatus::Completed, "{:?}", ended.error);
    let other = evaluator(ledger.url()).await;
    let again: Evaluation = other.post(&short(), Some("k")).await.json().await.unwrap();
    assert_eq!((again.id, again.status, &again.result), (id, EvaluationStatus::Completed, &ended.result));
    assert_eq!(other.post(&json!({"seeds": 3}), Some("k")).await.status(), 409);
    // It was done once: two records of it beside the planted ones.
    assert_eq!(ledger.records_of("evaluation.created").len(), 1);
    assert_eq!(ledger.records_of("evaluation.completed").len(), 2);
}

#[tokio::test]
async fn a_planted_evaluation_that_cannot_be_done_fails_and_nothing_else_does() {
    let ledger = FakeRemembrancer::start().await;
    let ids: Vec<Uuid> = [
        json!({"seeds": 4_000_000_000_u32}),
        json!({"seeds": 2, "steps": 4_000_000_000_u32}),
        json!({"environment": {"preset": "no such"}}),
        json!({"seeds": 2, "first_seed": 9_007_199_254_740_991_u64}),
    ]
    .into_iter()
    .map(|config| {
        let id = Uuid::now_v7();
        let text = config.to_string();
        let body = json!({"evaluation_id": id, "config": config, "config_text": text});
        ledger.plant_record(
            &format!("{id}:created"),
            "evaluation.created",
            &format!("evaluation:{id}"),
            body,
        );
        id
    })
    .collect();
    let service = evaluator(ledger.url()).await;
    for id in ids {
        let failed = service.ended(id).await;
        assert_eq!(failed.status, EvaluationStatus::Failed, "{:?}", failed.config);
    }
    service.completed(&short()).await;
}
