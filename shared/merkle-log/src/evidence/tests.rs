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

/// As `jq .` and Python's `json` write it: exponents, other escapes, another order.
#[test]
fn a_record_that_was_only_written_otherwise_is_told_apart_from_a_changed_one() {
    let log = log();
    for (from, to) in [
        ("1.5", "15e-1"),
        ("1.5", "1.50"),
        ("\"a \\\"", "\"\\u0061 \\\""),
        ("[1,2]", "[1.0,2]"),
        ("1.5", "1.500000000000000000000001"),
    ] {
        let other = log.record.replacen(from, to, 1);
        assert_ne!(other, log.record, "{from}");
        let error = verify(&other, INDEX, &log.path, &log.note, &log.key).unwrap_err();
        let VerifyError::NotCanonical(verified) = &error else { panic!("{other}: {error}") };
        assert_eq!(verified.record, log.record);
        assert!(
            error.to_string().contains("written canonically it is in the log, as leaf 5 of 11"),
            "{error}"
        );
        // written otherwise and changed
        let changed = other.replacen("text\":", "tent\":", 1);
        let error = verify(&changed, INDEX, &log.path, &log.note, &log.key).unwrap_err();
        assert!(matches!(error, VerifyError::NeitherForm(ProofError::RootMismatch)), "{changed}: {error}");
    }
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&log.record).unwrap();
    let reordered = serde_json::Value::Object(members.into_iter().rev().collect()).to_string();
    let error = verify(&reordered, INDEX, &log.path, &log.note, &log.key).unwrap_err();
    assert!(matches!(error, VerifyError::NotCanonical(_)), "{error}");
}

#[test]
fn a_key_that_stands_twice_is_a_change_whatever_its_last_value_is() {
    let log = log();
    let doubled = log.record.replacen('{', r#"{"none":1,"#, 1);
    let error = verify(&doubled, INDEX, &log.path, &log.note, &log.key).unwrap_err();
    assert!(matches!(error, VerifyError::Inclusion(ProofError::RootMismatch)), "{error}");
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
