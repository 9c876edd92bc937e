//! `mesh verify --promise`.

use std::{fs, path::Path};

use api::{
    Hash,
    deployments::{DeploymentDecisions, PromisedDecisions},
    remembrancer::Evidence,
};
use merkle_log::{
    canonical_text, checkpoint::Checkpoint, leaf_hash, node_hash, note::NoteSigner, promise::Promise,
};
use records::{
    Body as _,
    deployments::{Created, Opened},
};
use serde_json::{json, value::RawValue};
use uuid::Uuid;

use crate::support::{Ran, mesh};

const RUN: Hash = Hash([7; 32]);

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name, &[seed; 32]).unwrap()
}

fn trainer() -> NoteSigner {
    signer("ai-mesh/promises/1", 9)
}

/// A decision as the log has it.
fn decision(sequence: u64, tenant: &str) -> String {
    let decision = json!({
        "run": RUN, "sequence": sequence, "episode": 0, "step": 0, "agent": 0, "tenant": tenant, "workload": "llm_inference",
        "gpu_type": "A100", "gpu_hours": 1.5, "action": "hold", "reason": "held", "reward": 0, "explored": false,
        "propensity": 1, "policy_version": 0, "deferred": false, "wait_ms": 0
    });
    canonical_text(&decision.to_string()).unwrap()
}

/// Evidence that a text is the second leaf of a log.
fn evidence(log: &str, text: &str) -> Evidence {
    let (zero, one) = (leaf_hash(b"zero"), leaf_hash(text.as_bytes()));
    let key = signer(log, 1);
    let checkpoint = Checkpoint { origin: log.into(), size: 2, root: node_hash(&zero, &one) };
    Evidence {
        record: RawValue::from_string(text.to_owned()).unwrap(),
        log_index: 1,
        inclusion_path: vec![Hash(zero)],
        checkpoint: checkpoint.sign(&key).unwrap(),
        verifier_key: key.verifier_key().to_string(),
    }
}

fn promise(sequences: &[u64]) -> String {
    let leaf = |sequence: &u64| (*sequence, leaf_hash(decision(*sequence, "tenant-dao").as_bytes()));
    let promise = Promise {
        log: "ai-mesh/log".into(),
        deployment: "gateway".into(),
        run: RUN.0,
        by_ms: 1_796_000_000_000,
        leaves: sequences.iter().map(leaf).collect(),
    };
    promise.sign(&trainer()).unwrap()
}

fn write(folder: &Path, name: &str, value: &impl serde::Serialize) {
    fs::write(folder.join(name), serde_json::to_vec(value).unwrap()).unwrap();
}

/// Verifies with both keys given.
fn verify(folder: &Path, arguments: &[&str]) -> Ran {
    let log = signer("ai-mesh/log", 1).verifier_key().to_string();
    let key = trainer().verifier_key().to_string();
    mesh(folder, &[&["verify", "--key", &log, "--promise-key", &key, "--promise"], arguments].concat())
}

#[test]
fn a_promise_is_kept_where_what_was_promised_stands_and_broken_where_something_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("promise.txt"), promise(&[4])).unwrap();
    write(at, "there.json", &evidence("ai-mesh/log", &decision(4, "tenant-dao")));
    write(at, "other.json", &evidence("ai-mesh/log", &decision(4, "tenant-research")));
    let kept = verify(at, &["promise.txt", "there.json"]);
    assert_eq!(kept.code, 0, "{}{}", kept.stdout, kept.stderr);
    assert!(
        kept.stdout.starts_with("KEPT: promise.txt: 1 decision of gateway, in the log as promised"),
        "{}",
        kept.stdout
    );
    assert!(kept.stdout.contains("by    2026-11-30T00:53:20"), "{}", kept.stdout);
    let broken = verify(at, &["promise.txt", "other.json"]);
    assert_eq!(broken.code, 7, "{}", broken.stdout);
    assert!(
        broken.stdout.starts_with("BROKEN: promise.txt: the decision 4 was promised"),
        "{}",
        broken.stdout
    );
    let json = verify(at, &["promise.txt", "other.json", "--json"]).json();
    assert_eq!((&json["valid"], &json["verdict"]), (&json!(false), &json!("broken")));
    let leaf = &json["promised"]["leaves"][0];
    assert_eq!(
        (&leaf["sequence"], &leaf["found"], &leaf["log_index"]),
        (&json!(4), &json!("broken"), &json!(1))
    );
}

