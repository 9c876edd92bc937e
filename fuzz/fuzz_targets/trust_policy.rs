//! Trust policies: whatever they say, all their witnesses together are enough, and one more is never too many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use merkle_log::{cosignature::WitnessKey, trust_policy::TrustPolicy};

fuzz_target!(|file: &[u8]| {
    let Ok(policy) = TrustPolicy::parse(file) else { return };
    let witnesses = policy.witnesses();
    assert!(policy.is_quorum(|_| true), "not even all are enough");
    let mut enough = false;
    for end in 0..=witnesses.len() {
        let now = policy.is_quorum(|witness| witnesses[..end].contains(witness));
        assert!(now || !enough, "one more is one too many");
        enough = now;
    }
    for witness in witnesses {
        assert_eq!(WitnessKey::parse(&witness.key.to_string()).as_ref(), Ok(&witness.key));
    }
});
