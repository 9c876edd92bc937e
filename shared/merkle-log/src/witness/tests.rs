use super::*;
use crate::note::NoteSigner;

/// The log of the tests of FiloSottile's litewitness, a witness in production, and what they send.
const KEY: &str = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP";

const FIRST: &str = "\
old 0

sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562
1
KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

\u{2014} sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=
";

const TO_THREE: &str = "\
old 1
KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562
3
RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=

\u{2014} sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=
";

const TO_FIVE: &str = "\
old 1
KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=
KgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562
5
QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=

\u{2014} sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=
";

fn keys() -> Vec<VerifierKey> {
    vec![VerifierKey::parse(KEY).unwrap()]
}

fn decide(body: &str, seen: Option<Seen>) -> Result<Seen, Refusal> {
    let request = AddCheckpoint::parse(body)?;
    assert_eq!(request.to_text(), body, "it is written as it was read");
    let checkpoint = request.verify(&keys())?;
    request.follows(&checkpoint, seen)?;
    Ok(Seen { size: checkpoint.size, root: checkpoint.root })
}

#[test]
fn what_a_public_log_sends_to_its_witnesses_is_taken_in_either_order_but_not_back() {
    let one = decide(FIRST, None).unwrap();
    assert_eq!(one.size, 1);
    let three = decide(TO_THREE, Some(one)).unwrap();
    let five = decide(TO_FIVE, Some(one)).unwrap();
    assert_eq!((three.size, five.size), (3, 5));
    // the race of the specification: the slower request finds that the log has gone on
    assert_eq!(decide(TO_THREE, Some(five)), Err(Refusal::Conflict(5)));
    assert_eq!(decide(TO_FIVE, Some(three)), Err(Refusal::Conflict(3)));
    assert_eq!(decide(TO_FIVE, None), Err(Refusal::Conflict(0)));
    assert_eq!(decide(FIRST, Some(five)), Err(Refusal::Conflict(5)));
}

