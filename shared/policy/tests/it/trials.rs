//! What a command is worth is found out in futures that are not the run's.

use policy::{Command, StepReport, Swarm, SwarmConfig, trial::trial};
use routing_env::{Catalog, Environment, Episode, Preset, Reward, ScenarioEvent};
use serde_json::json;

const AFRESH: Command = Command::Nigredo { kept: 0.0 };
const ALL: [u32; 4] = [0, 1, 2, 3];

fn swarm(env: &Environment) -> Swarm {
    Swarm::new(SwarmConfig::new("q-learning", &json!({}), 4).unwrap(), env).unwrap()
}

/// Plays so many steps of an episode with a swarm that has just begun it.
fn play(swarm: &mut Swarm, episode: &mut Episode<'_>, steps: u32) -> Vec<String> {
    let mut report = StepReport::new(episode.env());
    let mut decided = Vec::new();
    for _ in 0..steps {
        assert!(swarm.run_step(episode, Reward::EXCESS_COST, &mut report));
        decided.push(format!("{:?}", report.decisions));
    }
    decided
}

#[test]
fn a_swarm_that_has_learned_loses_by_a_fresh_start_and_a_trial_says_so() {
    let env = Environment::built_in(Preset::Contended).with_steps(400);
    let (mut swarm, mut episode) = (swarm(&env), Episode::new(&env, 3, Reward::EXCESS_COST));
    swarm.begin_episode(3);
    play(&mut swarm, &mut episode, 300);
    let effect = trial(&swarm, &episode, (AFRESH, &ALL), (3, 300)).unwrap();
    assert!(effect.reward_with < effect.reward_without && effect.difference.0 < 0.0, "{effect:?}");
    assert!(!effect.is_gain());
}

#[test]
fn a_command_to_nobody_is_worth_exactly_nothing() {
    let env = Environment::built_in(Preset::Unreliable).with_steps(60);
    let (mut swarm, mut episode) = (swarm(&env), Episode::new(&env, 3, Reward::EXCESS_COST));
    swarm.begin_episode(3);
    play(&mut swarm, &mut episode, 30);
    let effect = trial(&swarm, &episode, (AFRESH, &[]), (3, 30)).unwrap();
    assert_eq!((effect.reward_with, effect.difference), (effect.reward_without, (0.0, 0.0)));
    assert!(!effect.is_gain());
}

#[test]
fn a_trial_changes_nothing_of_the_run_and_is_the_same_again() {
    let env = Environment::built_in(Preset::Drifting).with_steps(60);
    let play_with = |tries: bool| {
        let (mut swarm, mut episode) = (swarm(&env), Episode::new(&env, 5, Reward::EXCESS_COST));
        swarm.begin_episode(5);
        let mut decided = play(&mut swarm, &mut episode, 40);
        if tries {
            let effect = || trial(&swarm, &episode, (AFRESH, &ALL), (5, 40));
            assert_eq!(effect(), effect());
        }
        decided.extend(play(&mut swarm, &mut episode, 20));
        decided
    };
    assert_eq!(play_with(true), play_with(false));
}

#[test]
fn a_trial_knows_nothing_of_what_is_to_come_in_the_run() {
    let preset = Environment::built_in(Preset::Contended);
    let with_outages_from = |step| {
        let mut workloads = preset.workloads().clone();
        (workloads.random_events, workloads.scenarios) = (0, Vec::new());
        for provider in Catalog::built_in().providers {
            workloads.scenarios.push(ScenarioEvent {
                step,
                event: "outage".into(),
                provider_id: provider.id,
                multiplier: None,
                delta_ms: None,
                delta: None,
                duration: Some(100),
            });
        }
        Environment::new(Catalog::built_in(), workloads, Preset::Default).unwrap().with_steps(200)
    };
    let tried_in = |env: &Environment| {
        let (mut swarm, mut episode) = (swarm(env), Episode::new(env, 5, Reward::EXCESS_COST));
        swarm.begin_episode(5);
        play(&mut swarm, &mut episode, 20);
        trial(&swarm, &episode, (AFRESH, &ALL), (5, 20)).unwrap()
    };
    let (soon, never) = (tried_in(&with_outages_from(20)), tried_in(&with_outages_from(150)));
    assert_eq!(soon, never, "nothing is left to route to from the next step on, and no fork has heard of it");
    let now = tried_in(&with_outages_from(19));
    assert_eq!(now.reward_without, 0.0, "what is so now goes on: every provider is out in every fork");
}

#[test]
fn forgetting_how_sure_one_is_keeps_what_is_believed() {
    let env = Environment::built_in(Preset::Contended).with_steps(120);
    for learner in ["q-learning", "afterstate"] {
        let config = SwarmConfig::new(learner, &json!({}), 4).unwrap();
        let mut doubting = Swarm::new(config, &env).unwrap();
        let mut episode = Episode::new(&env, 3, Reward::EXCESS_COST);
        doubting.begin_episode(3);
        play(&mut doubting, &mut episode, 100);
        let mut as_before = doubting.clone();
        doubting.apply(Command::Nigredo { kept: 0.05 }, &ALL);
        assert_ne!(doubting.state(), as_before.state(), "{learner}: it counts less");
        doubting.freeze();
        as_before.freeze();
        let decided = |mut swarm: Swarm| play(&mut swarm, &mut episode.fork(9).unwrap(), 20);
        assert_eq!(decided(doubting), decided(as_before), "{learner}");
    }
}
