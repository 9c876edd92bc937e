//! Catalogs (`providers.json`): what is accepted can be written, read again, and played in.
#![no_main]

use ai_mesh_fuzz::markets::{WORKLOADS, error_names_a_place, play_all};
use libfuzzer_sys::fuzz_target;
use routing_env::{Catalog, Document, EnvironmentSpec};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let parsed = Catalog::parse("providers.json", text);
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        match (&parsed, Catalog::from_value("providers.json", &value)) {
            (Ok(catalog), of_value) => assert_eq!(of_value.as_ref(), Ok(catalog)),
            (Err(error), _) => error_names_a_place(error, &value),
        }
    }
    let Ok(catalog) = parsed else { return };
    let written = serde_json::to_string(&catalog).expect("a catalog can be written");
    let again = Catalog::parse("providers.json", &written).expect("what was written can be read");
    assert_eq!(again, catalog);
    let spec = EnvironmentSpec {
        providers: Some(Document::File { name: "providers.json".into(), text: text.into() }),
        workloads: Some(Document::File { name: "workloads.json".into(), text: WORKLOADS.into() }),
        ..EnvironmentSpec::default()
    };
    play_all(&spec.build().expect("any catalog fits workloads without events"), text.len());
});
