//! Proofs as files: one spelling each, and nothing is proved but what stands in the log.
#![no_main]

use ai_mesh_fuzz::{SIGNER, head, leaves};
use libfuzzer_sys::fuzz_target;
use merkle_log::tlog_proof::TlogProof;

fuzz_target!(|text: &str| {
    let Ok(proof) = TlogProof::parse(text) else { return };
    assert_eq!(proof.to_text(), text, "a proof has another spelling");
    let Some(entry) = proof.entry() else { return };
    if let Ok(verified) = proof.verify(entry, &SIGNER.verifier_key()) {
        assert_eq!(verified.checkpoint, head(), "the log's key did not sign this");
        assert_eq!(leaves().get(verified.log_index as usize), Some(&verified.leaf_hash));
    }
});
