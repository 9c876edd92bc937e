use api::{
    Problem,
    remembrancer::{Checkpoint, ConsistencyProof, Evidence, InclusionProof, LogKey, RecordReceipt},
};
use merkle_log::{
    EMPTY_ROOT, Hash, canonical_json, canonical_leaf_hash,
    checkpoint::Checkpoint as SignedHead,
    evidence,
    note::VerifierKey,
    proof::{verify_consistency, verify_inclusion},
};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Service, decision, decisions, fixture, json_of, run};

fn hashes(path: &[api::Hash]) -> Vec<Hash> {
    path.iter().map(|hash| hash.0).collect()
}

/// 700 decisions, a record, 300 decisions.
async fn fill(service: &Service) -> RecordReceipt {
    service.record(&decisions(run(1), 0..700)).await;
    let record =
        json!({"id": "note-1", "kind": "note", "subject": "thing:1", "body": {"text": "in between"}});
    let receipt = json_of(service.post("/v1/records", &record).await, StatusCode::CREATED).await;
    service.record(&decisions(run(1), 700..1000)).await;
    receipt
}

#[tokio::test]
async fn the_checkpoint_is_signed_by_the_logs_key_which_outlives_the_service() {
    let service = fixture().await;
    let key: LogKey = service.get_json("/v1/log/key").await;
    let verifier = VerifierKey::parse(&key.verifier_key).unwrap();
    let empty: Checkpoint = service.get_json("/v1/log/checkpoint").await;
    assert_eq!((empty.tree_size, empty.root_hash.0), (0, EMPTY_ROOT));
    service.record(&decisions(run(1), 0..10)).await;
    let before: Checkpoint = service.get_json("/v1/log/checkpoint").await;
    let signed = SignedHead::verify(&before.note, &verifier).unwrap();
    assert_eq!((signed.origin.as_str(), signed.size, signed.root), ("ai-mesh/log", 10, before.root_hash.0));

    let service = service.restarted().await;
    assert_eq!(service.get_json::<LogKey>("/v1/log/key").await, key);
    assert_eq!(service.get_json::<Checkpoint>("/v1/log/checkpoint").await, before);
    // It goes on where it was.
    service.record(&decisions(run(1), 10..20)).await;
    assert_eq!(service.get_json::<Checkpoint>("/v1/log/checkpoint").await.tree_size, 20);
}

#[tokio::test]
async fn every_leaf_is_proved_by_each_of_its_names() {
    let service = fixture().await;
    let receipt = fill(&service).await;
    let check = async |query: String, leaf: Hash, index: u64, size: u64| {
        let proof: InclusionProof = service.get_json(&format!("/v1/log/proofs/inclusion?{query}")).await;
        assert_eq!((proof.log_index, proof.tree_size, proof.leaf_hash.0), (index, size, leaf), "{query}");
        verify_inclusion(&leaf, index, size, &hashes(&proof.path), &proof.root_hash.0).unwrap();
    };
    for sequence in [0, 255, 256, 699, 700, 999] {
        let leaf = canonical_leaf_hash(&decision(run(1), sequence)).unwrap();
        let index = if sequence < 700 { sequence } else { sequence + 1 };
        check(format!("run={}&sequence={sequence}", run(1)), leaf, index, 1001).await;
        check(format!("log_index={index}"), leaf, index, 1001).await;
        check(format!("log_index={index}&tree_size={}", index + 1), leaf, index, index + 1).await;
    }
    assert_eq!(receipt.log_index, 700);
    check("record=note-1".into(), receipt.leaf_hash.0, 700, 1001).await;
    check("record=note-1&tree_size=701".into(), receipt.leaf_hash.0, 700, 701).await;
    let proof: InclusionProof =
        service.get_json("/v1/log/proofs/inclusion?record=note-1&tree_size=701").await;
    assert_eq!(proof.root_hash, receipt.root_hash, "the receipt's root is the tree's of that size");
}

