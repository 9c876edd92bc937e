//! Priors: what a learner carries from worlds that it has met into a new one.

use policy::{
    Knowledge, MetaTraining, PRIOR_FORMAT, Prior, Swarm, SwarmConfig, SwarmState, WorldRange,
    registry::Learner,
};
use routing_env::{Catalog, Environment, Preset, RandomFiles, Reward, Workloads, generator};
use serde_json::{Value, json};

const NO_WORLDS: WorldRange = WorldRange { first_seed: 0, count: 0 };

/// A world of another catalog and other tenants than the built-in ones.
fn foreign(providers: usize, preset: Preset) -> Environment {
    let mut rng = generator(providers as u64, routing_env::Stream::Requests);
    let files = RandomFiles::draw(&mut rng, providers, 3);
    let catalog = Catalog::from_value("providers", &files.providers).unwrap();
    let workloads = Workloads::from_value("workloads", &files.workloads, &catalog).unwrap();
    Environment::new(catalog, workloads, preset).unwrap().with_steps(40)
}

fn config(algorithm: &str, agents: u32) -> SwarmConfig {
    SwarmConfig::new(algorithm, &json!({}), agents).unwrap()
}

fn prior(algorithm: &str, start: Value) -> Prior {
    let learning = Learner::find(algorithm).unwrap().ways().remove(0);
    let meta_training = MetaTraining {
        worlds: NO_WORLDS,
        validation: NO_WORLDS,
        seed: 1,
        rounds: 1,
        episodes: 1,
        steps_per_episode: 40,
    };
    Prior { format: PRIOR_FORMAT.into(), algorithm: algorithm.into(), start, learning, meta_training }
}

/// What one agent comes to in these worlds, pooled.
fn learned_in(algorithm: &str, worlds: &[Environment], episodes: u64) -> Prior {
    let known: Vec<Knowledge> = worlds
        .iter()
        .map(|env| {
            let mut swarm = Swarm::new(config(algorithm, 1), env).unwrap();
            (1..=episodes).for_each(|seed| drop(swarm.play(env, seed, Reward::EXCESS_COST)));
            swarm.knowledge().remove(0)
        })
        .collect();
    let met: Vec<_> = worlds.iter().zip(&known).collect();
    prior(algorithm, Learner::find(algorithm).unwrap().pool(&met).unwrap())
}

/// The mean reward of held-out requests.
fn earned(mut swarm: Swarm, env: &Environment) -> f64 {
    swarm.freeze();
    let rewards = (0..3).map(|seed| {
        swarm.clone().play(env, (1 << 32) + seed, Reward::EXCESS_COST).overall.avg_reward().unwrap()
    });
    rewards.sum::<f64>() / 3.0
}

#[test]
fn what_was_learned_in_other_catalogs_is_worth_more_than_nothing_before_the_first_decision() {
    let here = foreign(4, Preset::Contended);
    let worlds = [6, 7, 9].map(|providers| foreign(providers, Preset::Contended));
    for algorithm in ["afterstate", "cem"] {
        let prior = learned_in(algorithm, &worlds, 12);
        let scratch = earned(Swarm::new(config(algorithm, 2), &here).unwrap(), &here);
        let with = earned(Swarm::with_prior(config(algorithm, 2), &here, &prior).unwrap(), &here);
        assert!(with > scratch + 0.5, "{algorithm}: {with} with its prior, {scratch} without");
    }
}

/// The opposite of what any world teaches: charges are paid for taking what is scarce.
fn harmful(env: &Environment) -> Prior {
    let mut known = Swarm::new(config("cem", 1), env).unwrap().knowledge().remove(0);
    for weight in known.learned["weights"].as_array_mut().unwrap() {
        (weight["mean"], weight["spread"]) = (json!(-4.0), json!(0.01));
    }
    prior("cem", Learner::find("cem").unwrap().pool(&[(env, &known)]).unwrap())
}

#[test]
fn a_prior_that_harms_is_left_and_what_is_learned_without_it_is_gone_on_with() {
    let env = foreign(5, Preset::Contended);
    let mut swarm = Swarm::with_prior(config("cem", 2), &env, &harmful(&env)).unwrap();
    assert_eq!(swarm.trusts_prior(), Some(true));
    let before = earned(swarm.clone(), &env);
    (1..=8).for_each(|seed| drop(swarm.play(&env, seed, Reward::EXCESS_COST)));
    assert_eq!(swarm.trusts_prior(), Some(false));
    let scratch = earned(Swarm::new(config("cem", 2), &env).unwrap(), &env);
    let after = earned(swarm, &env);
    assert!(
        before < scratch - 1.0 && after > scratch - 0.2,
        "{before}, then {after}; from scratch {scratch}"
    );
}

