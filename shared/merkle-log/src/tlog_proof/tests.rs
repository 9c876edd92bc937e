use sha2::{Digest as _, Sha256};

use super::*;
use crate::{canonical_text, checkpoint::Checkpoint, leaf_hash, node_hash, note::NoteSigner};

fn sha256(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// What transparency-dev/formats, the reference implementation in Go, writes.
#[test]
fn proofs_are_written_and_read_as_the_reference_implementation_does() {
    let (one, two) = (sha256("hash1"), sha256("hash2"));
    let (one_64, two_64) = (BASE64.encode(one), BASE64.encode(two));
    for (extra, index, path, checkpoint, text) in [
        (
            None,
            5,
            vec![one, two],
            "test checkpoint\n",
            format!("c2sp.org/tlog-proof@v1\nindex 5\n{one_64}\n{two_64}\n\ntest checkpoint\n"),
        ),
        (
            Some(b"extra information".to_vec()),
            10,
            vec![one],
            "checkpoint data\n",
            format!(
                "c2sp.org/tlog-proof@v1\nextra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n{one_64}\n\ncheckpoint data\n"
            ),
        ),
        (None, 0, vec![], "checkpoint\n", "c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n".into()),
    ] {
        let proof = TlogProof { extra, index, path, checkpoint: checkpoint.into() };
        assert_eq!(proof.to_text(), text);
        assert_eq!(TlogProof::parse(&text), Ok(proof));
    }
}

#[test]
fn what_the_reference_implementation_refuses_is_refused_by_its_line() {
    let hash = BASE64.encode(sha256("hash"));
    for (text, line) in [
        ("wrong-header\nindex 0\n\ncheckpoint\n".to_owned(), 1),
        (String::new(), 1),
        ("c2sp.org/tlog-proof@v1\nextra !!notbase64!!\nindex 0\n\ncheckpoint\n".into(), 2),
        ("c2sp.org/tlog-proof@v1\n\n\ncheckpoint\n".into(), 2),
        ("c2sp.org/tlog-proof@v1\nindex notanumber\n\ncheckpoint\n".into(), 2),
        ("c2sp.org/tlog-proof@v1\nindex -5\n\ncheckpoint\n".into(), 2),
        ("c2sp.org/tlog-proof@v1\nindex +5\n\ncheckpoint\n".into(), 2),
        ("c2sp.org/tlog-proof@v1\nindex 05\n\ncheckpoint\n".into(), 2),
        ("c2sp.org/tlog-proof@v1\nextra AAAA\nindex 18446744073709551616\n\ncheckpoint\n".into(), 3),
        ("c2sp.org/tlog-proof@v1\nindex 0\n!!notbase64!!\n\ncheckpoint\n".into(), 3),
        (format!("c2sp.org/tlog-proof@v1\nindex 0\n{hash}\n{}\n\ncheckpoint\n", BASE64.encode([0; 64])), 4),
        (format!("c2sp.org/tlog-proof@v1\nindex 0\n{}\ncheckpoint\n", format!("{hash}\n").repeat(65)), 67),
        (format!("c2sp.org/tlog-proof@v1\nindex 0\n{hash}\n"), 4),
        (format!("c2sp.org/tlog-proof@v1\nindex 0\n{hash}\n\ncheckpoint"), 4),
        ("c2sp.org/tlog-proof@v1".into(), 2),
        (format!("c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n{hash}\n\ncheckpoint\n"), 3),
    ] {
        assert_eq!(TlogProof::parse(&text).map_err(|error| error.line), Err(line), "{text:?}");
    }
}

#[test]
fn a_proof_vouches_for_its_entry_and_for_no_other() {
    let signer = NoteSigner::new("ai-mesh/log", &[1; 32]).unwrap();
    let record = canonical_text(r#"{"n": 1, "text": "hello"}"#).unwrap();
    let (leaf, other) = (leaf_hash(record.as_bytes()), leaf_hash(b"another"));
    let root = node_hash(&other, &leaf);
    let checkpoint = Checkpoint { origin: "ai-mesh/log".into(), size: 2, root }.sign(&signer).unwrap();
    let proof =
        TlogProof { extra: Some(record.clone().into_bytes()), index: 1, path: vec![other], checkpoint };
    let proof = TlogProof::parse(&proof.to_text()).unwrap();
    let key = signer.verifier_key();
    assert_eq!(proof.entry(), Some(&*record));
    assert_eq!(proof.verify(&record, &key).unwrap().leaf_hash, leaf);
    assert!(proof.verify(&record.replace("hello", "hallo"), &key).is_err());
    assert!(TlogProof { index: 0, ..proof.clone() }.verify(&record, &key).is_err());
    let stranger = NoteSigner::new("ai-mesh/log", &[2; 32]).unwrap().verifier_key();
    assert!(proof.verify(&record, &stranger).is_err());
}