/// 2^53 − 1: the largest number that every program reads as it is written.
const MOST: u64 = (1 << 53) - 1;

#[tokio::test]
async fn a_leaf_that_is_not_there_or_not_named_is_told() {
    let service = fixture().await;
    fill(&service).await;
    for (query, status, code) in [
        ("log_index=1001".into(), StatusCode::NOT_FOUND, "leaf_not_found"),
        ("log_index=500&tree_size=500".into(), StatusCode::NOT_FOUND, "leaf_not_found"),
        ("record=nothing".into(), StatusCode::NOT_FOUND, "record_not_found"),
        (format!("run={}&sequence=1000", run(1)), StatusCode::NOT_FOUND, "decision_not_found"),
        (format!("run={}&sequence=0", run(2)), StatusCode::NOT_FOUND, "decision_not_found"),
        (format!("run={}&sequence={MOST}", run(1)), StatusCode::NOT_FOUND, "decision_not_found"),
        (format!("log_index={MOST}"), StatusCode::NOT_FOUND, "leaf_not_found"),
        (format!("log_index={}", u64::MAX), StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        (String::new(), StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        (format!("run={}", run(1)), StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("log_index=1&record=note-1".into(), StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        ("log_index=1&tree_size=1002".into(), StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
    ] {
        for route in ["proofs/inclusion", "evidence"] {
            let problem: Problem =
                json_of(service.get(&format!("/v1/log/{route}?{query}")).await, status).await;
            assert_eq!(problem.code, code, "{query}");
        }
    }
}

#[tokio::test]
async fn any_two_sizes_are_proved_consistent() {
    let service = fixture().await;
    fill(&service).await;
    for (from, to) in [(1, 1001), (256, 257), (256, 512), (700, 701), (512, 1001), (999, 1000), (1001, 1001)]
    {
        let proof: ConsistencyProof =
            service.get_json(&format!("/v1/log/proofs/consistency?from={from}&to={to}")).await;
        verify_consistency(from, to, &proof.from_root.0, &proof.to_root.0, &hashes(&proof.path)).unwrap();
    }
    let whole: ConsistencyProof = service.get_json("/v1/log/proofs/consistency?from=5").await;
    assert_eq!(whole.to, 1001);
    for query in ["from=0", "from=2&to=1", "from=1&to=1002", "from=1002", "to=5", ""] {
        let answer = service.get(&format!("/v1/log/proofs/consistency?{query}")).await;
        assert_eq!(
            json_of::<Problem>(answer, StatusCode::UNPROCESSABLE_ENTITY).await.code,
            "invalid_request",
            "{query}"
        );
    }
}

#[tokio::test]
async fn evidence_verifies_offline_against_the_logs_key() {
    let service = fixture().await;
    fill(&service).await;
    let key: LogKey = service.get_json("/v1/log/key").await;
    for query in [
        format!("run={}&sequence=321", run(1)),
        "record=note-1".into(),
        "log_index=1000&tree_size=1001".into(),
    ] {
        let bundle: Evidence = service.get_json(&format!("/v1/log/evidence?{query}")).await;
        let path = hashes(&bundle.inclusion_path);
        let verified = evidence::verify(
            bundle.record.get(),
            bundle.log_index,
            &path,
            &bundle.checkpoint,
            &key.verifier_key,
        )
        .unwrap();
        assert_eq!(verified.checkpoint.size, 1001);
        let changed = bundle.record.get().replacen("1", "2", 1);
        assert_ne!(changed, bundle.record.get());
        assert!(
            evidence::verify(&changed, bundle.log_index, &path, &bundle.checkpoint, &key.verifier_key)
                .is_err()
        );
    }
    let bundle: Evidence = service.get_json(&format!("/v1/log/evidence?run={}&sequence=321", run(1))).await;
    assert_eq!(bundle.record.get().as_bytes(), canonical_json(&decision(run(1), 321)).unwrap());
}
