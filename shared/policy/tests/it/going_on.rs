//! A learner that goes on from a saved state does, window by window, what one that never stopped does.

use policy::{AgentStep, Command, DecidedRequest, StepReport, Swarm, SwarmConfig, registry::LEARNERS};
use routing_env::{Environment, Episode, Preset, Reward};
use serde_json::{Value, json};

/// What `q-learning` can see.
const STATES: [&str; 2] = ["request", "specified"];

fn config(algorithm: &str, settings: &Value) -> SwarmConfig {
    SwarmConfig::new(algorithm, settings, 3).unwrap()
}

fn play(swarm: &mut Swarm, env: &Environment, seed: u64) -> Vec<(Vec<DecidedRequest>, Vec<AgentStep>)> {
    let mut report = StepReport::new(env);
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    let mut steps = Vec::new();
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {
        steps.push((report.decisions.clone(), report.agents.clone()));
    }
    swarm.end_episode();
    steps
}

/// Stops after an episode (of five steps, so that merges every three steps are under way), and goes on from what
/// was written. An agent has forgotten all and another one explores more.
fn goes_on_as_if_it_had_never_stopped(config: &SwarmConfig) {
    let env = Environment::built_in(Preset::Contended).with_steps(5);
    let mut whole = Swarm::new(config.clone(), &env).unwrap();
    play(&mut whole, &env, 1);
    whole.apply(Command::Nigredo { kept: 0.0 }, &[1]);
    whole.apply(Command::Albedo { factor: 3.0, max: 0.9, windows: 7 }, &[2]);
    let written = serde_json::to_string(&whole.state()).unwrap();
    let mut again = Swarm::new(config.clone(), &env).unwrap();
    again.restore(&serde_json::from_str(&written).unwrap()).unwrap();
    for seed in 2..4 {
        assert!(play(&mut again, &env, seed) == play(&mut whole, &env, seed), "{config:?}");
        assert!(again.state() == whole.state(), "{config:?}");
    }
}

#[test]
fn q_learning_goes_on_in_either_state_with_either_replay() {
    for (state, kind) in STATES.into_iter().flat_map(|state| [(state, "uniform"), (state, "prioritized")]) {
        let replay = json!({"enabled": true, "kind": kind, "capacity": 200, "batch_size": 8});
        goes_on_as_if_it_had_never_stopped(&config("q-learning", &json!({"state": state, "replay": replay})));
    }
}

#[test]
fn every_learner_goes_on_as_it_is_by_default() {
    for learner in &LEARNERS {
        goes_on_as_if_it_had_never_stopped(&config(learner.name, &json!({})));
    }
}

#[test]
fn swarms_that_merge_go_on_between_two_merges() {
    let replay = json!({"enabled": true, "kind": "prioritized", "capacity": 200, "batch_size": 8});
    for state in STATES {
        let settings = json!({"state": state, "replay": replay, "merge_every": 3});
        goes_on_as_if_it_had_never_stopped(&config("q-learning", &settings));
    }
    goes_on_as_if_it_had_never_stopped(&config("afterstate", &json!({"merge_every": 3})));
    let regions = json!({"enabled": true, "board_delay": 2});
    goes_on_as_if_it_had_never_stopped(&config("adaptive", &json!({"epsilon": 0.1, "regions": regions})));
}
