use proptest::prelude::*;

use super::*;

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("ai-mesh/promises/1", &[seed; 32]).unwrap()
}

fn promise() -> Promise {
    Promise {
        log: "ai-mesh/log".into(),
        deployment: "gateway".into(),
        run: [7; 32],
        by_ms: 1_796_000_000_000,
        leaves: vec![(4, [1; 32]), (5, [2; 32])],
    }
}

#[test]
fn a_promise_is_read_as_it_was_signed_and_by_its_key_only() {
    let note = promise().sign(&signer(1)).unwrap();
    assert!(note.starts_with("ai-mesh-promise/1\nlog ai-mesh/log\ndeployment gateway\nrun 0707"), "{note}");
    assert_eq!(Promise::verify(&note, &signer(1).verifier_key()), Ok(promise()));
    assert_eq!(Promise::claimed(&note), Ok(promise()));
    assert!(matches!(
        Promise::verify(&note, &signer(2).verifier_key()),
        Err(PromiseError::Note(NoteError::NotSigned(_)))
    ));
    let changed = note.replace("leaf 4 01", "leaf 4 03");
    assert!(matches!(
        Promise::verify(&changed, &signer(1).verifier_key()),
        Err(PromiseError::Note(NoteError::BadSignature(_)))
    ));
    assert_eq!((promise().leaf(5), promise().leaf(6)), (Some(&[2; 32]), None));
}

#[test]
fn what_is_no_promise_is_not_read_and_not_signed() {
    let text = promise().to_text();
    for (from, to) in [
        ("ai-mesh-promise/1", "ai-mesh-promise/2"),
        ("log ai-mesh/log\n", ""),
        ("deployment gateway", "deployment "),
        ("by 17", "by +17"),
        ("by 17", "by 017"),
        ("run 07", "run 0"),
        ("leaf 5 ", "leaf 4 "),
        ("leaf 4 01", "leaf 4 0A"),
        ("leaf 5", "branch 5"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        assert!(matches!(Promise::parse_text(&changed), Err(PromiseError::Form(_))), "{changed}");
    }
    assert!(Promise { leaves: vec![], ..promise() }.sign(&signer(1)).is_err());
    assert!(Promise { leaves: vec![(5, [0; 32]), (4, [0; 32])], ..promise() }.sign(&signer(1)).is_err());
    assert!(Promise { deployment: "a\nrun b".into(), ..promise() }.sign(&signer(1)).is_err());
    let most = (0..=MAX_LEAVES as u64).map(|sequence| (sequence, [0; 32])).collect();
    assert!(Promise { leaves: most, ..promise() }.sign(&signer(1)).is_err());
}

proptest! {
    #[test]
    fn every_promise_has_one_text_and_every_text_one_promise(
        log in "[!-~]{1,20}", deployment in "[a-z0-9-]{1,20}", run: [u8; 32], by_ms: u64,
        leaves in prop::collection::btree_map(any::<u64>(), any::<[u8; 32]>(), 1..20),
    ) {
        let promise = Promise { log, deployment, run, by_ms, leaves: leaves.into_iter().collect() };
        let text = promise.to_text();
        prop_assert_eq!(Promise::parse_text(&text), Ok(promise));
    }

    #[test]
    fn whatever_is_read_has_the_text_that_it_was_read_from(text in "(ai-mesh-promise/1\nlog a\ndeployment b\n)?[ -~\n]{0,200}") {
        if let Ok(promise) = Promise::parse_text(&text) {
            prop_assert_eq!(promise.to_text(), text);
        }
    }
}
