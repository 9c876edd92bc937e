use super::*;
use crate::{
    canonical_json,
    note::NoteSigner,
    proof::{inclusion_ranges, range_hash},
    tile::{Edge, TileSet},
};

const INDEX: u64 = 5;

/// A small log whose leaf 5 is the record.
struct Log {
    record: String,
    path: Vec<Hash>,
    note: String,
    key: String,
}

fn log() -> Log {
    let signer = NoteSigner::new("ai-mesh/log", &[3; 32]).unwrap();
    let body = serde_json::json!({"text": "a \"quoted\\\" text", "price": 1.5, "list": [1, 2], "none": null});
    let record = String::from_utf8(canonical_json(&body).unwrap()).unwrap();
    let mut leaves: Vec<_> = (0..11_u8).map(|n| leaf_hash(&[n])).collect();
    leaves[INDEX as usize] = leaf_hash(record.as_bytes());
    let (mut edge, mut tiles) = (Edge::new(), TileSet::default());
    edge.append(&leaves).into_iter().for_each(|tile| tiles.insert(tile.id, tile.hashes));
    let path = inclusion_ranges(INDEX, 11).unwrap().iter().map(|r| range_hash(r, &tiles).unwrap()).collect();
    let head = Checkpoint { origin: "ai-mesh/log".into(), size: 11, root: edge.root() };
    Log { record, path, note: head.sign(&signer).unwrap(), key: signer.verifier_key().to_string() }
}

#[test]
fn a_record_is_proved_from_key_checkpoint_and_path_alone() {
    let log = log();
    let verified = verify(&log.record, INDEX, &log.path, &log.note, &log.key).unwrap();
    assert_eq!(verified.leaf_hash, leaf_hash(log.record.as_bytes()));
    assert_eq!((verified.log_index, verified.checkpoint.size), (INDEX, 11));
}

#[test]
fn white_space_between_tokens_does_not_matter_and_within_texts_it_does() {
    let log = log();
    let value: serde_json::Value = serde_json::from_str(&log.record).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    assert_ne!(pretty, log.record);
    // The canonical order is the record's order, so pretty-printing adds only white space.
    verify(&pretty, INDEX, &log.path, &log.note, &log.key).unwrap();
    let spaced = log.record.replace("a \\\"", "a  \\\"");
    assert_ne!(spaced, log.record);
    assert!(matches!(
        verify(&spaced, INDEX, &log.path, &log.note, &log.key),
        Err(VerifyError::Inclusion(ProofError::RootMismatch))
    ));
}

#[test]
fn every_changed_character_of_the_record_is_rejected() {
    let log = log();
    for at in 0..log.record.len() {
        for replacement in ["", " ", "0", "\"", "x", "\\"] {
            let changed = format!("{}{replacement}{}", &log.record[..at], &log.record[at + 1..]);
            if changed == log.record {
                continue;
            }
            assert!(verify(&changed, INDEX, &log.path, &log.note, &log.key).is_err(), "{changed}");
        }
    }
}

#[test]
fn a_space_within_a_number_or_a_word_is_not_white_space() {
    assert_eq!(minify(" { \"a b\" : [ 12 , true ] } ").unwrap(), r#"{"a b":[12,true]}"#);
    for text in ["1 2", "tr ue", "{\"a\":1}}", "", "{\"a\" 1}", "\u{a0}1"] {
        assert!(matches!(minify(text), Err(VerifyError::NotJson(_))), "{text:?}");
    }
    let log = log();
    let split = log.record.replace("1.5", "1. 5");
    assert!(matches!(verify(&split, INDEX, &log.path, &log.note, &log.key), Err(VerifyError::NotJson(_))));
}

#[test]
fn another_index_path_checkpoint_or_key_is_rejected() {
    let log = log();
    for index in (0..20).filter(|&index| index != INDEX) {
        assert!(verify(&log.record, index, &log.path, &log.note, &log.key).is_err(), "{index}");
    }
    assert!(verify(&log.record, INDEX, &log.path[1..], &log.note, &log.key).is_err());
    let other = NoteSigner::new("ai-mesh/log", &[4; 32]).unwrap().verifier_key().to_string();
    assert!(matches!(
        verify(&log.record, INDEX, &log.path, &log.note, &other),
        Err(VerifyError::Checkpoint(CheckpointError::Note(_)))
    ));
    for at in
        (0..log.note.len()).filter(|&at| log.note.is_char_boundary(at) && log.note.is_char_boundary(at + 1))
    {
        let changed = format!("{}!{}", &log.note[..at], &log.note[at + 1..]);
        assert!(verify(&log.record, INDEX, &log.path, &changed, &log.key).is_err(), "{changed}");
    }
}