#[test]
fn a_proof_that_is_another_is_not_consistent() {
    let one = decide(FIRST, None).unwrap();
    let other = TO_THREE.replacen("KgEA", "KgMA", 1);
    assert!(matches!(decide(&other, Some(one)), Err(Refusal::NotConsistent(ProofError::RootMismatch))));
    let fewer = TO_THREE.replacen("KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "", 1);
    assert!(matches!(decide(&fewer, Some(one)), Err(Refusal::NotConsistent(ProofError::WrongLength { .. }))));
    let of_another = Seen { root: [7; 32], ..one };
    assert!(matches!(decide(TO_THREE, Some(of_another)), Err(Refusal::NotConsistent(_))));
}

fn signer() -> NoteSigner {
    NoteSigner::new("example.com/log", &[3; 32]).unwrap()
}

fn request(old: u64, proof: Vec<Hash>, size: u64, root: Hash) -> AddCheckpoint {
    let checkpoint = Checkpoint { origin: "example.com/log".into(), size, root };
    AddCheckpoint { old, proof, checkpoint: checkpoint.sign(&signer()).unwrap() }
}

/// The table of litewitness's tests about trees of no leaves.
#[test]
fn trees_of_no_leaves_are_decided_as_litewitness_decides() {
    let leaf = crate::leaf_hash(b"leaf");
    let known = [signer().verifier_key()];
    for (seen, old, proof, size, root, status) in [
        (None, 0, vec![], 0, EMPTY_ROOT, 200),
        (None, 0, vec![], 0, leaf, 422),
        (None, 0, vec![], 0, [0; 32], 422),
        (None, 0, vec![leaf], 0, EMPTY_ROOT, 422),
        (None, 0, vec![], 1, leaf, 200),
        (None, 0, vec![leaf], 1, leaf, 422),
        (Some(Seen { size: 1, root: leaf }), 0, vec![leaf], 1, leaf, 409),
        (Some(Seen { size: 1, root: leaf }), 1, vec![], 0, EMPTY_ROOT, 400),
        (Some(Seen { size: 0, root: EMPTY_ROOT }), 0, vec![], 0, EMPTY_ROOT, 200),
    ] {
        let asked = request(old, proof, size, root);
        let decided = asked.verify(&known).and_then(|checkpoint| asked.follows(&checkpoint, seen));
        let actual = match decided {
            Ok(()) => 200,
            Err(Refusal::Backwards { .. }) => 400,
            Err(Refusal::Conflict(_)) => 409,
            Err(Refusal::NotConsistent(_)) => 422,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(actual, status, "{asked:?} after {seen:?}");
    }
}

#[test]
fn the_same_checkpoint_again_is_cosigned_again_and_another_of_its_size_is_a_conflict() {
    let (root, known) = (crate::leaf_hash(b"a"), [signer().verifier_key()]);
    let seen = Some(Seen { size: 9, root });
    for (asked, expected) in [
        (request(9, vec![], 9, root), Ok(())),
        (request(9, vec![], 9, [1; 32]), Err(Refusal::Conflict(9))),
        (request(9, vec![root], 9, root), Err(Refusal::NotConsistent(ProofError::WrongLength { actual: 1 }))),
    ] {
        let checkpoint = asked.verify(&known).unwrap();
        assert_eq!(asked.follows(&checkpoint, seen), expected);
    }
}

#[test]
fn only_a_known_log_that_signed_is_heard() {
    let asked = request(0, vec![], 1, [1; 32]);
    let mine = signer().verifier_key();
    let same_name = NoteSigner::new("example.com/log", &[4; 32]).unwrap();
    assert_eq!(asked.verify(&[]), Err(Refusal::UnknownLog("example.com/log".into())));
    assert_eq!(asked.verify(&keys()), Err(Refusal::UnknownLog("example.com/log".into())));
    assert!(matches!(asked.verify(&[same_name.verifier_key()]), Err(Refusal::NotSigned(_))));
    // a log that changed its key is known by both for a while, in any order
    for known in [[mine.clone(), same_name.verifier_key()], [same_name.verifier_key(), mine.clone()]] {
        assert_eq!(asked.verify(&known).unwrap().size, 1);
    }
    // lines of unknown keys are passed over, a broken one of a known key is not
    let both = AddCheckpoint { checkpoint: same_name.cosign(&asked.checkpoint).unwrap(), ..asked.clone() };
    assert!(both.verify(std::slice::from_ref(&mine)).is_ok());
    let other = request(0, vec![], 2, [2; 32]).checkpoint;
    let line = other.lines().last().unwrap();
    let spoiled = AddCheckpoint { checkpoint: format!("{}{line}\n", asked.checkpoint), ..asked };
    assert_eq!(
        spoiled.verify(&[mine]),
        Err(Refusal::NotSigned(NoteError::BadSignature("example.com/log".into())))
    );
}

#[test]
fn every_other_form_is_refused() {
    let note = &request(0, vec![], 1, [1; 32]).checkpoint;
    let hash = "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for body in [
        String::new(),
        note.clone(),
        format!("old 0\n{note}"),
        format!("old  0\n\n{note}"),
        format!("old 00\n\n{note}"),
        format!("old +1\n\n{note}"),
        format!("old -1\n\n{note}"),
        format!("old 18446744073709551616\n\n{note}"),
        format!("Old 0\n\n{note}"),
        format!("old 0\r\n\n{note}"),
        format!("\nold 0\n\n{note}"),
        format!("old 1\n{}\n\n{note}", &hash[1..]),
        format!("old 1\n {hash}\n\n{note}"),
        format!("old 1\n{}\n{note}", format!("{hash}\n").repeat(64)),
        "old 0\n\n".into(),
        "old 0\n\nno checkpoint\n".into(),
        format!("old 0\n\n{note}\n"),
    ] {
        let decided = AddCheckpoint::parse(&body).and_then(|asked| asked.verify(&[signer().verifier_key()]));
        assert!(matches!(decided, Err(Refusal::Form(_) | Refusal::Checkpoint(_))), "{body:?}: {decided:?}");
    }
    let most = format!("old 1\n{}\n{note}", format!("{hash}\n").repeat(63));
    assert_eq!(AddCheckpoint::parse(&most).unwrap().proof.len(), 63);
    let huge = request(0, vec![], MAX_SIZE + 1, [1; 32]);
    assert_eq!(huge.verify(&[signer().verifier_key()]), Err(Refusal::Form("a tree size below 2^63")));
}
