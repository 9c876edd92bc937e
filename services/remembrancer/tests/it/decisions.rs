use std::collections::BTreeSet;

use api::{
    Page,
    remembrancer::{BatchReceipts, Checkpoint, RecordedDecision, RunHead},
};
use merkle_log::{Frontier, canonical_leaf_hash};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Service, decision, decisions, fixture, json_of, run};

async fn size(service: &Service) -> u64 {
    service.get_json::<Checkpoint>("/v1/log/checkpoint").await.tree_size
}

fn frontier(run: api::Hash, len: u64) -> Frontier {
    (0..len).map(|sequence| canonical_leaf_hash(&decision(run, sequence)).unwrap()).collect()
}

#[tokio::test]
async fn a_batch_gets_a_receipt_and_the_same_batch_the_same_receipt() {
    let service = fixture().await;
    let batch = json!({"decisions": decisions(run(1), 0..1000)});
    let first: BatchReceipts =
        json_of(service.post("/v1/decisions", &batch).await, StatusCode::CREATED).await;
    assert_eq!(first.recorded, 1000);
    let [receipt] = &first.receipts[..] else { panic!("expected one receipt: {first:?}") };
    assert_eq!(
        (receipt.first_sequence, receipt.count, receipt.first_log_index, receipt.tree_size),
        (0, 1000, 0, 1000)
    );
    // The log holds nothing else yet, so that its root is the run's.
    assert_eq!(receipt.root_hash.0, frontier(run(1), 1000).root());

    let again: BatchReceipts = json_of(service.post("/v1/decisions", &batch).await, StatusCode::OK).await;
    assert_eq!((again.recorded, &again.receipts), (0, &first.receipts));
    assert_eq!(size(&service).await, 1000);
}

#[tokio::test]
async fn batches_may_be_cut_in_another_way_when_they_are_sent_again() {
    let service = fixture().await;
    let one = service.record(&decisions(run(1), 0..300)).await.receipts.remove(0);
    service.record(&decisions(run(2), 0..7)).await;
    let two = service.record(&decisions(run(1), 300..500)).await.receipts.remove(0);

    let across = service.record(&decisions(run(1), 250..600)).await;
    assert_eq!(across.recorded, 100);
    assert_eq!(across.receipts[..2], [one, two.clone()]);
    let three = &across.receipts[2];
    assert_eq!((three.first_sequence, three.count, three.first_log_index), (500, 100, 507));

    let inner = service.record(&decisions(run(1), 310..320)).await;
    assert_eq!((inner.recorded, inner.receipts), (0, vec![two]));
    assert_eq!(size(&service).await, 607);
}

#[tokio::test]
async fn another_decision_under_a_recorded_identity_is_refused_and_nothing_is_written() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..300)).await;
    let mut batch = decisions(run(1), 200..400);
    batch[77].reward += 1e-9;
    let problem = service.refused("/v1/decisions", &json!({"decisions": batch}), StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "decision_conflict");
    assert!(problem.detail.contains("sequence 277"), "{}", problem.detail);
    assert_eq!(size(&service).await, 300);
}

#[tokio::test]
async fn a_gap_is_refused_with_the_number_that_is_expected() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..10)).await;
    let body = json!({"decisions": decisions(run(1), 12..20)});
    let problem = service.refused("/v1/decisions", &body, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "sequence_gap");
    assert!(problem.detail.contains("Expected sequence 10"), "{}", problem.detail);

    let unknown = json!({"decisions": decisions(run(2), 5..6)});
    let problem = service.refused("/v1/decisions", &unknown, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "sequence_gap");
    assert!(
        problem.detail.contains("Expected sequence 0") && problem.detail.contains("frontier"),
        "{}",
        problem.detail
    );
    assert_eq!(size(&service).await, 10);
}

#[tokio::test]
async fn a_run_from_another_log_goes_on_from_its_frontier() {
    let service = fixture().await;
    let before = frontier(run(1), 1234);
    let hashes: Vec<_> = before.hashes().iter().map(|hash| api::Hash(*hash)).collect();
    let body =
        |frontier: &[api::Hash]| json!({"decisions": decisions(run(1), 1234..1300), "frontier": frontier});

    let problem = service.refused("/v1/decisions", &body(&hashes[1..]), StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "frontier_mismatch");
    assert!(problem.detail.contains("1234"), "{}", problem.detail);

    let first: BatchReceipts =
        json_of(service.post("/v1/decisions", &body(&hashes)).await, StatusCode::CREATED).await;
    let again: BatchReceipts =
        json_of(service.post("/v1/decisions", &body(&hashes)).await, StatusCode::OK).await;
    assert_eq!(first.receipts, again.receipts);
    let mut other = hashes.clone();
    other[0].0[0] ^= 1;
    let problem = service.refused("/v1/decisions", &body(&other), StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "frontier_mismatch");

    let early = json!({"decisions": decisions(run(1), 1230..1300)});
    let problem = service.refused("/v1/decisions", &early, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "sequence_before_start");

    let head: RunHead = service.get_json(&format!("/v1/log/runs/{}", run(1))).await;
    assert_eq!((head.first_sequence, head.next_sequence), (1234, 1300));
    assert_eq!(head.run_root.0, frontier(run(1), 1300).root());
}

