//! Priors: what is accepted is written to bytes that are read as the same, and a swarm that begins with it decides.
#![no_main]

use ai_mesh_fuzz::markets::{SMALL, play};
use libfuzzer_sys::fuzz_target;
use policy::{PRIOR_FORMAT, Prior, Swarm, SwarmConfig};
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let Ok(prior) = Prior::parse(data) else { return };
    assert_eq!(prior.format, PRIOR_FORMAT);
    let written = serde_json::to_vec(&prior).expect("a prior can be written");
    assert_eq!(Prior::parse(&written).expect("what was written can be read"), prior);
    let config = SwarmConfig::new(&prior.algorithm, &json!({}), 2).expect("a learner's defaults");
    if let Ok(mut swarm) = Swarm::with_prior(config, &SMALL, &prior) {
        play(&SMALL, &mut swarm);
        play(&SMALL, &mut swarm);
    }
});
