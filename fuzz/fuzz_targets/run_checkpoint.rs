//! Checkpoints of runs: what is accepted is written and read as the same, holds a policy, and can be trained on from.
#![no_main]

use ai_mesh_fuzz::markets::{is_busy, play};
use libfuzzer_sys::fuzz_target;
use policy::Swarm;
use trainer::{checkpoint::CheckpointDocument, run_config::RunPlan};

fuzz_target!(|data: &[u8]| {
    let Ok(document) = CheckpointDocument::parse(data) else { return };
    let written = document.to_bytes().expect("a checkpoint can be written");
    let again = CheckpointDocument::parse(&written).expect("what was written can be read");
    // what was written says what it was written from
    let unsigned =
        |document: &CheckpointDocument| CheckpointDocument { content_sha256: None, ..document.clone() };
    assert_eq!(unsigned(&again), unsigned(&document));
    assert_eq!(again.to_bytes().expect("a checkpoint can be written"), written);
    let Ok(plan) = RunPlan::of_record(&document.config) else { return };
    let _ = document.check(&plan);
    let _ = document.check_fork(&plan);
    if is_busy(&plan.environment) || plan.swarm.agents > 4 {
        return;
    }
    let environment = (*plan.environment).clone().with_steps(2);
    let Ok(mut swarm) = Swarm::new(plan.swarm, &environment) else { return };
    if swarm.restore(&document.swarm).is_ok() {
        let policy = document.policy().expect("what can be trained on from can be acted on");
        play(&environment, &mut policy.swarm(&environment).expect("a policy for its own environment"));
        play(&environment, &mut swarm);
        let state = serde_json::to_string(&swarm.state()).expect("a state can be written");
        let state = serde_json::from_str(&state).expect("a state can be read");
        swarm.restore(&state).expect("a swarm can be restored from its own state");
    }
});
