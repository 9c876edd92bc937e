//! Evidence, as `mesh verify` and `POST /v1/verify` read it: nothing is proved but what stands in the log.
#![no_main]

use ai_mesh_fuzz::{SIGNER, head, leaves};
use api::remembrancer::Evidence;
use libfuzzer_sys::fuzz_target;
use merkle_log::evidence::{minify, verify};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    white_space_is_all_that_is_taken_away(text);
    let Ok(evidence) = serde_json::from_str::<Evidence>(text) else { return };
    let path: Vec<_> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
    let record = evidence.record.get();
    let key = SIGNER.verifier_key().to_string();
    for key in [&key, &evidence.verifier_key] {
        let verified = verify(record, evidence.log_index, &path, &evidence.checkpoint, key);
        if let Ok(verified) = verified
            && *key == SIGNER.verifier_key().to_string()
        {
            assert_eq!(verified.checkpoint, head(), "the log's key did not sign this");
            assert_eq!(leaves().get(verified.log_index as usize), Some(&verified.leaf_hash));
        }
    }
});

fn white_space_is_all_that_is_taken_away(text: &str) {
    let Ok(minified) = minify(text) else { return };
    let without = |text: &str| text.replace([' ', '\t', '\n', '\r'], "");
    assert_eq!(without(&minified), without(text));
    assert_eq!(minify(&minified).as_ref(), Ok(&minified), "minified twice");
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        assert_eq!(serde_json::from_str::<Value>(&minified).ok().as_ref(), Some(&value));
        // Written with white space and without it is the same text.
        let spaced = serde_json::to_string_pretty(&value).expect("a value can be written");
        assert_eq!(minify(&spaced).ok(), serde_json::to_string(&value).ok());
    }
}
