//! `mesh verify`.

use std::{fs, path::Path};

use api::{
    Hash,
    remembrancer::{ConsistencyProof, Evidence},
};
use merkle_log::{
    EMPTY_ROOT, canonical_json, checkpoint::Checkpoint, leaf_hash, node_hash, note::NoteSigner,
};
use serde_json::{Value, json, value::RawValue};

use crate::support::{KNOWN_LOGS, Ran, mesh};

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name, &[seed; 32]).unwrap()
}

fn key(seed: u8) -> String {
    signer("ai-mesh/log", seed).verifier_key().to_string()
}

/// The record of leaf 1. Other writers of JSON give it another number (`7.5e-05`) and other letters (`\u00fc`).
fn record() -> String {
    let body = json!({"text": "für\u{1b}", "price": 0.000075});
    let record = json!({"id": "a", "kind": "note", "subject": "s", "recorded_at": "2026-03-01T00:00:00Z", "body": body});
    String::from_utf8(canonical_json(&record).unwrap()).unwrap()
}

/// Evidence for the middle one of three leaves, computed by hand: the tree is node(node(0, 1), 2), so
/// that the path of leaf 1 is leaf 0, then leaf 2 (RFC 6962, section 2.1.3).
fn evidence_of(name: &str, seed: u8, two: &[u8]) -> Evidence {
    let [zero, one, two] = [leaf_hash(b"zero"), leaf_hash(record().as_bytes()), leaf_hash(two)];
    let root = node_hash(&node_hash(&zero, &one), &two);
    Evidence {
        record: RawValue::from_string(record()).unwrap(),
        log_index: 1,
        inclusion_path: vec![Hash(zero), Hash(two)],
        checkpoint: note(name, seed, 3, root),
        verifier_key: signer(name, seed).verifier_key().to_string(),
    }
}

/// The same of the log `ai-mesh/log`.
pub(crate) fn evidence(seed: u8) -> Evidence {
    evidence_of("ai-mesh/log", seed, b"two")
}

fn note(name: &str, seed: u8, size: u64, root: [u8; 32]) -> String {
    Checkpoint { origin: name.into(), size, root }.sign(&signer(name, seed)).unwrap()
}

/// The log of the evidence when it had two leaves, and the proof that the third was only added.
fn two_leaves(seed: u8) -> (String, ConsistencyProof) {
    let old = node_hash(&leaf_hash(b"zero"), &leaf_hash(record().as_bytes()));
    let new = node_hash(&old, &leaf_hash(b"two"));
    let path = vec![Hash(leaf_hash(b"two"))];
    let proof = ConsistencyProof { from: 2, to: 3, from_root: Hash(old), to_root: Hash(new), path };
    (note("ai-mesh/log", seed, 2, old), proof)
}

fn write(folder: &Path, name: &str, value: &impl serde::Serialize) -> Vec<u8> {
    let bytes = serde_json::to_vec(value).unwrap();
    fs::write(folder.join(name), &bytes).unwrap();
    bytes
}

fn verify(folder: &Path, arguments: &[&str]) -> Ran {
    mesh(folder, &[&["verify"], arguments].concat())
}

#[test]
fn evidence_with_a_given_key_is_valid_and_says_of_what_whom_when_and_where() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    let ran = verify(folder.path(), &["e.json", "--key", &key(1)]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = "VALID: e.json: record a (note) about s, recorded at 2026-03-01T00:00:00Z.\n";
    assert!(ran.stdout.starts_with(told), "{}", ran.stdout);
    for part in ["ai-mesh/log, leaf 1 of 3", &key(1), "given with --key"] {
        assert!(ran.stdout.contains(part), "{part} is missing in {}", ran.stdout);
    }
    let json = verify(folder.path(), &["e.json", "--json", "--key", &key(1)]).json();
    assert_eq!(
        (&json["valid"], &json["verdict"], &json["log"]),
        (&json!(true), &json!("valid"), &json!("ai-mesh/log"))
    );
    assert_eq!((&json["key_vouched_for"], &json["proved"]["tree_size"]), (&json!("given"), &json!(3)));
    assert!(!folder.path().join(KNOWN_LOGS).exists(), "nothing is trusted beyond this command");
}