#[test]
fn training_with_a_prior_that_is_broken_off_ends_with_the_same_bytes() {
    let env = foreign(5, Preset::Contended);
    let good = learned_in("afterstate", &[foreign(6, Preset::Contended)], 4);
    for (prior, algorithm) in [(good, "afterstate"), (harmful(&env), "cem")] {
        let begun = || Swarm::with_prior(config(algorithm, 2), &env, &prior).unwrap();
        let train = |swarm: &mut Swarm, seeds: std::ops::RangeInclusive<u64>| {
            seeds.for_each(|seed| drop(swarm.play(&env, seed, Reward::EXCESS_COST)));
        };
        let mut whole = begun();
        train(&mut whole, 1..=8);
        // once while the prior is trusted, and once when it is not any more
        for broken_off in [1, 7] {
            let mut first = begun();
            train(&mut first, 1..=broken_off);
            let written = serde_json::to_string(&first.state()).unwrap();
            let state: SwarmState = serde_json::from_str(&written).unwrap();
            let mut resumed = begun();
            resumed.restore(&state).unwrap();
            assert_eq!(resumed.trusts_prior(), first.trusts_prior());
            train(&mut resumed, broken_off + 1..=8);
            assert_eq!(resumed.state(), whole.state(), "{algorithm}, broken off after {broken_off}");
        }
    }
}

#[test]
fn a_prior_of_adaptive_says_how_long_to_wait_in_worlds_that_are_like_those_it_met() {
    let worlds = [6, 7].map(|providers| foreign(providers, Preset::Congested).with_steps(12));
    let prior = learned_in("adaptive", &worlds, 1);
    let met = prior.start["met"].as_array().unwrap();
    assert_eq!(met.len(), 2);
    assert!(met.iter().all(|met| met["scarcity"]["by_load"] == true));
    let here = foreign(5, Preset::Congested).with_steps(12);
    let mut swarm = Swarm::with_prior(config("adaptive", 1), &here, &prior).unwrap();
    assert_eq!(swarm.trusts_prior(), None, "what it rehearses is its guard");
    swarm.play(&here, 1, Reward::EXCESS_COST);
}

#[test]
fn a_prior_of_q_learning_serves_other_loads_of_its_catalog_and_no_other_catalog() {
    let busy = foreign(5, Preset::Overloaded);
    let prior = learned_in("q-learning", &[busy], 3);
    let here = foreign(5, Preset::Contended);
    let with = Swarm::with_prior(config("q-learning", 1), &here, &prior).unwrap();
    assert!(with.learning(0).1 > 0, "it knows states before it has seen any");
    assert!(Swarm::with_prior(config("q-learning", 1), &foreign(7, Preset::Contended), &prior).is_err());
}

#[test]
fn what_is_no_prior_of_this_learner_is_refused_with_what_was_expected() {
    let env = foreign(5, Preset::Contended);
    let good = harmful(&env);
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut file = serde_json::to_value(&good).unwrap();
        change(&mut file);
        let bytes = serde_json::to_vec(&file).unwrap();
        let parsed = Prior::parse(&bytes);
        parsed.and_then(|prior| Swarm::with_prior(config("cem", 1), &env, &prior)).err().unwrap().to_string()
    };
    assert!(refused(&|file| file["format"] = json!("ai-mesh-policy/2")).contains("ai-mesh-prior/1"));
    assert!(
        refused(&|file| file["algorithm"] = json!("dqn")).contains("adaptive, afterstate, cem or q-learning")
    );
    assert!(refused(&|file| file["algorithm"] = json!("afterstate")).contains("start"));
    assert!(refused(&|file| file["start"]["weights"][0]["mean"] = json!("x")).contains("start"));
    assert!(refused(&|file| drop(file["start"]["weights"].as_array_mut().unwrap().pop())).contains("30"));
    assert!(refused(&|file| file["learning"]["widening"] = json!(-1.0)).contains("widening"));
    assert!(refused(&|file| file["learning"]["speed"] = json!(1)).contains("speed"));
    assert!(Prior::parse(b"{}").unwrap_err().to_string().contains("no `format`"));
    let other = Swarm::with_prior(config("afterstate", 1), &env, &good).err().unwrap().to_string();
    assert!(other.contains("expected a prior of afterstate, found one of cem"), "{other}");
}
