//! The laws by which knowledge is merged: what holds for every learner, on knowledge of swarms that learned.

use policy::{
    Knowledge, Swarm, SwarmConfig,
    registry::{LEARNERS, learners},
};
use proptest::prelude::*;
use routing_env::{Environment, Preset};
use serde_json::{Value, json};

use crate::support::play;

fn environment() -> Environment {
    Environment::built_in(Preset::Drifting).with_steps(40)
}

/// What a swarm of two has learned in episodes from this seed on, agent by agent. The learner `cem` needs 150 steps to
/// learn anything.
fn learned(learner: &str, seed: u64, episodes: u64) -> Vec<Knowledge> {
    let env = environment();
    let config = SwarmConfig::new(learner, &json!({}), 2).unwrap();
    let mut swarm = Swarm::new(config, &env).unwrap();
    play(&mut swarm, &env, seed..seed + episodes);
    swarm.knowledge()
}

fn merged(one: &Knowledge, other: &Knowledge) -> Knowledge {
    let mut all = one.clone();
    all.merge(other).unwrap();
    all
}

/// Equal but for the last bits of sums.
fn is_close(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= 1e-9 * (1.0 + one.abs().max(other.abs()))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_close(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.keys().eq(other.keys())
                && one.values().zip(other.values()).all(|(one, other)| is_close(one, other))
        }
        (one, other) => one == other,
    }
}

#[test]
fn it_does_not_matter_in_which_order_or_groups_knowledge_is_merged() {
    for learner in &LEARNERS {
        let [a, b, c] = [1, 100, 200].map(|seed| learned(learner.name, seed, 4)[0].clone());
        assert!(a != b && b != c, "{}: nothing was learned", learner.name);
        let (ab, ba) = (merged(&a, &b), merged(&b, &a));
        assert!(is_close(&ab.learned, &ba.learned), "{}: not commutative", learner.name);
        let (left, right) = (merged(&ab, &c), merged(&a, &merged(&b, &c)));
        assert!(is_close(&left.learned, &right.learned), "{}: not associative", learner.name);
    }
}

#[test]
fn what_knows_nothing_changes_nothing() {
    for learner in &LEARNERS {
        let known = learned(learner.name, 1, 4)[0].clone();
        let nothing = learned(learner.name, 1, 0)[0].clone();
        assert_ne!(known, nothing, "{}", learner.name);
        assert_eq!(merged(&known, &nothing), known, "{}", learner.name);
        assert!(is_close(&merged(&nothing, &known).learned, &known.learned), "{}", learner.name);
    }
}

#[test]
fn merged_knowledge_is_acted_on_and_learned_on_from() {
    let env = environment();
    for learner in &LEARNERS {
        let (one, other) = (learned(learner.name, 1, 4), learned(learner.name, 100, 4));
        let all: Vec<Knowledge> = one.iter().zip(&other).map(|(one, other)| merged(one, other)).collect();
        let mut swarm = Swarm::new(SwarmConfig::new(learner.name, &json!({}), 2).unwrap(), &env).unwrap();
        swarm.absorb(&all).unwrap();
        assert_eq!(swarm.knowledge()[0].algorithm, learner.name);
        assert!(play(&mut swarm, &env, 300..304).overall.avg_reward().unwrap() > 0.0);
        assert_ne!(swarm.knowledge(), all, "{} learned nothing more", learner.name);
    }
}

#[test]
fn knowledge_of_another_learner_or_catalog_is_refused() {
    let (mut adaptive, cem) = (learned("adaptive", 1, 0)[0].clone(), learned("cem", 1, 0)[0].clone());
    let error = adaptive.merge(&cem).unwrap_err().to_string();
    assert_eq!(error, "expected what adaptive has learned, found that of cem");
    let mut unnamed = Knowledge { algorithm: String::new(), ..adaptive.clone() };
    let error = unnamed.merge(&adaptive).unwrap_err().to_string();
    assert_eq!(error, format!("expected the knowledge of {}, found ``", learners()));
    let mut other_catalog = adaptive.clone();
    other_catalog.learned["facts"]["failures"] = json!([[1.0, 0.5]]);
    let error = adaptive.merge(&other_catalog).unwrap_err().to_string();
    assert_eq!(error, "failures: expected figures of 7 providers, found 1");
}

/// One state's knowledge: how often each of two providers was chosen, and what that was found to be worth.
fn of_table(cells: [(u32, f64); 2]) -> Knowledge {
    let state =
        json!({"bins": "000.111", "visits": cells.map(|cell| cell.0), "values": cells.map(|cell| cell.1)});
    Knowledge { algorithm: "q-learning".into(), version: 2, learned: json!({"states": [state]}) }
}

fn cells() -> impl Strategy<Value = [(u32, f64); 2]> {
    prop::array::uniform2((0_u32..1000, -100.0..100.0))
}

proptest! {
    #[test]
    fn a_merged_value_is_the_mean_weighted_by_how_often_it_was_tried(a in cells(), b in cells(), c in cells()) {
        let all = merged(&merged(&of_table(a), &of_table(b)), &of_table(c));
        let state = &all.learned["states"][0];
        for i in 0..2 {
            let tried: u32 = [a, b, c].iter().map(|cells| cells[i].0).sum();
            prop_assert_eq!(&state["visits"][i], &json!(tried));
            if tried > 0 {
                let sum: f64 = [a, b, c].iter().map(|cells| f64::from(cells[i].0) * cells[i].1).sum();
                let value = state["values"][i].as_f64().unwrap();
                prop_assert!((value - sum / f64::from(tried)).abs() < 1e-9, "{value}");
            }
        }
    }

    #[test]
    fn equal_values_stay_what_they_are_to_the_last_bit(value in -100.0..100.0, visits in prop::array::uniform3(1_u32..1000)) {
        let [a, b, c] = visits.map(|visits| of_table([(visits, value), (0, 0.0)]));
        let all = merged(&merged(&a, &b), &c);
        prop_assert_eq!(&all.learned["states"][0]["values"][0], &json!(value));
    }
}
