use super::*;
use crate::{
    checkpoint::Checkpoint,
    note::{NoteSigner, VerifierKey},
};

/// A checkpoint of a public log, as its public witnesses cosigned it in May 2026: witness-little-garden runs Go's
/// transparency-dev/witness, the others FiloSottile's litewitness and programs of their own.
pub(crate) const PUBLIC_CHECKPOINT: &str = "\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

\u{2014} arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
\u{2014} arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
\u{2014} transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
\u{2014} witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
\u{2014} remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
\u{2014} witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";

/// The key of that log.
pub(crate) const PUBLIC_LOG: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";

/// The keys of those witnesses, as their operators publish them.
pub(crate) const PUBLIC_WITNESSES: [&str; 4] = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
];

const TEXT: &str = "ai-mesh/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn cosigner(seed: u8) -> Cosigner {
    Cosigner::new("example.org/witness", &[seed; 32]).unwrap()
}

fn note(lines: &[&str]) -> SignedNote {
    SignedNote::parse(&format!("{TEXT}\n{}", lines.concat())).unwrap()
}

#[test]
fn cosignatures_of_public_witnesses_hold() {
    let note = SignedNote::parse(PUBLIC_CHECKPOINT).unwrap();
    for text in PUBLIC_WITNESSES {
        let key = WitnessKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        let cosignature = key.cosignature(&note).unwrap().unwrap();
        assert_eq!(cosignature.time, 1_779_573_024);
        assert!(PUBLIC_CHECKPOINT.contains(&cosignature.line), "the line is the note's, byte for byte");
    }
    let log = VerifierKey::parse(PUBLIC_LOG).unwrap();
    assert_eq!(Checkpoint::verify(PUBLIC_CHECKPOINT, &log).unwrap().size, 1_432_088_532);
}

#[test]
fn a_changed_checkpoint_is_not_what_public_witnesses_cosigned() {
    for (from, to) in [("1432088532", "1432088533"), ("U7WM", "U7WN"), ("arche2025h1.", "arche2025h2.")] {
        let changed = SignedNote::parse(&PUBLIC_CHECKPOINT.replacen(from, to, 1)).unwrap();
        for text in PUBLIC_WITNESSES {
            let key = WitnessKey::parse(text).unwrap();
            assert_eq!(key.cosignature(&changed), Err(NoteError::BadSignature(key.name().into())));
        }
    }
}

#[test]
fn what_is_cosigned_is_the_message_of_the_specification() {
    let example = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let expected = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
                    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(message(example, 1_679_315_147), expected.as_bytes());
}

#[test]
fn a_cosignature_comes_back_with_its_time_and_its_line() {
    for time in [0, 1, 1_700_000_000, MAX_TIME] {
        let made = cosigner(1).cosign(TEXT, time).unwrap();
        assert_eq!(cosigner(1).witness_key().cosignature(&note(&[&made.line])), Ok(Some(made)));
    }
    assert!(cosigner(1).cosign(TEXT, MAX_TIME + 1).is_err());
    assert!(cosigner(1).cosign("no newline", 1).is_err());
}

#[test]
fn of_several_cosignatures_of_a_witness_the_latest_counts_and_one_that_does_not_hold_spoils_all() {
    let [early, late] = [5, 9].map(|time| cosigner(1).cosign(TEXT, time).unwrap());
    let key = cosigner(1).witness_key();
    for lines in [[&*early.line, &late.line], [&late.line, &early.line]] {
        assert_eq!(key.cosignature(&note(&lines)).unwrap().unwrap().time, 9);
    }
    let elsewhere = cosigner(1).cosign("ai-mesh/log\n8\nAAAA\n", 5).unwrap();
    assert!(key.cosignature(&note(&[&late.line, &elsewhere.line])).is_err());
    let of_another = cosigner(2).cosign(TEXT, 5).unwrap();
    assert_eq!(key.cosignature(&note(&[&of_another.line])), Ok(None), "another key of the same name");
}

#[test]
fn a_time_that_was_not_signed_is_noticed() {
    let made = cosigner(1).cosign(TEXT, 5).unwrap();
    let key = cosigner(1).witness_key();
    let parsed = note(&[&made.line]);
    let mut bytes = parsed.signatures_of(key.name(), key.id()).next().unwrap().to_vec();
    bytes[7] = 6;
    let forged = signature_line(key.name(), key.id(), &bytes);
    assert!(key.cosignature(&note(&[&forged])).is_err());
    let short = signature_line(key.name(), key.id(), &bytes[..40]);
    assert!(key.cosignature(&note(&[&short])).is_err());
}

#[test]
fn the_keys_of_a_log_and_of_a_witness_are_not_taken_for_each_other() {
    let (witness, log) = (cosigner(1), NoteSigner::new("example.org/witness", &[1; 32]).unwrap());
    assert_ne!(witness.witness_key().id(), log.verifier_key().id());
    assert!(WitnessKey::parse(&log.verifier_key().to_string()).is_err());
    assert!(VerifierKey::parse(&witness.witness_key().to_string()).is_err());
    assert!(Cosigner::parse(&log.to_secret_text()).is_err());
    assert!(NoteSigner::parse(&witness.to_secret_text()).is_err());
    let read = Cosigner::parse(&witness.to_secret_text()).unwrap();
    assert_eq!(read.witness_key(), witness.witness_key());
    assert!(!format!("{read:?}").contains(&witness.to_secret_text()));
}

#[test]
fn malformed_keys_of_witnesses_are_refused() {
    let good = PUBLIC_WITNESSES[2];
    for text in [
        "".to_owned(),
        good.replace("da77ade7", "da77ade8"),
        good.replace("da77ade7", "DA77ADE7"),
        good.replace("remora", "remorra"),
        good.replace("+BO", "+AO"),
        good[..good.len() - 1].into(),
        good.replace("remora", "rem ora"),
    ] {
        assert!(WitnessKey::parse(&text).is_err(), "{text}");
    }
}