#[test]
fn what_became_of_a_promise_is_not_known_without_evidence_of_each_decision_in_that_log() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("promise.txt"), promise(&[4, 5])).unwrap();
    write(at, "four.json", &evidence("ai-mesh/log", &decision(4, "tenant-dao")));
    write(at, "five.json", &evidence("ai-mesh/log", &decision(5, "tenant-dao")));
    write(at, "six.json", &evidence("ai-mesh/log", &decision(6, "tenant-dao")));
    for files in
        [&["promise.txt"][..], &["promise.txt", "four.json"], &["promise.txt", "four.json", "six.json"]]
    {
        let ran = verify(at, files);
        assert_eq!(ran.code, 8, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with("NOT KNOWN: promise.txt: it was promised, and "), "{}", ran.stdout);
        assert!(ran.stdout.contains("mesh prove --run 0707"), "{}", ran.stdout);
    }
    assert_eq!(verify(at, &["promise.txt", "five.json", "four.json"]).code, 0);
    // another log proves nothing about this one, whatever it has
    write(at, "elsewhere.json", &evidence("other/log", &decision(4, "tenant-research")));
    let (log, key) =
        (signer("other/log", 1).verifier_key().to_string(), trainer().verifier_key().to_string());
    let flags = ["--key", &log, "--promise-key", &key];
    let ran = mesh(at, &[&["verify", "--promise", "promise.txt", "elsewhere.json"], &flags[..]].concat());
    assert_eq!(ran.code, 8, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_promise_that_was_changed_or_is_anothers_is_not_valid_and_evidence_that_does_not_hold_neither() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let note = promise(&[4]);
    fs::write(at.join("promise.txt"), &note).unwrap();
    fs::write(at.join("changed.txt"), note.replace("leaf 4", "leaf 5")).unwrap();
    write(at, "there.json", &evidence("ai-mesh/log", &decision(4, "tenant-dao")));
    let ran = verify(at, &["changed.txt", "there.json"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("NOT VALID: changed.txt: "), "{}", ran.stdout);
    let other = signer("ai-mesh/promises/1", 8).verifier_key().to_string();
    let log = signer("ai-mesh/log", 1).verifier_key().to_string();
    let ran = mesh(
        at,
        &["verify", "--promise", "promise.txt", "there.json", "--key", &log, "--promise-key", &other],
    );
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let forged =
        Evidence { inclusion_path: vec![], ..evidence("ai-mesh/log", &decision(4, "tenant-research")) };
    write(at, "forged.json", &forged);
    let ran = verify(at, &["promise.txt", "forged.json"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("NOT VALID: forged.json: "), "{}", ran.stdout);
    fs::write(at.join("note.txt"), "hello").unwrap();
    let ran = verify(at, &["note.txt"]);
    assert_eq!((ran.code, ran.stdout.starts_with("NOT EVIDENCE: note.txt: ")), (6, true), "{}", ran.stdout);
}

#[test]
fn the_key_of_a_promise_is_vouched_for_by_the_ledgers_record_and_by_nothing_that_the_answer_says() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let key = trainer().verifier_key().to_string();
    let in_log_by = "2026-11-29T00:00:00Z".parse().unwrap();
    let promise = Some(PromisedDecisions { note: promise(&[4]), in_log_by, key: key.clone() });
    let answer =
        DeploymentDecisions { deployment: "gateway".into(), run: RUN, window: 0, decisions: vec![], promise };
    write(at, "answer.json", &answer);
    write(at, "there.json", &evidence("ai-mesh/log", &decision(4, "tenant-dao")));
    let opened = |deployment: &str| {
        let opened = Opened {
            deployment_id: Created::id_of(deployment),
            session_id: Uuid::nil(),
            promises: Some(key.clone()),
        };
        let record = opened.to_record().unwrap();
        let (id, kind, subject) = (record.id, record.kind, record.subject);
        let record = json!({"id": id, "kind": kind, "subject": subject, "recorded_at": "2026-11-29T00:00:00Z",
            "body": record.body});
        evidence("ai-mesh/log", &canonical_text(&record.to_string()).unwrap())
    };
    write(at, "opened.json", &opened("gateway"));
    write(at, "others.json", &opened("highway"));
    let log = signer("ai-mesh/log", 1).verifier_key().to_string();
    let verify =
        |files: &[&str]| mesh(at, &[&["verify", "--key", &log, "--promise", "answer.json"], files].concat());
    for files in [&["there.json"][..], &["there.json", "others.json"]] {
        let ran = verify(files);
        assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with("UNKNOWN KEY: answer.json: "), "{}", ran.stdout);
    }
    let ran = verify(&["there.json", "opened.json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("the ledger names it as the trainer's"), "{}", ran.stdout);
}
