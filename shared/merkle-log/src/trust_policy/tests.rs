use super::*;
use crate::{
    cosignature::{
        Cosigner,
        tests::{PUBLIC_CHECKPOINT, PUBLIC_LOG, PUBLIC_WITNESSES},
    },
    note::NoteSigner,
};

fn cosigner(name: &str, seed: u8) -> Cosigner {
    Cosigner::new(name, &[seed; 32]).unwrap()
}

fn vkey(seed: u8) -> String {
    cosigner(&format!("w{seed}.example.org"), seed).witness_key().to_string()
}

fn log() -> NoteSigner {
    NoteSigner::new("ai-mesh/log", &[99; 32]).unwrap()
}

/// The specification's example, with keys.
fn example() -> String {
    let [x1, x2, x3, y1, y2, y3] = [1, 2, 3, 4, 5, 6].map(vkey);
    format!(
        "log {}

witness X1 {x1}
witness X2 {x2}
witness X3 {x3}
group X-witnesses 2 X1 X2 X3

witness Y1 {y1}
witness Y2 {y2}
witness Y3 {y3}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
",
        log().verifier_key()
    )
}

/// A checkpoint of the log that these witnesses cosigned.
fn checkpoint(witnesses: &[u8]) -> String {
    let checkpoint = Checkpoint { origin: "ai-mesh/log".into(), size: 7, root: [7; 32] };
    let mut note = checkpoint.sign(&log()).unwrap();
    for seed in witnesses {
        let cosigner = cosigner(&format!("w{seed}.example.org"), *seed);
        note.push_str(&cosigner.cosign(&checkpoint.to_text(), 1_700_000_000).unwrap().line);
    }
    note
}

