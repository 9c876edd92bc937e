use super::*;

// Key, text and note of the documentation of Go's golang.org/x/mod/sumdb/note.
const SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn note() -> String {
    format!("{TEXT}\n{SIGNATURE}")
}

fn key() -> VerifierKey {
    VerifierKey::parse(PUBLIC).unwrap()
}

#[test]
fn the_reference_implementations_note_is_made_and_verified_byte_for_byte() {
    let signer = NoteSigner::parse(SECRET).unwrap();
    assert_eq!(signer.to_secret_text(), SECRET);
    assert_eq!(signer.verifier_key().to_string(), PUBLIC);
    assert_eq!(signer.sign(TEXT).unwrap(), note());
    assert_eq!(SignedNote::parse(&note()).unwrap().verify(&key()), Ok(TEXT));
}

#[test]
fn a_secret_key_does_not_show_in_debug_output() {
    let shown = format!("{:?}", NoteSigner::parse(SECRET).unwrap());
    assert!(shown.contains(PUBLIC) && !shown.contains("AYEK"), "{shown}");
}

#[test]
fn every_changed_byte_of_a_note_is_noticed() {
    let note = note();
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let verified = String::from_utf8(bytes)
            .is_ok_and(|note| SignedNote::parse(&note).is_ok_and(|n| n.verify(&key()).is_ok()));
        assert!(!verified, "byte {at}");
    }
}

#[test]
fn signatures_of_others_are_passed_over_but_a_bad_one_of_the_key_is_not() {
    let other = NoteSigner::new("other.example/witness", &[9; 32]).unwrap();
    let other_line = other.sign(TEXT).unwrap().split_off(TEXT.len() + 1);
    let both = SignedNote::parse(&format!("{TEXT}\n{other_line}{SIGNATURE}")).unwrap();
    assert_eq!(both.verify(&key()), Ok(TEXT));
    assert_eq!(both.verify(&other.verifier_key()), Ok(TEXT));
    let only_other = SignedNote::parse(&format!("{TEXT}\n{other_line}")).unwrap();
    assert_eq!(only_other.verify(&key()), Err(NoteError::NotSigned(PUBLIC.into())));

    let elsewhere = NoteSigner::parse(SECRET).unwrap().sign("another text\n").unwrap();
    let bad_line = &elsewhere["another text\n\n".len()..];
    let mixed = SignedNote::parse(&format!("{TEXT}\n{SIGNATURE}{bad_line}")).unwrap();
    assert_eq!(mixed.verify(&key()), Err(NoteError::BadSignature("PeterNeumann".into())));
}

#[test]
fn malformed_notes_are_refused() {
    let name_and_signature = SIGNATURE.trim_end();
    for note in [
        String::new(),
        TEXT.into(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{name_and_signature}"),
        format!("{TEXT}{SIGNATURE}"),
        format!("{TEXT}\n{SIGNATURE}\n"),
        format!("{TEXT}\n- PeterNeumann x08go/ZJ\n"),
        format!("{TEXT}\n\u{2014} Peter Neumann x08go/ZJ\n"),
        format!("{TEXT}\n\u{2014} PeterNeumann x08g\n"),
        format!("{TEXT}\n\u{2014} PeterNeumann not base64\n"),
        format!("a\ttab\n\n{SIGNATURE}"),
        format!("{TEXT}\n{}", SIGNATURE.repeat(MAX_SIGNATURES + 1)),
    ] {
        assert!(SignedNote::parse(&note).is_err(), "{note:?}");
    }
    assert!(NoteSigner::parse(SECRET).unwrap().sign("no newline").is_err());
}

#[test]
fn malformed_keys_are_refused() {
    for text in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumenn+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(VerifierKey::parse(text).is_err(), "{text}");
        assert!(NoteSigner::parse(&format!("PRIVATE+KEY+{text}")).is_err(), "{text}");
    }
    for name in ["", "two words", "plus+sign", "new\nline", "no\u{a0}break"] {
        assert!(NoteSigner::new(name, &[0; 32]).is_err(), "{name:?}");
    }
}
