use std::collections::BTreeMap;

use federation::{
    Author, ContributionError, Sealed, Stream,
    chunks::{ChunkError, MOST_CHUNKS, Manifest, chunks, split},
};
use merkle_log::canonical_json;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

use crate::support::{author, knowledge, no_cem, sealed};

fn with(change: impl FnOnce(&mut Value)) -> Result<Sealed, ContributionError> {
    let mut value: Value = serde_json::from_slice(sealed(&author(0), 1, 2, no_cem()).bytes()).unwrap();
    change(&mut value);
    Sealed::open(&canonical_json(&value).unwrap())
}

#[test]
fn a_contribution_is_read_as_it_was_written_and_named_by_its_bytes() {
    let written = sealed(&author(0), 7, 100, no_cem());
    let read = Sealed::open(written.bytes()).unwrap();
    assert_eq!(read, written);
    assert_eq!(read.head(), written.head());
    assert_ne!(sealed(&author(1), 7, 100, no_cem()).name(), written.name());
}

#[test]
fn what_nobody_can_have_seen_is_refused_and_told_where_it_is() {
    assert!(with(|_| {}).is_ok());
    let error = with(|value| value["knowledge"]["learned"]["weights"][1]["mean"] = json!(1e300)).unwrap_err();
    let ContributionError::Giant { pointer, .. } = error else { panic!("{error}") };
    assert_eq!(pointer, "/weights/1/mean");
    let unnamed = with(|value| value["knowledge"] = json!([1, 2])).unwrap_err();
    assert_eq!(unnamed, ContributionError::Unnamed);
    let negative = with(|value| value["evidence"] = json!(-1)).unwrap_err();
    assert!(matches!(negative, ContributionError::Form(_)), "{negative}");
    let other = with(|value| value["format"] = json!("ai-mesh-contribution/2")).unwrap_err();
    assert_eq!(other, ContributionError::Format("ai-mesh-contribution/2".into()));
    let more = with(|value| value["more"] = json!(0)).unwrap_err();
    assert!(matches!(more, ContributionError::Form(_)), "{more}");
    let stranger = with(|value| value["author"] = json!("node+00000000+AAAA")).unwrap_err();
    assert!(matches!(stranger, ContributionError::Form(_)), "{stranger}");
    let not_a_number = with(|value| value["made_by"] = json!(null)).unwrap();
    let text = String::from_utf8(not_a_number.bytes().to_vec()).unwrap();
    let text = text.replace("\"made_by\":null", "\"made_by\":NaN");
    assert!(matches!(Sealed::open(text.as_bytes()).unwrap_err(), ContributionError::Form(_)));
}

#[test]
fn other_bytes_of_the_same_value_are_refused() {
    let written = sealed(&author(0), 1, 2, no_cem());
    let text = String::from_utf8(written.bytes().to_vec()).unwrap();
    for other in
        [text.replacen(':', ": ", 1), text.replace("\"sequence\":1", "\"sequence\":1,\"sequence\":1")]
    {
        assert_ne!(other, text);
        assert!(Sealed::open(other.as_bytes()).is_err(), "{other}");
    }
    assert_eq!(
        Sealed::open(&vec![b' '; (16 << 20) + 1]).unwrap_err(),
        ContributionError::TooLarge((16 << 20) + 1)
    );
}

#[test]
fn numbers_that_not_every_reader_understands_are_refused() {
    let giant = with(|value| value["knowledge"]["learned"]["generation"] = json!(1e20)).unwrap();
    assert!(Sealed::open(giant.bytes()).is_ok(), "a figure that is no count may be large");
    let text = String::from_utf8(sealed(&author(0), 1, 2, no_cem()).bytes().to_vec()).unwrap();
    let text = text.replace("\"sequence\":1", "\"sequence\":9007199254740993");
    assert!(matches!(Sealed::open(text.as_bytes()).unwrap_err(), ContributionError::NoCanonical(_)));
}

#[test]
fn one_key_is_one_author_however_its_text_is_spelled() {
    let text = author(0).to_string();
    assert_eq!(Author::parse(&text).unwrap(), author(0));
    assert!(Author::parse(&format!("{text} ")).is_err());
    assert!(Author::parse(&"a".repeat(600)).is_err());
}

#[test]
fn streams_differ_where_anything_differs_that_makes_evidence_comparable() {
    let stream = Stream {
        learner: "adaptive".into(),
        settings: json!({"a": 1, "b": 2}),
        catalog: "c".into(),
        preference: json!({"request": 50}),
        version: 3,
    };
    let id = stream.id().unwrap();
    assert_eq!(Stream { settings: json!({"b": 2, "a": 1}), ..stream.clone() }.id().unwrap(), id);
    let others = [
        Stream { learner: "cem".into(), ..stream.clone() },
        Stream { settings: json!({"a": 1}), ..stream.clone() },
        Stream { catalog: "d".into(), ..stream.clone() },
        Stream { preference: json!({"request": 51}), ..stream.clone() },
        Stream { version: 4, ..stream },
    ];
    for other in others {
        assert_ne!(other.id().unwrap(), id, "{other:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pieces_make_up_what_was_split(seed in any::<u64>(), length in 0..300_000_usize) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..length).map(|_| rng.random_range(b'0'..=b'9')).collect();
        let manifest = Manifest::of(&bytes);
        prop_assert!(manifest.chunks.len() <= MOST_CHUNKS);
        let mut pieces = chunks(&bytes);
        prop_assert_eq!(manifest.assemble(&pieces).unwrap(), bytes);
        if let Some((lost, _)) = pieces.pop_first() {
            prop_assert_eq!(manifest.missing(&pieces), vec![lost]);
            prop_assert_eq!(manifest.assemble(&pieces), Err(ChunkError::Missing(lost)));
        }
    }
}

#[test]
fn bytes_without_any_variety_are_split_too() {
    for length in [0, 1, 1024, 100_000, 5_000_000] {
        let bytes = vec![b'0'; length];
        assert!(split(&bytes).count() <= MOST_CHUNKS, "{length}");
        assert_eq!(split(&bytes).map(|range| range.len()).sum::<usize>(), length);
    }
}

#[test]
fn of_a_table_with_one_more_row_few_pieces_are_new() {
    let mut rng = Pcg64Mcg::seed_from_u64(5);
    let mut rows: Vec<(u64, u32, f64)> =
        (0..10_000).map(|n| (4 * n, rng.random_range(1..100), rng.random())).collect();
    let bytes = |rows: &Vec<(u64, u32, f64)>| {
        let known = knowledge("q-learning", 4, json!({"cells": rows}));
        sealed(&author(0), 1, 1, known).bytes().to_vec()
    };
    let before = chunks(&bytes(&rows));
    rows.insert(5000, (20_001, 1, 0.5));
    let missing = Manifest::of(&bytes(&rows)).missing(&before).len();
    assert!((1..=2).contains(&missing), "{missing} of {} pieces are new", before.len());
}

#[test]
fn pieces_of_something_else_are_found_out() {
    let (one, other) = (vec![b'1'; 5000], vec![b'2'; 5000]);
    let mut manifest = Manifest::of(&one);
    manifest.chunks = Manifest::of(&other).chunks;
    assert!(matches!(manifest.assemble(&chunks(&other)), Err(ChunkError::Other { .. })));
    manifest.chunks = vec![manifest.chunks[0]; 300];
    assert_eq!(manifest.assemble(&BTreeMap::new()), Err(ChunkError::TooMany(300)));
    assert_ne!(Manifest::of(&one).root(), Manifest::of(&other).root());
}
