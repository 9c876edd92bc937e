//! Snapshots of the Ψ-field: one that is accepted goes on with sound answers, and can be taken again.
#![no_main]

use ai_mesh_fuzz::field::{answer_is_sound, ordinary_windows};
use libfuzzer_sys::fuzz_target;
use psi::{Field, Snapshot};

fuzz_target!(|data: &[u8]| {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else { return };
    let Ok(mut field) = Field::restore("swarm", snapshot) else { return };
    let taken = field.snapshot().expect("every figure is finite");
    let again = Field::restore("swarm", taken).expect("its own snapshot");
    assert_eq!(again, field);
    for window in ordinary_windows(field.next_window()) {
        let Ok(step) = field.step(&window) else { return };
        answer_is_sound(&step.answer);
    }
    let taken = field.snapshot().expect("every figure is finite");
    let text = serde_json::to_string(&taken).expect("JSON");
    let again = Field::restore("swarm", serde_json::from_str(&text).expect("a snapshot"));
    assert_eq!(again.expect("its own snapshot"), field);
});
