use api::remembrancer::{Checkpoint as Head, Cosignatures, Evidence, LogKey};
use merkle_log::{
    checkpoint::Checkpoint,
    cosignature::Cosigner,
    evidence,
    note::{NoteSigner, SignedNote},
    tlog_proof::TlogProof,
    trust_policy::TrustPolicy,
};
use remembrancer::Config;
use reqwest::{Response, StatusCode};
use serde_json::json;

use crate::support::{Fixture, Service, config, decisions, json_of, run, start};

fn cosigner(seed: u8) -> Cosigner {
    Cosigner::new(&format!("w{seed}.example.org"), &[seed; 32]).unwrap()
}

/// A log whose policy wants two of three witnesses.
async fn witnessed_log() -> Fixture {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let witnesses: String =
        (1..=3).map(|n| format!("witness W{n} {}\n", cosigner(n).witness_key())).collect();
    let policy = data.path().join("policy");
    std::fs::write(&policy, format!("{witnesses}group enough 2 W1 W2 W3\nquorum enough\n")).unwrap();
    let config = Config { trust_policy: Some(policy), ..config(database.url(), &data) };
    Fixture { service: start(config).await, database, data }
}

impl Service {
    async fn head(&self) -> Head {
        self.get_json("/v1/log/checkpoint").await
    }

    async fn published(&self) -> String {
        self.get("/checkpoint").await.text().await.unwrap()
    }

    async fn keep(&self, checkpoint: &str) -> Response {
        self.post("/v1/log/cosignatures", &json!({"checkpoint": checkpoint})).await
    }

    async fn kept(&self, checkpoint: &str) -> Cosignatures {
        json_of(self.keep(checkpoint).await, StatusCode::OK).await
    }
}

/// A checkpoint with the lines of these witnesses.
fn cosigned(note: &str, witnesses: &[u8], time: u64) -> String {
    let text = SignedNote::parse(note).unwrap().unverified_text().to_owned();
    let lines = witnesses.iter().map(|seed| cosigner(*seed).cosign(&text, time).unwrap().line);
    note.to_owned() + &lines.collect::<String>()
}

#[tokio::test]
async fn the_logs_checkpoint_is_the_last_one_that_enough_witnesses_cosigned() {
    let log = witnessed_log().await;
    let own = log.get_json::<LogKey>("/v1/log/key").await.verifier_key;
    let policy = std::fs::read(log.data.path().join("policy")).unwrap();
    let policy = TrustPolicy::parse(&policy).unwrap();
    let own = merkle_log::note::VerifierKey::parse(&own).unwrap();
    log.record(&decisions(run(1), 0..10)).await;
    let ten = log.head().await;
    assert_eq!(log.published().await, ten.note, "before there are cosignatures it is the head");

    let kept = log.kept(&cosigned(&ten.note, &[2], 5)).await;
    assert_eq!((kept.tree_size, kept.root_hash, kept.quorum), (10, ten.root_hash, false));
    assert_eq!(kept.cosigned_by.iter().map(|by| &*by.witness).collect::<Vec<_>>(), ["W2"]);
    let one = log.published().await;
    assert_eq!(one, cosigned(&ten.note, &[2], 5), "what there is is shown");
    assert!(policy.verify(&one, Some(&own)).is_err());

    let kept = log.kept(&cosigned(&ten.note, &[3], 6)).await;
    assert!(kept.quorum, "cosignatures may come one by one");
    assert_eq!(kept.cosigned_by.iter().map(|by| by.time).collect::<Vec<_>>(), [5, 6]);

    // The log grows, and the witnesses are not as fast.
    log.record(&decisions(run(1), 10..25)).await;
    let published = log.published().await;
    let witnessed = policy.verify(&published, Some(&own)).unwrap();
    assert_eq!((witnessed.checkpoint.size, witnessed.cosigned.len()), (10, 2));
    let head = log.head().await;
    assert_eq!(head.tree_size, 25);
    assert_eq!(head.note.lines().filter(|line| line.starts_with('\u{2014}')).count(), 1);
    assert!(!log.kept(&cosigned(&head.note, &[1], 7)).await.quorum);
    assert_eq!(policy.verify(&log.published().await, Some(&own)).unwrap().checkpoint.size, 10);
    assert!(log.kept(&cosigned(&head.note, &[2], 7)).await.quorum);
    assert_eq!(policy.verify(&log.published().await, Some(&own)).unwrap().checkpoint.size, 25);
    let metrics = log.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("remembrancer_cosignatures_kept_total 4"), "{metrics}");

    // What is kept outlives the service, and the same again changes nothing.
    let Fixture { service, database, data } = log;
    drop(service);
    let policy_file = Some(data.path().join("policy"));
    let service = start(Config { trust_policy: policy_file, ..config(database.url(), &data) }).await;
    assert_eq!(policy.verify(&service.published().await, Some(&own)).unwrap().checkpoint.size, 25);
    assert!(service.kept(&cosigned(&head.note, &[1, 2], 7)).await.quorum);
    let metrics = service.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("remembrancer_cosignatures_kept_total 0"), "{metrics}");
}

