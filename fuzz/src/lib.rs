//! What several fuzz targets share.

use std::sync::LazyLock;

use merkle_log::{Hash, checkpoint::Checkpoint, leaf_hash, node_hash, note::NoteSigner};

pub mod federation;
pub mod field;
pub mod markets;
pub mod naive;

/// The records of a small log, as they stand in it.
pub const RECORDS: [&str; 5] = [
    r#"{"text":"hello"}"#,
    r#"{"body":{"note":"a \"quoted\" word, a \\ and a  double space"},"kind":"note","subject":"run:1"}"#,
    r#"{"numbers":[0,-1,0.1,1e-7,1e+21,333333333.3333333],"text":"€ ö 😀"}"#,
    r#"{"empty":{},"list":[],"null":null,"true":true}"#,
    r#"{"decision":7,"provider":"aws-us-east","run":"00"}"#,
];

/// Who signs the log. The seed is no secret: it signs nothing else.
pub static SIGNER: LazyLock<NoteSigner> =
    LazyLock::new(|| NoteSigner::new("example.org/log", &[7; 32]).expect("a name without spaces"));

/// The log's leaves.
#[must_use]
pub fn leaves() -> Vec<Hash> {
    RECORDS.iter().map(|record| leaf_hash(record.as_bytes())).collect()
}

/// The log's head.
#[must_use]
pub fn head() -> Checkpoint {
    let leaves = leaves();
    Checkpoint { origin: SIGNER.name().into(), size: leaves.len() as u64, root: naive::root(&leaves) }
}

/// Evidence for one of the records, as the remembrancer gives it.
#[must_use]
pub fn evidence(index: usize) -> String {
    let path: Vec<String> = naive::path(index, &leaves()).iter().map(hex::encode).collect();
    let note = head().sign(&SIGNER).expect("an origin without control characters");
    serde_json::json!({
        "record": serde_json::value::RawValue::from_string(RECORDS[index].into()).expect("JSON"),
        "log_index": index,
        "inclusion_path": path,
        "checkpoint": note,
        "verifier_key": SIGNER.verifier_key().to_string(),
    })
    .to_string()
}

/// `node_hash`, for the definitions.
pub(crate) fn join(left: &Hash, right: &Hash) -> Hash {
    node_hash(left, right)
}
