//! Requests for cosignatures: one spelling each, and a witness takes nothing but what the log signed and what goes on from
//! what it has seen.
#![no_main]

use ai_mesh_fuzz::{SIGNER, head, leaves, naive};
use libfuzzer_sys::fuzz_target;
use merkle_log::{
    checkpoint::Checkpoint,
    witness::{AddCheckpoint, Seen},
};

fuzz_target!(|body: &str| {
    let Ok(request) = AddCheckpoint::parse(body) else { return };
    assert_eq!(request.to_text(), body, "a request has another spelling");
    if let Ok(checkpoint) = request.verify(&[SIGNER.verifier_key()]) {
        assert_eq!(checkpoint, head(), "the log's key did not sign this");
    }
    // Whoever signed it, what is seen next has what was seen before as its beginning.
    let Ok(claimed) = Checkpoint::claimed(&request.checkpoint) else { return };
    for size in 0..=leaves().len() {
        let seen = Seen { size: size as u64, root: naive::root(&leaves()[..size]) };
        if request.follows(&claimed, Some(seen)).is_ok() {
            assert!(claimed.size >= seen.size, "a rollback");
            assert!(claimed.size != seen.size || claimed.root == seen.root, "another tree of the same size");
        }
    }
});