#[test]
fn a_key_that_the_evidence_brought_along_is_unknown_however_often_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    for _ in 0..2 {
        let ran = verify(folder.path(), &["e.json"]);
        assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with("UNKNOWN KEY: e.json: "), "{}", ran.stdout);
        assert!(ran.stdout.contains("--key") && ran.stdout.contains(&key(1)), "{}", ran.stdout);
    }
    let json = verify(folder.path(), &["e.json", "--json"]).json();
    assert_eq!((&json["valid"], &json["verdict"]), (&json!(false), &json!("unknown_key")));
}

#[test]
fn a_key_is_trusted_on_first_use_when_that_is_said_and_then_another_of_that_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    let first = verify(folder.path(), &["e.json", "--trust"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("trusted on first use, from now on"), "{}", first.stdout);
    let again = verify(folder.path(), &["e.json"]);
    assert_eq!(again.code, 0, "{}", again.stdout);
    assert!(again.stdout.contains("trusted on first use, on 2"), "{}", again.stdout);

    write(folder.path(), "forged.json", &evidence(2));
    for trust in [&[][..], &["--trust"]] {
        let forged = verify(folder.path(), &[&["forged.json"], trust].concat());
        assert_eq!(forged.code, 1, "{}", forged.stdout);
        for part in ["NOT VALID: forged.json", &key(1), &key(2)] {
            assert!(forged.stdout.contains(part), "{part} is missing in {}", forged.stdout);
        }
    }
    // another name is another log, and not known by this one
    write(folder.path(), "other.json", &evidence_of("ai-mesh/log2", 1, b"two"));
    assert_eq!(verify(folder.path(), &["other.json"]).code, 4);
    // whoever gives the key says that there are two of that name
    let given = verify(folder.path(), &["forged.json", "--key", &key(2)]);
    assert_eq!(given.code, 0);
    assert!(given.stdout.contains("careful") && given.stdout.contains(&key(1)), "{}", given.stdout);
    assert_eq!(verify(folder.path(), &["forged.json"]).code, 1, "it was said for one command");
    assert_eq!(verify(folder.path(), &["forged.json", "--key", &key(2), "--trust"]).code, 0);
    assert_eq!(verify(folder.path(), &["forged.json"]).code, 0);
    assert_eq!(verify(folder.path(), &["e.json"]).code, 0);
}

#[test]
fn nothing_spoiled_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spoiled = evidence(1);
    spoiled.log_index = 0;
    write(folder.path(), "e.json", &spoiled);
    assert_eq!(verify(folder.path(), &["e.json", "--trust"]).code, 1);
    assert_eq!(verify(folder.path(), &["e.json", "--trust", "--key", &key(1)]).code, 1);
    assert!(!folder.path().join(KNOWN_LOGS).exists());
}

#[test]
fn another_key_than_the_given_one_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    let ran = verify(folder.path(), &["e.json", "--key", &key(2)]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.starts_with("NOT VALID: e.json: checkpoint: the note is not signed by"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_log_that_shows_two_histories_is_not_valid_though_both_are_signed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    write(folder.path(), "other.json", &evidence_of("ai-mesh/log", 1, b"another history"));
    assert_eq!(verify(folder.path(), &["e.json", "--key", &key(1), "--trust"]).code, 0);
    for arguments in [&["other.json"][..], &["other.json", "--key", &key(1)]] {
        let ran = verify(folder.path(), arguments);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("different histories"), "{}", ran.stdout);
    }
    assert_eq!(verify(folder.path(), &["e.json"]).code, 0, "the first one stays");
}

#[test]
fn a_checkpoint_is_remembered_only_when_it_is_proved_to_go_on_from_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (old, proof) = two_leaves(1);
    fs::write(folder.path().join("old.txt"), &old).unwrap();
    write(folder.path(), "e.json", &evidence(1));
    write(folder.path(), "p.json", &proof);
    let remembered = || {
        let known: Value =
            serde_json::from_slice(&fs::read(folder.path().join(KNOWN_LOGS)).unwrap()).unwrap();
        known["logs"][0]["checkpoint"].as_str().unwrap().lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(verify(folder.path(), &["old.txt", "--key", &key(1), "--trust"]).code, 0);
    assert_eq!(remembered(), "2");
    let unproved = verify(folder.path(), &["e.json"]);
    assert_eq!(unproved.code, 0);
    assert!(unproved.stdout.contains("consistency?from=2&to=3"), "{}", unproved.stdout);
    assert_eq!(remembered(), "2");
    let proved = verify(folder.path(), &["e.json", "--proof", "p.json"]);
    assert_eq!(proved.code, 0, "{}", proved.stdout);
    assert_eq!(remembered(), "3");
    // a log of which somebody remembers another beginning
    let (mut wrong, other) = (proof, evidence_of("ai-mesh/log", 1, b"x"));
    fs::remove_file(folder.path().join(KNOWN_LOGS)).unwrap();
    assert_eq!(verify(folder.path(), &["old.txt", "--key", &key(1), "--trust"]).code, 0);
    wrong.path = vec![Hash([7; 32])];
    write(folder.path(), "wrong.json", &wrong);
    write(folder.path(), "other.json", &other);
    for evidence in ["e.json", "other.json"] {
        let ran = verify(folder.path(), &[evidence, "--proof", "wrong.json"]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("contradicts the checkpoint that is remembered"), "{}", ran.stdout);
    }
}