#[tokio::test]
async fn evidence_carries_the_cosignatures_of_its_checkpoint_and_a_proof_file_too() {
    let log = witnessed_log().await;
    let key = log.get_json::<LogKey>("/v1/log/key").await.verifier_key;
    let own = merkle_log::note::VerifierKey::parse(&key).unwrap();
    let policy = TrustPolicy::parse(&std::fs::read(log.data.path().join("policy")).unwrap()).unwrap();
    log.record(&decisions(run(1), 0..10)).await;
    for route in ["evidence", "tlog-proof", "proofs/inclusion"] {
        let answer = log.get(&format!("/v1/log/{route}?log_index=3&witnessed=true")).await;
        let problem: api::Problem = json_of(answer, StatusCode::NOT_FOUND).await;
        assert_eq!(problem.code, "quorum_not_found", "{route}");
    }
    log.kept(&cosigned(&log.head().await.note, &[1, 3], 5)).await;
    log.record(&decisions(run(1), 10..25)).await;

    for (query, size, trusted) in [
        ("log_index=3&witnessed=true", 10, true),
        ("log_index=3&tree_size=10", 10, true),
        ("log_index=3&witnessed=false", 25, false),
        ("log_index=3", 25, false),
        ("log_index=3&tree_size=11", 11, false),
    ] {
        let bundle: Evidence = log.get_json(&format!("/v1/log/evidence?{query}")).await;
        let path: Vec<_> = bundle.inclusion_path.iter().map(|hash| hash.0).collect();
        let record = bundle.record.get();
        let verified = evidence::verify(record, 3, &path, &bundle.checkpoint, &key).unwrap();
        assert_eq!(verified.checkpoint.size, size, "{query}");
        assert_eq!(policy.verify(&bundle.checkpoint, Some(&own)).is_ok(), trusted, "{query}");

        let answer = log.get(&format!("/v1/log/tlog-proof?{query}")).await;
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        let proof = TlogProof::parse(&answer.text().await.unwrap()).unwrap();
        assert_eq!((proof.entry(), &proof.checkpoint), (Some(record), &bundle.checkpoint));
        assert_eq!(proof.verify(record, &own).unwrap().checkpoint.size, size);
    }
    for (query, code, status) in [
        ("log_index=3&tree_size=10&witnessed=true", "invalid_request", StatusCode::UNPROCESSABLE_ENTITY),
        ("log_index=12&witnessed=true", "leaf_not_found", StatusCode::NOT_FOUND),
        ("witnessed=true", "invalid_request", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let problem: api::Problem =
            json_of(log.get(&format!("/v1/log/tlog-proof?{query}")).await, status).await;
        assert_eq!(problem.code, code, "{query}");
    }
}

#[tokio::test]
async fn only_what_holds_is_kept() {
    let log = witnessed_log().await;
    log.record(&decisions(run(1), 0..10)).await;
    let head = log.head().await;
    let origin = "ai-mesh/log";
    let sign = |size, root| Checkpoint { origin: origin.into(), size, root };
    let stranger = NoteSigner::new(origin, &[9; 32]).unwrap();
    // the log's own signature under another text
    let mut other_text = cosigned(&head.note, &[1], 5);
    other_text = other_text.replacen("\n10\n", "\n11\n", 1);
    let elsewhere = cosigner(1).cosign("ai-mesh/log\n9\nAAAA\n", 5).unwrap().line;
    for (checkpoint, why) in [
        ("nonsense".to_owned(), "malformed note"),
        (cosigned(&sign(10, head.root_hash.0).sign(&stranger).unwrap(), &[1], 5), "not signed by"),
        (other_text, "does not hold"),
        (format!("{}{elsewhere}", head.note), "does not hold"),
    ] {
        let problem: api::Problem =
            json_of(log.keep(&checkpoint).await, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem.errors[0].pointer, "/checkpoint");
        assert!(problem.detail.contains(why), "{}", problem.detail);
    }
    // Of whom the policy does not know, nothing is kept, and nothing is refused.
    let unknown = log.kept(&cosigned(&head.note, &[7, 1, 8], 5)).await;
    assert_eq!(unknown.cosigned_by.len(), 1);
    assert_eq!(log.head().await.note, cosigned(&head.note, &[1], 5));
    assert_eq!(log.database.count("cosignatures").await, 1);

    // A tree that this log never had, although its key signed it: another database was behind it.
    let signer = std::fs::read_to_string(log.data.path().join("remembrancer/log-key")).unwrap();
    let signer = NoteSigner::parse(signer.trim()).unwrap();
    for (size, root) in [(10, [1; 32]), (11, head.root_hash.0), (1 << 60, [1; 32])] {
        let fork = cosigned(&sign(size, root).sign(&signer).unwrap(), &[1, 2], 5);
        let problem: api::Problem = json_of(log.keep(&fork).await, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert!(problem.detail.contains("has no tree of"), "{}", problem.detail);
    }

    let without = crate::support::fixture().await;
    let problem: api::Problem = json_of(without.keep(&head.note).await, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "no_trust_policy");
}

#[tokio::test]
async fn old_cosignatures_are_forgotten_but_for_those_of_the_last_quorum() {
    let log = witnessed_log().await;
    log.record(&decisions(run(1), 0..1)).await;
    assert!(log.kept(&cosigned(&log.head().await.note, &[1, 2], 5)).await.quorum);
    // From now on one of the witnesses is away.
    for n in 1..40 {
        log.record(&decisions(run(1), n..n + 1)).await;
        assert!(!log.kept(&cosigned(&log.head().await.note, &[3], 5 + n)).await.quorum);
    }
    assert_eq!(log.database.count("cosignatures").await, 32 + 2);
    assert_eq!(Checkpoint::claimed(&log.published().await).unwrap().size, 1, "it is not forgotten");
    // They are back.
    log.kept(&cosigned(&log.head().await.note, &[1], 99)).await;
    assert_eq!(Checkpoint::claimed(&log.published().await).unwrap().size, 40);
    log.record(&decisions(run(1), 40..41)).await;
    log.kept(&cosigned(&log.head().await.note, &[1], 100)).await;
    assert_eq!(log.database.count("cosignatures").await, 32 + 1);
}

#[tokio::test]
async fn a_policy_that_needs_no_cosignature_publishes_the_head() {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let policy = data.path().join("policy");
    std::fs::write(&policy, format!("witness W1 {}\nquorum none\n", cosigner(1).witness_key())).unwrap();
    let log = start(Config { trust_policy: Some(policy), ..config(database.url(), &data) }).await;
    log.record(&decisions(run(1), 0..5)).await;
    log.kept(&cosigned(&log.head().await.note, &[1], 5)).await;
    log.record(&decisions(run(1), 5..7)).await;
    assert_eq!(Checkpoint::claimed(&log.published().await).unwrap().size, 7);
    let bundle: Evidence = log.get_json("/v1/log/evidence?log_index=6&witnessed=true").await;
    assert_eq!(Checkpoint::claimed(&bundle.checkpoint).unwrap().size, 7);
}
