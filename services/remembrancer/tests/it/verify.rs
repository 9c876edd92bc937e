use api::remembrancer::{Finding, KeyKnown, LogKey, Verdict};
use merkle_log::{canonical_json, checkpoint::Checkpoint, leaf_hash, note::NoteSigner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Service, decisions, fixture, json_of, run};

async fn verdict_with(service: &Service, key: Option<&str>, body: String) -> Verdict {
    let request = service.request(Method::POST, "/v1/verify").header("content-type", "application/json");
    let request = request.query(&key.map(|key| [("trusted_key", key)]));
    json_of(request.body(body).send().await.unwrap(), StatusCode::OK).await
}

async fn verdict(service: &Service, body: &Value) -> Verdict {
    verdict_with(service, None, body.to_string()).await
}

/// Evidence made up from nothing: a log of one record, under a name, with a key that was made for it.
fn made_up(name: &str) -> (Value, String) {
    let signer = NoteSigner::new(name, &[7; 32]).unwrap();
    let record = json!({"body": {"paid": true}, "id": "x", "kind": "note", "recorded_at": "2026-01-01T00:00:00Z",
        "subject": "s"});
    let root = leaf_hash(&canonical_json(&record).unwrap());
    let note = Checkpoint { origin: name.into(), size: 1, root }.sign(&signer).unwrap();
    let key = signer.verifier_key().to_string();
    let evidence = json!({"record": record, "log_index": 0, "inclusion_path": [], "checkpoint": note,
        "verifier_key": key});
    (evidence, key)
}

#[tokio::test]
async fn evidence_is_verified_and_spoiled_evidence_is_not() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..500)).await;
    let evidence: Value = service.get_json(&format!("/v1/log/evidence?run={}&sequence=123", run(1))).await;
    let key: LogKey = service.get_json("/v1/log/key").await;
    let good = verdict(&service, &evidence).await;
    assert!(good.valid, "{good:?}");
    assert_eq!((good.verdict, good.key_known), (Finding::Valid, Some(KeyKnown::Own)));
    assert_eq!((good.log.as_deref(), good.verifier_key), (Some("ai-mesh/log"), Some(key.verifier_key)));
    let told = format!("decision 123 of run {}", run(1));
    assert!(good.reason.contains(&told) && good.reason.contains("Leaf 123 of the 500"), "{}", good.reason);
    for (pointer, value) in [
        ("/record/reward", json!(0.5)),
        ("/record/tenant", json!("Globex")),
        ("/log_index", json!(124)),
        ("/log_index", json!((1_u64 << 53) - 1)),
        ("/inclusion_path/0", json!(run(3))),
        ("/inclusion_path", json!([])),
        ("/inclusion_path", json!(vec![run(3); 300])),
        ("/checkpoint", json!("ai-mesh/log\n500\n")),
        ("/verifier_key", json!("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")),
        ("/verifier_key", json!("nothing")),
    ] {
        let mut spoiled = evidence.clone();
        *spoiled.pointer_mut(pointer).unwrap() = value;
        let bad = verdict(&service, &spoiled).await;
        assert!(!bad.valid && bad.reason.starts_with("Not proved: "), "{pointer}: {bad:?}");
        assert_eq!(bad.verdict, Finding::NotValid);
    }
}

#[tokio::test]
async fn evidence_is_not_believed_by_the_key_that_it_brings_along() {
    let service = fixture().await;
    // this log's name with another key
    let (forged, key) = made_up("ai-mesh/log");
    let told = verdict(&service, &forged).await;
    assert_eq!((told.valid, told.verdict), (false, Finding::NotValid));
    assert!(told.reason.contains(&key) && told.reason.contains("not this log's own key"), "{}", told.reason);
    // another log, which may or may not be one
    let (foreign, key) = made_up("example.org/log");
    let told = verdict(&service, &foreign).await;
    assert_eq!((told.valid, told.verdict, told.key_known), (false, Finding::UnknownKey, Some(KeyKnown::No)));
    assert_eq!((told.log.as_deref(), told.verifier_key.as_deref()), (Some("example.org/log"), Some(&*key)));
    assert!(told.reason.contains("trusted_key"), "{}", told.reason);
    // and spoiled on top of that
    let mut spoiled = foreign.clone();
    spoiled["record"]["body"]["paid"] = json!(false);
    assert_eq!(verdict(&service, &spoiled).await.verdict, Finding::NotValid);
    // whoever asks may vouch for a key, and then this log's own does not count
    let told = verdict_with(&service, Some(&key), foreign.to_string()).await;
    assert_eq!((told.valid, told.key_known), (true, Some(KeyKnown::Given)), "{}", told.reason);
    service.record(&decisions(run(1), 0..2)).await;
    let own: Value = service.get_json(&format!("/v1/log/evidence?run={}&sequence=1", run(1))).await;
    let told = verdict_with(&service, Some(&key), own.to_string()).await;
    assert_eq!((told.valid, told.verdict), (false, Finding::NotValid), "{}", told.reason);
    // evidence cannot vouch for itself
    let mut vouching = foreign;
    vouching["trusted_key"] = json!(key);
    service.refused("/v1/verify", &vouching, StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test]
async fn a_key_is_taken_as_it_is_written_and_what_is_none_is_refused_by_its_name() {
    let service = fixture().await;
    let (evidence, key) = made_up("example.org/log");
    let unescaped = format!("/v1/verify?trusted_key={key}");
    let told: Verdict = json_of(service.post(&unescaped, &evidence).await, StatusCode::OK).await;
    assert!(told.valid, "{told:?}");
    let proof = json!({"kind": "inclusion", "leaf_index": 0, "tree_size": 1, "leaf_hash": run(1),
        "root_hash": run(1), "proof": []});
    for (path, body) in [
        ("/v1/verify?trusted_key=nonsense", &evidence),
        ("/v1/verify?trusted_key=", &evidence),
        ("/v1/verify?key=x", &evidence),
        (unescaped.as_str(), &proof),
    ] {
        let problem = service.refused(path, body, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.code, "invalid_request", "{path}");
    }
}

#[tokio::test]
async fn a_record_that_was_only_written_otherwise_is_told_apart_from_a_changed_one() {
    let service = fixture().await;
    service.record(&decisions(run(1), 0..3)).await;
    let text =
        service.get(&format!("/v1/log/evidence?run={}&sequence=2", run(1))).await.text().await.unwrap();
    let send = async |body: String| verdict_with(&service, None, body).await;
    assert!(send(text.clone()).await.valid);
    assert!(send(text.replace(',', " ,\n ")).await.valid, "white space between tokens is none of the record");
    for (from, to) in [("\"sequence\":2", "\"sequence\":2.0"), ("ünï", "\\u00fcn\\u00ef")] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        let told = send(other.clone()).await;
        assert_eq!((told.valid, told.verdict), (false, Finding::NotCanonical), "{to}: {told:?}");
        assert!(told.reason.contains("Written canonically it is in the log"), "{}", told.reason);
        let changed = other.replacen("fine-tune", "fine-tuna", 1);
        let told = send(changed).await;
        assert_eq!(told.verdict, Finding::NotValid);
        assert!(told.reason.contains("written canonically it is not in the log"), "{}", told.reason);
    }
}

