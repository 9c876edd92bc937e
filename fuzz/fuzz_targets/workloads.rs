//! Workloads (`workloads.json`): what is accepted can be written, read again, and played in, under any preset.
#![no_main]

use ai_mesh_fuzz::markets::{CATALOG, error_names_a_place, play_all};
use libfuzzer_sys::fuzz_target;
use routing_env::{Catalog, Environment, Preset, Workloads};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let catalog = Catalog::parse("providers.json", CATALOG).expect("a valid catalog");
    let parsed = Workloads::parse("workloads.json", text, &catalog);
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        match (&parsed, Workloads::from_value("workloads.json", &value, &catalog)) {
            (Ok(workloads), of_value) => assert_eq!(of_value.as_ref(), Ok(workloads)),
            (Err(error), _) => error_names_a_place(error, &value),
        }
    }
    let Ok(workloads) = parsed else { return };
    let written = serde_json::to_string(&workloads).expect("workloads can be written");
    let again = Workloads::parse("workloads.json", &written, &catalog).expect("what was written can be read");
    assert_eq!(again, workloads);
    let preset = Preset::ALL[text.len() % Preset::ALL.len()];
    if let Ok(env) = Environment::new(catalog, workloads, preset) {
        play_all(&env, text.len() / Preset::ALL.len());
    }
});
