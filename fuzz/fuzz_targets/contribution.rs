//! Contributions of others: one spelling each, and what was taken in can be folded and acted on.
#![no_main]

use std::sync::LazyLock;

use ai_mesh_fuzz::{
    federation::{ByName, author, contribution, node, swarm, unlearned},
    markets::{SMALL, play},
};
use federation::{Sealed, TwinsLaw};
use libfuzzer_sys::fuzz_target;
use merkle_log::canonical_json;
use serde_json::{Value, json};

/// What this node has seen itself.
static OWN: LazyLock<Sealed> = LazyLock::new(|| contribution(author(1), "adaptive", 1));

fuzz_target!(|data: &[u8]| {
    // Changed bytes are seldom canonical: their value is tried, not their spelling.
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        assert!(Sealed::open(data).is_err(), "no JSON, and a contribution");
        return;
    };
    let Ok(canonical) = canonical_json(&value) else { return };
    assert!(Sealed::open(data).is_err() || canonical == data, "a contribution has another spelling");
    let Ok(sealed) = Sealed::open(&canonical) else { return };
    assert_eq!(sealed.contribution().seal().as_ref(), Ok(&sealed));

    let told = sealed.contribution();
    let Some(nothing) = unlearned(&told.knowledge.algorithm) else { return };
    let mut replica = node(author(1), std::slice::from_ref(&OWN));
    let before = replica.clone();
    assert!(replica.admit(&canonical, Value::Null, &ByName).is_err() && replica == before, "nobody said it");
    replica.admit(&canonical, json!(told.author), &ByName).expect("its author said it");
    let once = replica.clone();
    replica.admit(&canonical, json!(told.author), &ByName).expect("its author said it");
    assert_eq!(replica, once, "what is known changes nothing");
    let mut swarm = swarm(&nothing.algorithm).expect("there is such a learner");
    let folded =
        replica.fold(told.stream, &[], &TwinsLaw(&swarm), &nothing).expect("figures that were checked");
    let heard = folded.heeded.iter().any(|(author, _)| *author == told.author);
    let left_out = folded.left_out.iter().any(|left| left.author == told.author);
    assert!(heard != left_out, "every author is heeded or left out, and told so");
    swarm.heed(Some(&folded.knowledge)).expect("what was folded was tried");
    play(&SMALL, &mut swarm);
});
