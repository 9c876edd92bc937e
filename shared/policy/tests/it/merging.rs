//! What merging does to the agents of a swarm.

use policy::{Command, StepReport, Swarm, SwarmConfig};
use routing_env::{Environment, Episode, Preset};
use serde_json::json;

use crate::support::REWARD;

/// Learners that can merge, those of `q-learning` by what they see.
const MERGING: [&str; 3] = ["request", "specified", "afterstate"];

fn swarm(env: &Environment, algorithm: &str, agents: u32, merge_every: u32) -> Swarm {
    let config = match algorithm {
        "request" | "specified" => {
            let replay = json!({"enabled": true, "capacity": 100, "batch_size": 4});
            let settings = json!({"state": algorithm, "replay": replay, "merge_every": merge_every});
            SwarmConfig::new("q-learning", &settings, agents)
        }
        _ => SwarmConfig::new(algorithm, &json!({"merge_every": merge_every}), agents),
    };
    Swarm::new(config.unwrap(), env).unwrap()
}

/// Plays episodes and gives the mean reward per request.
fn play(swarm: &mut Swarm, env: &Environment, seeds: std::ops::Range<u64>) -> f64 {
    crate::support::play(swarm, env, seeds).overall.avg_reward().unwrap()
}

/// What the agents know. How often one was in a state itself, and states that nothing was learned of yet, do not
/// count.
fn knowledge(swarm: &Swarm) -> Vec<serde_json::Value> {
    let mut knowledge: Vec<_> = swarm.knowledge().into_iter().map(|agent| agent.learned).collect();
    for states in knowledge.iter_mut().filter_map(|agent| agent["states"].as_array_mut()) {
        states.retain(|state| state["values"].as_array().unwrap().iter().any(|value| *value != 0.0));
        states.iter_mut().for_each(|state| state["visits"] = serde_json::Value::Null);
    }
    knowledge
}

#[test]
fn after_a_merge_all_agents_know_the_same_and_before_it_they_do_not() {
    let env = Environment::built_in(Preset::Contended).with_steps(6);
    let mut report = StepReport::new(&env);
    for algorithm in MERGING {
        let mut swarm = swarm(&env, algorithm, 3, 4);
        let mut episode = Episode::new(&env, 7, REWARD);
        swarm.begin_episode(7);
        for step in 1..=6 {
            assert!(swarm.run_step(&mut episode, REWARD, &mut report));
            let agents = knowledge(&swarm);
            let is_same = agents.iter().all(|agent| *agent == agents[0]);
            assert_eq!(is_same, step == 4, "{algorithm}, step {step}");
        }
    }
}

#[test]
fn one_agent_merges_with_nobody() {
    let env = Environment::built_in(Preset::Contended).with_steps(6);
    for algorithm in MERGING {
        let (mut merged, mut alone) = (swarm(&env, algorithm, 1, 2), swarm(&env, algorithm, 1, 0));
        assert_eq!(play(&mut merged, &env, 7..10), play(&mut alone, &env, 7..10), "{algorithm}");
        assert!(knowledge(&merged) == knowledge(&alone), "{algorithm}");
    }
}

#[test]
fn a_frozen_swarm_does_not_merge() {
    let env = Environment::built_in(Preset::Contended).with_steps(5);
    for algorithm in MERGING {
        let mut swarm = swarm(&env, algorithm, 3, 4);
        play(&mut swarm, &env, 7..8);
        swarm.freeze();
        let before = knowledge(&swarm);
        play(&mut swarm, &env, 8..10);
        assert!(knowledge(&swarm) == before, "{algorithm}");
    }
}

#[test]
fn an_agent_that_forgot_learns_from_the_others() {
    let env = Environment::built_in(Preset::Contended).with_steps(8);
    for algorithm in MERGING {
        let mut swarm = swarm(&env, algorithm, 4, 4);
        let sizes = |swarm: &Swarm| -> Vec<u64> {
            (0..swarm.agents()).map(|agent| swarm.learning(agent).1).collect()
        };
        play(&mut swarm, &env, 7..9);
        swarm.apply(Command::Nigredo { kept: 0.0 }, &[1]);
        assert_eq!(sizes(&swarm)[1], 0);
        play(&mut swarm, &env, 9..10);
        let sizes = sizes(&swarm);
        assert!(sizes[1] > sizes[0] / 4, "{algorithm}: {sizes:?}");
    }
}
