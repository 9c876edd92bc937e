//! Acting also on what others have learned, without taking it for one's own.

use policy::{
    Knowledge, PastStep, StepEvidence, StepReport, Swarm, SwarmConfig, SwarmError, registry::LEARNERS,
};
use proptest::prelude::*;
use routing_env::{Environment, Episode, Preset, Reward};
use serde_json::json;

use crate::support::play;

/// Every learner by default, and `q-learning` as it was specified.
fn swarms(env: &Environment, agents: u32) -> Vec<Swarm> {
    let mut configs: Vec<_> =
        LEARNERS.iter().map(|learner| SwarmConfig::new(learner.name, &json!({}), agents).unwrap()).collect();
    configs.push(SwarmConfig::new("q-learning", &json!({"state": "specified"}), agents).unwrap());
    configs.into_iter().map(|config| Swarm::new(config, env).unwrap()).collect()
}

fn env() -> Environment {
    Environment::built_in(Preset::Drifting).with_steps(30)
}

fn knowledge(swarm: &Swarm) -> String {
    serde_json::to_string(&swarm.knowledge()).unwrap()
}

#[test]
fn whoever_knows_nothing_and_heeds_another_decides_as_the_other_does() {
    let env = env();
    for mut teacher in swarms(&env, 1) {
        play(&mut teacher, &env, 0..6);
        let mut listener = Swarm::new(teacher.config().clone(), &env).unwrap();
        let name = teacher.config().algorithm.name();
        let ignorant = { play(&mut frozen(&listener), &env, 90..93) };
        listener.heed(Some(&teacher.knowledge()[0])).unwrap();
        // whoever looks a known thing up goes on from it, so that both are asked frozen
        let (told, own) =
            (play(&mut frozen(&listener), &env, 90..93), play(&mut frozen(&teacher), &env, 90..93));
        assert_eq!(told.overall.reward.to_bits(), own.overall.reward.to_bits(), "{name}");
        assert_ne!(told.overall.reward, ignorant.overall.reward, "{name}: what was heeded must matter");
        assert!(listener.acted_on()[0].learned == teacher.knowledge()[0].learned || name == "cem", "{name}");
        let new = Swarm::new(teacher.config().clone(), &env).unwrap();
        assert!(knowledge(&listener) == knowledge(&new), "{name}: it has learned nothing itself");
    }
}

#[test]
fn whoever_no_longer_heeds_others_decides_as_if_it_never_had() {
    let env = env();
    for mut teacher in swarms(&env, 2) {
        play(&mut teacher, &env, 0..6);
        let mut swarm = Swarm::new(teacher.config().clone(), &env).unwrap();
        play(&mut swarm, &env, 20..24);
        let before = play(&mut frozen(&swarm), &env, 90..92);
        let known = knowledge(&swarm);
        swarm.heed(teacher.gathered().as_ref()).unwrap();
        play(&mut frozen(&swarm), &env, 90..92);
        swarm.heed(None).unwrap();
        assert_eq!(play(&mut frozen(&swarm), &env, 90..92), before, "{}", swarm.config().algorithm.name());
        assert!(knowledge(&swarm) == known, "{}", swarm.config().algorithm.name());
    }
}

