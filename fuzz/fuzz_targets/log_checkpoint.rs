//! The log's head: text to checkpoint and back is the same text, and it is believed only for its own log.
#![no_main]

use ai_mesh_fuzz::SIGNER;
use libfuzzer_sys::fuzz_target;
use merkle_log::checkpoint::{Checkpoint, CheckpointError};

fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = Checkpoint::parse_text(text) {
        let written = checkpoint.to_text();
        assert!(text.starts_with(&written), "{text:?} is read as {written:?}");
        assert!(text.len() == written.len() || text.lines().count() > 3, "only lines may follow");
        assert_eq!(Checkpoint::parse_text(&written).as_ref(), Ok(&checkpoint));
        if let Ok(note) = checkpoint.sign(&SIGNER) {
            let verified = Checkpoint::verify(&note, &SIGNER.verifier_key());
            if checkpoint.origin == SIGNER.name() {
                assert_eq!(verified, Ok(checkpoint));
            } else {
                assert!(matches!(verified, Err(CheckpointError::Origin { .. })), "{verified:?}");
            }
        }
    }
    if let Ok(checkpoint) = Checkpoint::verify(text, &SIGNER.verifier_key()) {
        assert!(text.starts_with(&checkpoint.to_text()));
    }
});
