//! Signed notes and their keys: one spelling each, and nothing verifies that the key did not sign.
#![no_main]

use ai_mesh_fuzz::SIGNER;
use libfuzzer_sys::fuzz_target;
use merkle_log::note::{NoteSigner, SignedNote, VerifierKey};

fuzz_target!(|text: &str| {
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text, "a verifier key has another spelling");
    }
    if let Ok(signer) = NoteSigner::parse(text) {
        assert_eq!(signer.to_secret_text(), text, "a secret key has another spelling");
        assert!(!format!("{signer:?}").contains(&signer.to_secret_text()), "a secret is shown");
    }
    let key = SIGNER.verifier_key();
    if let Ok(note) = SignedNote::parse(text)
        && let Ok(signed) = note.verify(&key)
    {
        // Ed25519 signs the same text in one way only, and `verify_strict` knows no other.
        let line = SIGNER.sign(signed).expect("what was signed can be signed");
        let line = line.lines().next_back().expect("a signature line");
        assert!(text.contains(line), "a note verifies that the key did not sign");
        assert!(text.starts_with(signed));
    }
    // Every text that may be signed comes back as it was.
    if let Ok(note) = SIGNER.sign(text) {
        let parsed = SignedNote::parse(&note).expect("what was signed is a note");
        assert_eq!(parsed.verify(&key), Ok(text));
    }
});
