//! Canonical JSON: what is written reads back and is written the same again, and a second implementation agrees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use merkle_log::{canonical::MAX_SAFE_INTEGER, canonical_json};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let canonical = match canonical_json(&value) {
        Ok(canonical) => canonical,
        Err(error) => {
            let refused = value.pointer(&error.pointer()).expect("the error names a place in the value");
            assert!(is_unsafe(refused), "refused without a reason: {error}");
            return;
        }
    };
    let theirs = serde_json_canonicalizer::to_vec(&value).expect("JSON has a canonical form");
    assert_eq!(canonical, theirs, "the second implementation writes it in another way");
    let again: Value = serde_json::from_slice(&canonical).expect("canonical JSON is JSON");
    if !has_large_double(&value) {
        assert_eq!(canonical_json(&again).expect("what is canonical has a canonical form"), canonical);
    }
});

fn is_unsafe(value: &Value) -> bool {
    match (value.as_u64(), value.as_i64()) {
        (Some(number), _) => number > MAX_SAFE_INTEGER,
        (None, Some(number)) => number.unsigned_abs() > MAX_SAFE_INTEGER,
        (None, None) => false,
    }
}

/// Doubles from 2^53 to 10^21 are written as integers, which reading takes for unsafe ones.
fn has_large_double(value: &Value) -> bool {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().is_some_and(|number| (MAX_SAFE_INTEGER as f64..1e21).contains(&number.abs()))
        }
        Value::Array(items) => items.iter().any(has_large_double),
        Value::Object(members) => members.values().any(has_large_double),
        _ => false,
    }
}