#[test]
fn a_state_is_restored_without_what_was_heeded_and_goes_on_the_same_when_told_again() {
    let env = env();
    for mut teacher in swarms(&env, 2) {
        play(&mut teacher, &env, 0..4);
        let others = teacher.gathered();
        let mut swarm = Swarm::new(teacher.config().clone(), &env).unwrap();
        swarm.heed(others.as_ref()).unwrap();
        play(&mut swarm, &env, 20..23);
        let mut restored = Swarm::new(teacher.config().clone(), &env).unwrap();
        let state = serde_json::to_vec(&swarm.state()).unwrap();
        restored.restore(&serde_json::from_slice(&state).unwrap()).unwrap();
        restored.heed(others.as_ref()).unwrap();
        let name = swarm.config().algorithm.name();
        assert_eq!(play(&mut restored, &env, 23..26), play(&mut swarm, &env, 23..26), "{name}");
        assert!(knowledge(&restored) == knowledge(&swarm), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let env = env();
    for mut swarm in swarms(&env, 2) {
        let name = swarm.config().algorithm.name();
        let mut foreign = swarm.knowledge().remove(0);
        foreign.algorithm = if name == "cem" { "adaptive" } else { "cem" }.into();
        assert!(refused(&mut swarm, &foreign).starts_with("expected what"), "{name}");
        if name == "adaptive" {
            let mut elsewhere = swarm.knowledge().remove(0);
            elsewhere.learned["facts"]["failures"].as_array_mut().unwrap().pop();
            assert!(refused(&mut swarm, &elsewhere).contains("providers"), "{name}");
        }
    }
}

fn refused(swarm: &mut Swarm, others: &Knowledge) -> String {
    match swarm.heed(Some(others)).unwrap_err() {
        SwarmError::Mismatch(what) => what,
        other => panic!("{other}"),
    }
}

fn frozen(swarm: &Swarm) -> Swarm {
    let mut frozen = swarm.clone();
    frozen.freeze();
    frozen
}

#[test]
fn what_the_agents_of_a_team_learned_together_is_counted_once() {
    let env = env();
    for mut swarm in swarms(&env, 3) {
        let name = swarm.config().algorithm.name();
        play(&mut swarm, &env, 0..2);
        let known = swarm.gathered().unwrap();
        match name {
            // each has seen all
            "adaptive" | "cem" => assert!(known == swarm.knowledge()[2], "{name}"),
            "q-learning" => {
                let requests = visits(&known.learned);
                let agents: f64 = swarm.knowledge().iter().map(|agent| visits(&agent.learned)).sum();
                assert!(requests > 0.0 && requests <= agents, "{requests} of {agents}");
            }
            _ => assert!(known == swarm.knowledge()[0], "{name}: all go on from it"),
        }
    }
}

/// How often anything was learned in tables of `q-learning`.
fn visits(learned: &serde_json::Value) -> f64 {
    let cells = learned["cells"].as_array().into_iter().flatten().map(|cell| cell[1].as_f64().unwrap());
    let states = learned["states"].as_array().into_iter().flatten();
    let by_state = states.flat_map(|state| state["visits"].as_array().unwrap()).map(|n| n.as_f64().unwrap());
    cells.chain(by_state).sum()
}

/// How often providers were tried.
fn tries(learned: &serde_json::Value) -> f64 {
    learned["facts"]["failures"].as_array().unwrap().iter().map(|tries| tries[0].as_f64().unwrap()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    /// Two who heed each other know each what they saw, whatever they heeded: merged, all is counted once.
    #[test]
    fn two_that_heed_each_other_count_nothing_twice(rounds in 1_usize..4, seed in 0_u64..1000) {
        let env = env();
        let config = SwarmConfig::new("adaptive", &json!({}), 1).unwrap();
        let [mut one, mut other] = [(); 2].map(|()| Swarm::new(config.clone(), &env).unwrap());
        let mut first = 0.0;
        for round in 0..rounds as u64 {
            play(&mut one, &env, seed + round..seed + round + 1);
            play(&mut other, &env, seed + 5000 + round..seed + 5001 + round);
            let (known, others) = (one.knowledge(), other.knowledge());
            let mut all = known[0].clone();
            all.merge(&others[0]).unwrap();
            let counted = |of: &Knowledge| tries(&of.learned);
            let sum = counted(&all);
            prop_assert_eq!(sum, counted(&known[0]) + counted(&others[0]));
            // a round adds about as much as the first did; what is counted twice would double it with each round
            if round == 0 { first = sum; }
            prop_assert!(sum < 1.8 * first * (round + 1) as f64, "round {}: {} after {}", round, sum, first);
            one.heed(others.first()).unwrap();
            other.heed(known.first()).unwrap();
        }
    }
}

/// A swarm in its episode of this seed, after so many steps; which providers its requests went to in the last one.
fn steps(swarm: &mut Swarm, episode: &mut Episode<'_>, count: u32) -> Vec<u64> {
    let mut report = StepReport::new(episode.env());
    let mut sent = vec![0; episode.env().catalog().providers.len()];
    for _ in 0..count {
        assert!(swarm.run_step(episode, Reward::EXCESS_COST, &mut report));
        sent.fill(0);
        let routed = report.decisions.iter().filter_map(|decided| decided.resolution.routed());
        routed.for_each(|routed| sent[routed.provider] += 1);
    }
    sent
}

/// What others say who have seen this of a provider in the step that has just ended, and nothing of the others.
fn told(env: &Environment, provider: usize, failures: (f64, f64)) -> PastStep {
    let mut evidence = StepEvidence::nothing(env.catalog().providers.len());
    evidence.failures[provider] = failures;
    PastStep { steps_ago: 0, evidence }
}

#[test]
fn whoever_hears_within_an_episode_that_a_provider_fails_leaves_it_frozen_or_not() {
    let env = env();
    for is_frozen in [false, true] {
        let mut swarm = Swarm::new(SwarmConfig::new("adaptive", &json!({}), 2).unwrap(), &env).unwrap();
        if is_frozen {
            swarm.freeze();
        }
        swarm.begin_episode(3);
        let mut episode = Episode::new(&env, 3, Reward::EXCESS_COST);
        let before = steps(&mut swarm, &mut episode, 5);
        let favourite = (0..before.len()).max_by_key(|provider| before[*provider]).unwrap();
        let (known, seen) = (knowledge(&swarm), swarm.step_evidence());
        assert_eq!(swarm.heed_steps(&[told(&env, favourite, (1000.0, 1000.0))]), Ok(true));
        assert_eq!((knowledge(&swarm), swarm.step_evidence()), (known, seen), "it is no evidence of its own");
        let after = steps(&mut swarm, &mut episode, 1);
        assert!(4 * after[favourite] < before[favourite], "{before:?} {after:?}");
    }
}

#[test]
fn what_was_heard_of_an_episode_is_gone_in_the_next() {
    let env = env();
    let new = || frozen(&Swarm::new(SwarmConfig::new("adaptive", &json!({}), 1).unwrap(), &env).unwrap());
    let (mut never, mut swarm) = (new(), new());
    swarm.begin_episode(3);
    swarm.heed_steps(&[told(&env, 0, (1000.0, 1000.0))]).unwrap();
    swarm.end_episode();
    let rewards = [&mut never, &mut swarm].map(|swarm| play(swarm, &env, 9..10).overall.reward.to_bits());
    assert_eq!(rewards[0], rewards[1]);
    assert_eq!(swarm.state(), never.state());
}

#[test]
fn who_keeps_no_such_figures_or_has_a_board_says_that_it_does_not_heed_steps() {
    let env = env();
    let evidence = [told(&env, 0, (10.0, 1.0))];
    let regions = SwarmConfig::new("adaptive", &json!({"regions": {"enabled": true}}), 4).unwrap();
    let others = swarms(&env, 1).into_iter().filter(|swarm| swarm.config().algorithm.name() != "adaptive");
    for mut swarm in others.chain([Swarm::new(regions, &env).unwrap()]) {
        swarm.begin_episode(3);
        steps(&mut swarm, &mut Episode::new(&env, 3, Reward::EXCESS_COST), 1);
        assert_eq!(swarm.step_evidence(), None);
        assert_eq!(swarm.heed_steps(&evidence), Ok(false));
    }
}

#[test]
fn steps_that_nobody_can_have_seen_are_refused_and_change_nothing() {
    let env = env();
    let mut swarm = Swarm::new(SwarmConfig::new("adaptive", &json!({}), 1).unwrap(), &env).unwrap();
    swarm.begin_episode(3);
    let before = swarm.moment();
    for figures in [(f64::NAN, 0.0), (-1.0, 0.0), (1.0, 2.0), (1e13, 0.0)] {
        let error = swarm.heed_steps(&[told(&env, 1, (5.0, 1.0)), told(&env, 0, figures)]).unwrap_err();
        assert!(error.to_string().contains("failures of provider 0: expected"), "{error}");
        assert_eq!(swarm.moment(), before);
    }
}
