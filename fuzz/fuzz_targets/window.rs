//! The Ψ-field: whatever windows come, every figure of every answer is one, and a snapshot goes on as the field does.
#![no_main]

use ai_mesh_fuzz::field::{Windows, answer_is_sound};
use libfuzzer_sys::fuzz_target;
use psi::{Field, Settings, Snapshot};

fuzz_target!(|windows: Windows| {
    let mut field = Field::new("swarm", "life", Settings::default());
    let mut twin = field.clone();
    for (i, window) in windows.in_order(0).into_iter().enumerate() {
        let (step, same) = (field.step(&window), twin.step(&window));
        assert_eq!(step, same, "the same windows get the same answers");
        let Ok(step) = step else { continue };
        answer_is_sound(&step.answer);
        if i % 32 == 31 {
            let snapshot = field.snapshot().expect("every figure is finite");
            let text = serde_json::to_string(&snapshot).expect("JSON");
            let snapshot: Snapshot = serde_json::from_str(&text).expect("a snapshot");
            twin = Field::restore("swarm", snapshot).expect("its own snapshot");
            assert_eq!(twin, field);
        }
    }
});
