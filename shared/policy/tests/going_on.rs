//! A swarm that goes on from a saved state does, and tells of itself, what one does that never stopped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use policy::{AgentStep, DecidedRequest, ReplayConfig, ReplayKind, StepReport, Swarm, SwarmConfig};
use routing_env::{Environment, Episode, Preset, RewardKind};

fn swarm(env: &Environment) -> Swarm {
    let config = SwarmConfig {
        algorithm: "q-learning".into(),
        agents: 3,
        learning_rate: 0.1,
        discount: 0.99,
        epsilon: 0.1,
        replay: Some(ReplayConfig { capacity: 200, batch_size: 8, kind: ReplayKind::Uniform }),
        feasibility_mask: true,
        merge_every: 0,
    };
    Swarm::new(config, env).unwrap()
}

fn play(swarm: &mut Swarm, env: &Environment, seed: u64) -> Vec<(Vec<DecidedRequest>, Vec<AgentStep>)> {
    let mut report = StepReport::new(env);
    let mut episode = Episode::new(env, seed, RewardKind::ExcessCost);
    let mut steps = Vec::new();
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, RewardKind::ExcessCost, &mut report) {
        steps.push((report.decisions.clone(), report.agents.clone()));
    }
    swarm.end_episode();
    steps
}

#[test]
fn the_windows_after_a_restore_are_those_of_a_swarm_that_never_stopped() {
    let env = Environment::built_in(Preset::Contended).with_steps(5);
    let mut whole = swarm(&env);
    play(&mut whole, &env, 1);
    let mut again = swarm(&env);
    again.restore(&whole.state()).unwrap();
    assert_eq!(play(&mut again, &env, 2), play(&mut whole, &env, 2));
    assert_eq!(again.state(), whole.state());
}