#[test]
fn the_specifications_example_needs_two_of_one_and_one_of_the_other() {
    let policy = TrustPolicy::parse(example().as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    // every set of the six
    for set in 0..64_u8 {
        let seeds: Vec<u8> = (1..=6).filter(|seed| set & 1 << (seed - 1) != 0).collect();
        let (x, y) = (seeds.iter().filter(|seed| **seed <= 3).count(), seeds.iter().any(|seed| *seed > 3));
        let verified = policy.verify(&checkpoint(&seeds), None);
        match verified {
            Ok(witnessed) => {
                assert!(x >= 2 && y, "{seeds:?}");
                assert_eq!(witnessed.cosigned.len(), seeds.len());
                assert_eq!(witnessed.checkpoint.size, 7);
            }
            Err(Untrusted::Quorum { quorum, cosigned, missing }) => {
                assert!(x < 2 || !y, "{seeds:?}");
                assert_eq!(quorum, "X-and-Y (2 of 2)");
                assert_eq!((cosigned.len(), missing.len()), (seeds.len(), 6 - seeds.len()));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_public_checkpoint_is_trusted_by_a_policy_of_its_public_witnesses() {
    let witnesses: String =
        PUBLIC_WITNESSES.iter().zip(1..).map(|(key, n)| format!("witness w{n} {key}\n")).collect();
    let policy = |quorum: &str| {
        let text = format!("log {PUBLIC_LOG}\n{witnesses}{quorum}");
        TrustPolicy::parse(text.as_bytes()).unwrap()
    };
    for quorum in ["group g all w1 w2 w3 w4\nquorum g\n", "group g 3 w1 w2 w4\nquorum g\n", "quorum w3\n"] {
        let witnessed = policy(quorum).verify(PUBLIC_CHECKPOINT, None).unwrap();
        assert_eq!(witnessed.cosigned.len(), 4);
        assert_eq!(witnessed.cosigned[2].time, 1_779_573_024);
    }
    let other = format!("witness w5 {}\nquorum w5\n", vkey(1));
    assert!(matches!(
        policy(&other).verify(PUBLIC_CHECKPOINT, None),
        Err(Untrusted::Quorum { missing, .. }) if missing == ["w5"]
    ));
}

#[test]
fn a_cosignature_of_a_known_witness_that_does_not_hold_spoils_the_note() {
    let policy = TrustPolicy::parse(example().as_bytes()).unwrap();
    let good = checkpoint(&[1, 2, 4, 5]);
    assert!(policy.verify(&good, None).is_ok());
    let of_another_text = cosigner("w6.example.org", 6).cosign("ai-mesh/log\n8\nAAAA\n", 1).unwrap().line;
    assert!(matches!(
        policy.verify(&format!("{good}{of_another_text}"), None),
        Err(Untrusted::Cosignature(_))
    ));
    let unknown = cosigner("w7.example.org", 7).cosign("ai-mesh/log\n8\nAAAA\n", 1).unwrap().line;
    assert!(policy.verify(&format!("{good}{unknown}"), None).is_ok(), "who is not known says nothing");
}

#[test]
fn the_log_is_one_of_the_policys_or_the_readers_when_it_has_none() {
    let note = checkpoint(&[1]);
    let mine = log().verifier_key();
    let same_name = NoteSigner::new("ai-mesh/log", &[98; 32]).unwrap().verifier_key();
    let read = |logs: &str| {
        TrustPolicy::parse(format!("{logs}witness W {}\nquorum W\n", vkey(1)).as_bytes()).unwrap()
    };
    assert_eq!(read("").verify(&note, Some(&mine)).unwrap().log, mine);
    assert_eq!(read("").verify(&note, None), Err(Untrusted::UnknownLog("ai-mesh/log".into())));
    assert!(matches!(read("").verify(&note, Some(&same_name)), Err(Untrusted::Checkpoint(_))));
    let other = format!("log {}\n", NoteSigner::new("other/log", &[1; 32]).unwrap().verifier_key());
    assert!(read(&other).verify(&note, Some(&mine)).is_err(), "the policy's logs are all");
    let both = format!("log {same_name}\nlog {mine} https://log.example.org/\n");
    assert_eq!(read(&both).verify(&note, None).unwrap().log, mine);
    assert_eq!(read(&both).logs()[1].url.as_deref(), Some("https://log.example.org/"));
}

#[test]
fn what_other_readers_take_is_taken() {
    let key = vkey(1);
    let other = vkey(2);
    for (text, cosigned, enough) in [
        ("quorum none\n".to_owned(), "", true),
        (
            format!("\n# comment\n\t # another\n\twitness \t w1  {key}   https://w1/  \n\n  quorum\tw1"),
            "w1",
            true,
        ),
        (
            format!("witness all {key}\nwitness any {other}\ngroup group 2 all any\nquorum group\n"),
            "all",
            false,
        ),
        (format!("witness a {key}\nwitness b {other}\ngroup g any a b\nquorum g"), "b", true),
        (format!("witness a {key}\nwitness b {other}\ngroup g all a b\nquorum g"), "b", false),
        (format!("witness a {key}\nwitness b {other}\ngroup g 1 a b\nquorum none"), "", true),
    ] {
        let policy = TrustPolicy::parse(text.as_bytes()).unwrap();
        assert_eq!(policy.is_quorum(|witness| witness.name == cosigned), enough, "{text}");
    }
    // names are bytes, whatever they mean in an encoding
    let mut bytes = format!("witness K\u{ff}? {key}\nwitness K\u{fe}? {other}\nquorum ").into_bytes();
    for byte in bytes.iter_mut().filter(|byte| **byte == b'?') {
        *byte = 0x80;
    }
    bytes.extend("K\u{fe}".bytes().chain([0x80]));
    let policy = TrustPolicy::parse(&bytes).unwrap();
    assert!(policy.is_quorum(|witness| witness.key.to_string() == other));
    assert!(!policy.is_quorum(|witness| witness.key.to_string() == key));
}

#[test]
fn what_is_wrong_is_told_by_its_line() {
    let (key, other) = (vkey(1), vkey(2));
    let log_key = log().verifier_key().to_string();
    let renamed = cosigner("impostor.example.org", 1).witness_key().to_string();
    for (text, line, told) in [
        ("quorum none\n\u{1}".to_owned(), 2, "0x01"),
        ("quorum none\r\n".into(), 1, "0x0d"),
        ("quorum none\n#\u{7f}\n".into(), 2, "0x7f"),
        ("quibble w1\nquorum none\n".into(), 1, "quibble"),
        (format!("witness w1 {key} https://w1/ # comment\nquorum w1\n"), 1, "witness <name>"),
        ("log\nquorum none\n".into(), 1, "log <verifier key>"),
        ("log garbage\nquorum none\n".into(), 1, "the key"),
        (format!("log {key}\nquorum none\n"), 1, "the key"),
        (format!("log {log_key}\n\nlog {log_key} https://log/\nquorum none\n"), 3, "on line 1"),
        ("witness w1\nquorum none\n".into(), 1, "witness <name>"),
        (format!("witness w1 {log_key}\nquorum w1\n"), 1, "0x04"),
        (format!("witness w1 {}\nquorum w1\n", key.replacen('+', "+0", 1)), 1, "the key"),
        (format!("witness none {key}\nquorum none\n"), 1, "`none`"),
        (format!("witness w1 {key}\nwitness w1 {other}\nquorum w1\n"), 2, "defined already"),
        (format!("witness w1 {key}\nwitness w2 {renamed}\nquorum w1\n"), 2, "on line 1"),
        (format!("witness w1 {key}\ngroup w1 any w1\nquorum w1\n"), 2, "defined already"),
        (format!("witness w1 {key}\ngroup g1 1\nquorum w1\n"), 2, "group <name>"),
        (format!("witness w1 {key}\ngroup none any w1\nquorum none\n"), 2, "`none`"),
        (format!("witness w1 {key}\ngroup g1 0 w1\nquorum g1\n"), 2, "from 1 to 1"),
        (format!("witness w1 {key}\ngroup g1 -1 w1\nquorum g1\n"), 2, "from 1 to 1"),
        (format!("witness w1 {key}\ngroup g1 +1 w1\nquorum g1\n"), 2, "from 1 to 1"),
        (format!("witness w1 {key}\ngroup g1 2 w1\nquorum g1\n"), 2, "from 1 to 1"),
        (format!("witness w1 {key}\ngroup g1 {} w1\nquorum g1\n", "9".repeat(40)), 2, "from 1 to 1"),
        (format!("witness w1 {key}\ngroup g1 any w2\nquorum g1\n"), 2, "\"w2\""),
        (format!("group g1 any w1\nwitness w1 {key}\nquorum g1\n"), 1, "\"w1\""),
        (format!("witness w1 {key}\ngroup g1 any g1\nquorum g1\n"), 2, "\"g1\""),
        (format!("witness w1 {key}\ngroup g1 any none w1\nquorum g1\n"), 2, "`none`"),
        (format!("witness w1 {key}\ngroup g1 all w1 w1\nquorum g1\n"), 2, "once"),
        (
            format!("witness w1 {key}\nwitness w2 {other}\ngroup g1 any w1 w2\ngroup g2 any w1\nquorum g1\n"),
            4,
            "once",
        ),
        (format!("witness w1 {key}\n"), 1, "exactly one"),
        (String::new(), 1, "exactly one"),
        (format!("witness w1 {key}\nquorum w1\nquorum w1\n"), 3, "exactly one"),
        ("quorum none\nquorum none\n".into(), 2, "exactly one"),
        ("quorum unknown\n".into(), 1, "\"unknown\""),
        (format!("quorum w1\nwitness w1 {key}\n"), 1, "\"w1\""),
        ("quorum\n".into(), 1, "quorum <name>"),
    ] {
        let error = TrustPolicy::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.to_string().contains(told), "{text}: {error}");
    }
}

#[test]
fn many_lines_are_read_and_deep_groups_are_counted_without_recursion() {
    let mut text = String::new();
    for n in 0..200_u8 {
        text.push_str(&format!("witness w{n} {}\n", vkey(n)));
    }
    text.push_str("group g0 any w0 w1\n");
    for n in 1..5000 {
        text.push_str(&format!("group g{n} any g{}\n", n - 1));
    }
    text.push_str("quorum g4999\n");
    let policy = TrustPolicy::parse(text.as_bytes()).unwrap();
    assert!(policy.is_quorum(|witness| witness.name == "w1"));
    assert!(!policy.is_quorum(|witness| witness.name == "w2"));
}