#[tokio::test]
async fn what_is_neither_evidence_nor_a_proof_is_refused() {
    let service = fixture().await;
    for body in [
        json!({}),
        json!([]),
        json!({"record": {}, "log_index": -1}),
        json!({"kind": "magic"}),
        json!({"kind": "inclusion"}),
        json!({"kind": "consistency", "first_size": "1"}),
    ] {
        let problem = service.refused("/v1/verify", &body, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.code, "invalid_request", "{body}");
    }
}

/// The reference tests of Certificate Transparency (`merkle_tree_test`).
#[tokio::test]
async fn bare_proofs_are_arithmetic_that_agrees_with_the_reference() {
    const ROOT_1: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    const ROOT_8: &str = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
    const PATH: [&str; 3] = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    let service = fixture().await;
    let inclusion = json!({"kind": "inclusion", "leaf_index": 0, "tree_size": 8, "leaf_hash": ROOT_1,
        "root_hash": ROOT_8, "proof": PATH});
    let consistency = json!({"kind": "consistency", "first_size": 1, "second_size": 8, "first_root": ROOT_1,
        "second_root": ROOT_8, "proof": PATH});
    let same = json!({"kind": "consistency", "first_size": 8, "second_size": 8, "first_root": ROOT_8,
        "second_root": ROOT_8, "proof": []});
    for proof in [&inclusion, &consistency, &same] {
        let told = verdict(&service, proof).await;
        assert_eq!((told.valid, told.verdict, told.log), (true, Finding::Valid, None), "{}", told.reason);
    }
    let upper = inclusion.to_string().replace(ROOT_8, &ROOT_8.to_uppercase());
    assert!(verdict_with(&service, None, upper).await.valid, "hex has no case");

    let huge = u64::MAX;
    let hashes: Value = json!(vec![ROOT_1; 3]);
    let hash_values = vec![
        json!(""),
        json!("zz"),
        json!(&ROOT_8[1..]),
        json!(format!("{ROOT_8}00")),
        json!(format!("{ROOT_8} ")),
        json!(ROOT_8.replace('5', "g")),
        json!("é".repeat(32)),
        json!(run(9)),
    ];
    let proof_values = vec![
        json!([]),
        json!(PATH[..2]),
        json!([PATH[0], PATH[1], PATH[2], PATH[2]]),
        hashes,
        json!(vec![PATH[0]; 500]),
        json!(["", PATH[1], PATH[2]]),
        json!([PATH[1], PATH[0], PATH[2]]),
    ];
    let never = [json!(-1), json!(huge), json!(1.8446744073709552e19)];
    let sizes =
        |others: &[u64]| never.iter().cloned().chain(others.iter().map(|n| json!(n))).collect::<Vec<_>>();
    let mut spoiled = vec![
        (&inclusion, "leaf_index", sizes(&[1, 8, 9])),
        (&inclusion, "tree_size", sizes(&[0, 1, 4, 9])),
        (&consistency, "first_size", sizes(&[0, 2, 8, 9])),
        (&consistency, "second_size", sizes(&[0, 1, 4])),
        (&same, "second_root", vec![json!(ROOT_1)]),
        (&same, "proof", vec![json!([ROOT_8])]),
        (&inclusion, "proof", proof_values.clone()),
        (&consistency, "proof", proof_values),
    ];
    for (proof, field) in [
        (&inclusion, "leaf_hash"),
        (&inclusion, "root_hash"),
        (&consistency, "first_root"),
        (&consistency, "second_root"),
    ] {
        spoiled.push((proof, field, hash_values.clone()));
    }
    for (proof, field, values) in spoiled {
        for value in values {
            let mut bad = proof.clone();
            assert_ne!(bad[field], value);
            bad[field] = value;
            let told = verdict(&service, &bad).await;
            assert_eq!((told.valid, told.verdict), (false, Finding::NotValid), "{field}: {bad}");
            assert!(told.reason.len() > "Not proved: .".len(), "{bad}");
        }
    }
}