#[test]
fn two_checkpoints_are_valid_when_the_log_only_grew() {
    let folder = tempfile::tempdir().unwrap();
    let (old, proof) = two_leaves(1);
    let new = evidence(1).checkpoint;
    fs::write(folder.path().join("old.txt"), &old).unwrap();
    // as the API answers it
    let root = Checkpoint::claimed(&new).unwrap().root;
    write(folder.path(), "new.json", &json!({"tree_size": 3, "root_hash": Hash(root), "note": new}));
    write(folder.path(), "p.json", &proof);
    let both = ["old.txt", "new.json", "--proof", "p.json"];
    assert_eq!(verify(folder.path(), &both).code, 4, "nobody vouches for the key");
    let known = key(1);
    let ran = verify(folder.path(), &[&both[..], &["--key", &known]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("only grew, from 2 to 3 leaves"), "{}", ran.stdout);
    let backwards = verify(folder.path(), &["new.json", "old.txt", "--proof", "p.json", "--key", &key(1)]);
    assert_eq!(backwards.code, 0, "{}", backwards.stdout);
    let without = verify(folder.path(), &["old.txt", "new.json", "--key", &key(1)]);
    assert_eq!(without.code, 2);
    assert!(without.stderr.contains("consistency?from=2&to=3"), "{}", without.stderr);

    let empty = note("ai-mesh/log", 1, 0, EMPTY_ROOT);
    let rewritten = note("ai-mesh/log", 1, 3, [9; 32]);
    let stranger = note("ai-mesh/log", 2, 3, root);
    for (name, text) in [("empty.txt", &empty), ("rewritten.txt", &rewritten), ("stranger.txt", &stranger)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let key = key(1);
    let with = |one, other| verify(folder.path(), &[one, other, "--proof", "p.json", "--key", &key]).code;
    assert_eq!(with("empty.txt", "old.txt"), 0, "every log begins with the empty one");
    assert_eq!(with("old.txt", "rewritten.txt"), 1);
    assert_eq!(with("new.json", "rewritten.txt"), 1);
    assert_eq!(with("old.txt", "stranger.txt"), 1);
    write(folder.path(), "p.json", &ConsistencyProof { to: 4, ..proof });
    assert_eq!(with("old.txt", "new.json"), 1, "the proof is of other sizes");
    write(folder.path(), "p.json", &json!({}));
    assert_eq!(with("old.txt", "new.json"), 6);
    let lying = json!({"tree_size": 4, "root_hash": Hash(root), "note": new});
    write(folder.path(), "lying.json", &lying);
    assert_eq!(verify(folder.path(), &["lying.json", "--key", &key]).code, 1);
}

#[test]
fn white_space_alone_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pretty = serde_json::to_string_pretty(&evidence(1)).unwrap().replace(": ", " :\t");
    fs::write(folder.path().join("e.json"), pretty).unwrap();
    assert_eq!(verify(folder.path(), &["e.json", "--key", &key(1)]).code, 0);
}

/// As Python's `json` and `jq` write the same evidence.
#[test]
fn evidence_that_another_program_wrote_anew_is_told_apart_from_changed_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let text = serde_json::to_string(&evidence(1)).unwrap();
    let python = text.replace("0.000075", "7.5e-05").replace('ü', "\\u00fc").replace('—', "\\u2014");
    let jq = text.replace("0.000075", "7.5e-05").replace(',', ",\n  ");
    for anew in [&python, &jq] {
        fs::write(folder.path().join("e.json"), anew).unwrap();
        let ran = verify(folder.path(), &["e.json", "--key", &key(1)]);
        assert_eq!(ran.code, 5, "{}", ran.stdout);
        let told = "NOT CANONICAL: e.json: the record's text is not in canonical form";
        assert!(ran.stdout.starts_with(told), "{}", ran.stdout);
        assert!(
            ran.stdout.contains("Written canonically it is in the log: record a (note)"),
            "{}",
            ran.stdout
        );
        let json = verify(folder.path(), &["e.json", "--key", &key(1), "--json"]).json();
        assert_eq!((&json["valid"], &json["verdict"]), (&json!(false), &json!("not_canonical")));
        assert_eq!(verify(folder.path(), &["e.json"]).code, 4, "an unknown key comes first");
        assert_eq!(verify(folder.path(), &["e.json", "--trust"]).code, 5);
        assert_eq!(verify(folder.path(), &["e.json", "--trust", "--key", &key(1)]).code, 5);

        fs::write(folder.path().join("e.json"), anew.replace("7.5e-05", "7.6e-05")).unwrap();
        let ran = verify(folder.path(), &["e.json", "--key", &key(1)]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("written canonically it is not in the log"), "{}", ran.stdout);
    }
    assert!(!folder.path().join(KNOWN_LOGS).exists(), "what is not valid is not remembered");
}