#[tokio::test]
async fn a_runs_head_is_the_root_over_its_decisions_whatever_else_is_recorded() {
    let service = fixture().await;
    for part in 0..10 {
        service.record(&decisions(run(1), part * 37..(part + 1) * 37)).await;
        service.record(&decisions(run(2), part * 11..(part + 1) * 11)).await;
    }
    let head: RunHead = service.get_json(&format!("/v1/log/runs/{}", run(1))).await;
    assert_eq!((head.first_sequence, head.next_sequence), (0, 370));
    assert_eq!(head.run_root.0, frontier(run(1), 370).root());
    let problem: api::Problem =
        json_of(service.get(&format!("/v1/log/runs/{}", run(9))).await, StatusCode::NOT_FOUND).await;
    assert_eq!(problem.code, "run_not_found");
}

#[tokio::test]
async fn wrong_fields_are_pointed_at_and_nothing_is_recorded() {
    let service = fixture().await;
    let spoiled = |field: &str, value: Value| {
        let mut batch = json!({"decisions": decisions(run(1), 0..3)});
        batch["decisions"][1][field] = value;
        batch
    };
    for (field, value) in [
        ("sequence", json!(7)),
        ("run", json!(run(2))),
        ("tenant", json!("a\u{0}b")),
        ("tenant", json!("")),
        ("provider", json!("\u{0}")),
        ("agent", json!(1_u64 << 31)),
        ("agent", json!(-1)),
        ("policy_version", json!(1_u64 << 53)),
        ("propensity", json!(1.5)),
        ("gpu_hours", json!(null)),
        ("action", json!("dance")),
        ("run", json!("ABC")),
    ] {
        let problem = service
            .refused("/v1/decisions", &spoiled(field, value.clone()), StatusCode::UNPROCESSABLE_ENTITY)
            .await;
        assert_eq!(problem.code, "invalid_request", "{field} {value}");
        assert_eq!(problem.errors[0].pointer, format!("/decisions/1/{field}"), "{value}: {problem:?}");
    }
    let empty =
        service.refused("/v1/decisions", &json!({"decisions": []}), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(empty.errors[0].pointer, "/decisions");
    assert_eq!(size(&service).await, 0);
}

#[tokio::test]
async fn writers_at_once_leave_one_log_without_gaps() {
    let service = fixture().await;
    let tasks: Vec<_> = (1..=8)
        .map(|number| {
            let client = test_support::http_client();
            let url = format!("{}/v1/decisions", service.url);
            tokio::spawn(async move {
                for part in 0..10 {
                    let batch = json!({"decisions": decisions(run(number), part * 20..(part + 1) * 20)});
                    // Each batch twice, as a client that lost an answer would.
                    for _ in 0..2 {
                        assert!(client.post(&url).json(&batch).send().await.unwrap().status().is_success());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(size(&service).await, 1600);
    let page: Page<RecordedDecision> = service.get_json("/v1/decisions?limit=1000").await;
    let indexes: BTreeSet<_> = page.items.iter().map(|item| item.log_index).collect();
    assert_eq!(indexes, (0..1000).collect());
}

/// Follows the cursor to the end.
async fn all(service: &Service, query: &str) -> Vec<RecordedDecision> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Page<RecordedDecision> = service.get_json(&format!("/v1/decisions?{query}{cursor}")).await;
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn listed_decisions_are_those_that_were_recorded_field_by_field() {
    let service = fixture().await;
    for part in 0..5 {
        service.record(&decisions(run(1), part * 70..(part + 1) * 70)).await;
        service.record(&decisions(run(2), part * 30..(part + 1) * 30)).await;
    }
    let one = format!("run={}", run(1));
    let expect = |keep: &dyn Fn(&api::remembrancer::Decision) -> bool| -> Vec<_> {
        decisions(run(1), 0..350).into_iter().filter(|decision| keep(decision)).collect()
    };
    let listed =
        |items: Vec<RecordedDecision>| items.into_iter().map(|item| item.decision).collect::<Vec<_>>();
    for (filter, expected) in [
        ("", expect(&|_| true)),
        ("&episode=2", expect(&|d| d.episode == 2)),
        ("&episode=2&step=4", expect(&|d| d.episode == 2 && d.step == 4)),
        ("&agent=3", expect(&|d| d.agent == 3)),
        ("&tenant=acme", expect(&|d| d.tenant == "acme")),
        ("&provider=gcp", expect(&|d| d.provider.as_deref() == Some("gcp"))),
        ("&action=hold", expect(&|d| d.provider.is_none())),
        ("&from_sequence=333", expect(&|d| d.sequence >= 333)),
        ("&tenant=nobody", vec![]),
        ("&tenant=%00", vec![]),
        ("&agent=4000000000", vec![]),
    ] {
        let items = all(&service, &format!("{one}{filter}&limit=17")).await;
        assert!(items.is_sorted_by_key(|item| item.log_index), "{filter}");
        assert_eq!(listed(items), expected, "{filter}");
    }
    assert_eq!(all(&service, "limit=99").await.len(), 500);
    assert_eq!(listed(all(&service, &format!("run={}", run(7))).await), vec![]);
    let of_both = all(&service, "agent=3&episode=1&limit=3").await;
    assert_eq!(of_both.len(), expect(&|d| d.agent == 3 && d.episode == 1).len() * 3 / 2);
}

#[tokio::test]
async fn a_filter_or_cursor_that_is_none_is_pointed_at() {
    let service = fixture().await;
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("cursor=hello", "?cursor"),
        ("run=12", "?run"),
        ("colour=red", "?colour"),
    ] {
        let problem: api::Problem =
            json_of(service.get(&format!("/v1/decisions?{query}")).await, StatusCode::UNPROCESSABLE_ENTITY)
                .await;
        assert_eq!(problem.code, "invalid_request");
        assert_eq!(problem.errors[0].pointer, pointer, "{problem:?}");
    }
}
