//! Policy files: what is accepted is written to bytes that are read as the same, merges, and decides.
#![no_main]

use ai_mesh_fuzz::markets::{SMALL, play};
use libfuzzer_sys::fuzz_target;
use policy::{POLICY_FORMAT, PolicyFile};

fuzz_target!(|data: &[u8]| {
    let Ok(file) = PolicyFile::parse(data) else { return };
    assert_eq!(file.format, POLICY_FORMAT);
    let written = serde_json::to_vec(&file).expect("a policy file can be written");
    let again = PolicyFile::parse(&written).expect("what was written can be read");
    assert_eq!(again, file);
    assert_eq!(serde_json::to_vec(&again).expect("a policy file can be written"), written);
    let seeds = file.training_seeds();
    assert!(seeds.start <= seeds.end);
    if let [first, second, ..] = file.agents.as_slice() {
        let (mut one, mut other) = (first.clone(), second.clone());
        assert_eq!(one.merge(second).is_ok(), other.merge(first).is_ok(), "a merge depends on the order");
    }
    if let Ok(mut swarm) = file.swarm(&SMALL) {
        // the agents of a hand rule know nothing
        let knowing = if swarm.is_learner() { swarm.agents() } else { 0 };
        assert_eq!(knowing, file.agents.len());
        play(&SMALL, &mut swarm);
        let learned = swarm.knowledge();
        swarm.absorb(&learned).expect("what a swarm knows it can be given again");
    }
});