#[test]
fn another_record_is_not_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    let claim = |text: &str| {
        fs::write(folder.path().join("r.json"), text).unwrap();
        verify(folder.path(), &["e.json", "--record", "r.json", "--key", &key(1)]).code
    };
    assert_eq!(claim(&record()), 0);
    assert_eq!(claim(&record().replace("0.000075", "0.0000750")), 5);
    assert_eq!(claim(&record().replace("0.000075", "0.000076")), 1);
    assert_eq!(claim("no JSON"), 1);
}

#[test]
fn a_file_that_is_no_evidence_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    for content in ["", "{}", "[1]", "a\nb\n", "\u{0}", r#"{"record":{},"log_index":0}"#] {
        fs::write(folder.path().join("e.json"), content).unwrap();
        let ran = verify(folder.path(), &["e.json"]);
        assert_eq!(ran.code, 6, "{content:?}: {}", ran.stdout);
        assert!(ran.stdout.starts_with("NOT EVIDENCE: e.json: "), "{}", ran.stdout);
        assert_eq!(verify(folder.path(), &["e.json", "--json"]).json()["verdict"], "not_evidence");
    }
    fs::write(folder.path().join("e.json"), "{\"\\u001b[2J\": 1}").unwrap();
    let ran = verify(folder.path(), &["e.json"]);
    assert!(ran.stdout.contains("\\u{1b}[2J") && !ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    fs::write(folder.path().join("e.json"), [0xff, 0xfe]).unwrap();
    assert_eq!(verify(folder.path(), &["e.json"]).code, 6);
}

#[test]
fn a_file_with_any_byte_changed_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = write(folder.path(), "e.json", &evidence(1));
    assert_eq!(verify(folder.path(), &["e.json", "--trust"]).code, 0);
    // a process for every byte would take a minute: every seventh is as good
    for i in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[i] ^= 1;
        fs::write(folder.path().join("e.json"), &changed).unwrap();
        let ran = verify(folder.path(), &["e.json"]);
        assert_eq!(ran.code, 1, "byte {i}: {}{}", ran.stdout, ran.stderr);
    }
    for (cut, code) in [(0, 6), (1, 6), (bytes.len() / 4, 6), (bytes.len() - 1, 1)] {
        fs::write(folder.path().join("e.json"), &bytes[..cut]).unwrap();
        assert_eq!(verify(folder.path(), &["e.json"]).code, code, "cut at {cut}");
    }
}

#[test]
fn a_damaged_file_of_known_logs_is_no_reason_to_trust_anybody() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "e.json", &evidence(1));
    fs::write(folder.path().join(KNOWN_LOGS), "{").unwrap();
    for arguments in [&["e.json"][..], &["e.json", "--trust"], &["e.json", "--key", &key(1)]] {
        let ran = verify(folder.path(), arguments);
        assert_eq!(ran.code, 3, "{}", ran.stdout);
        assert!(ran.stderr.contains(KNOWN_LOGS), "{}", ran.stderr);
    }
}
