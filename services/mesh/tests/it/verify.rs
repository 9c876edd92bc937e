//! `mesh verify`.

use std::path::Path;

use api::{Hash, remembrancer::Evidence};
use merkle_log::{canonical_json, checkpoint::Checkpoint, leaf_hash, node_hash, note::NoteSigner};
use serde_json::{json, value::RawValue};

use crate::support::mesh;

/// Evidence for the middle one of three leaves, computed by hand: the tree is node(node(0, 1), 2), so
/// that the path of leaf 1 is leaf 0, then leaf 2 (RFC 6962, section 2.1.3).
fn evidence(seed: u8) -> Evidence {
    let signer = NoteSigner::new("ai-mesh/log", &[seed; 32]).unwrap();
    let record = canonical_json(&json!({"id": "a", "body": {"run_root": "x y", "n": 1.5}})).unwrap();
    let [zero, two] = [leaf_hash(b"zero"), leaf_hash(b"two")];
    let root = node_hash(&node_hash(&zero, &leaf_hash(&record)), &two);
    let checkpoint = Checkpoint { origin: "ai-mesh/log".into(), size: 3, root };
    Evidence {
        record: RawValue::from_string(String::from_utf8(record).unwrap()).unwrap(),
        log_index: 1,
        inclusion_path: vec![Hash(zero), Hash(two)],
        checkpoint: checkpoint.sign(&signer).unwrap(),
        verifier_key: signer.verifier_key().to_string(),
    }
}

fn write(folder: &Path, evidence: &Evidence) -> Vec<u8> {
    let bytes = serde_json::to_vec(evidence).unwrap();
    std::fs::write(folder.join("e.json"), &bytes).unwrap();
    bytes
}

#[test]
fn good_evidence_is_valid_and_it_is_said_whose_key_was_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = evidence(1);
    write(folder.path(), &evidence);
    let ran = mesh(folder.path(), &["verify", "e.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.starts_with("VALID: e.json: the record is leaf 1 of the log ai-mesh/log with 3 leaves")
    );
    assert!(ran.stdout.contains("taken from the file itself"), "{}", ran.stdout);
    let ran = mesh(folder.path(), &["verify", "e.json", "--json", "--key", &evidence.verifier_key]);
    assert_eq!(ran.code, 0);
    let json = ran.json();
    assert_eq!(json["valid"], true);
    assert_eq!(json["key_from"], "argument");
    assert_eq!(json["proved"]["tree_size"], 3);
}

#[test]
fn white_space_alone_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pretty = serde_json::to_string_pretty(&evidence(1)).unwrap().replace(": ", " :\t");
    std::fs::write(folder.path().join("e.json"), pretty).unwrap();
    assert_eq!(mesh(folder.path(), &["verify", "e.json"]).code, 0);
}

#[test]
fn another_key_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &evidence(1));
    let ran = mesh(folder.path(), &["verify", "e.json", "--key", &evidence(2).verifier_key]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.starts_with("NOT VALID: e.json: checkpoint: the note is not signed by"),
        "{}",
        ran.stdout
    );
}

#[test]
fn another_record_is_not_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = evidence(1);
    write(folder.path(), &evidence);
    let record = folder.path().join("r.json");
    std::fs::write(&record, evidence.record.get()).unwrap();
    assert_eq!(mesh(folder.path(), &["verify", "e.json", "--record", "r.json"]).code, 0);
    std::fs::write(&record, evidence.record.get().replace("1.5", "1.50")).unwrap();
    assert_eq!(mesh(folder.path(), &["verify", "e.json", "--record", "r.json"]).code, 1);
}

#[test]
fn a_file_with_any_byte_changed_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = write(folder.path(), &evidence(1));
    // a process for every byte would take a minute: every seventh is as good
    for i in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[i] ^= 1;
        std::fs::write(folder.path().join("e.json"), &changed).unwrap();
        let ran = mesh(folder.path(), &["verify", "e.json"]);
        assert_eq!(ran.code, 1, "byte {i}: {}{}", ran.stdout, ran.stderr);
    }
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(folder.path().join("e.json"), &bytes[..cut]).unwrap();
        assert_eq!(mesh(folder.path(), &["verify", "e.json"]).code, 1, "cut at {cut}");
    }
}
