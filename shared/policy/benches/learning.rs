//! Decisions a second on one core: the simulator with the baseline, and learners in training and acting.
//! Every iteration is the next `contended` episode; divan prints the rate in items (decisions) a second.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail by panicking")]

use divan::{Bencher, counter::ItemsCount};
use policy::{Rule, StepReport, Swarm, SwarmConfig};
use routing_env::{Environment, Episode, Preset, Reward};
use serde_json::json;

fn main() {
    divan::main();
}

fn play(env: &Environment, swarm: &mut Swarm, report: &mut StepReport, seed: u64) -> u64 {
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    let mut decisions = 0;
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, Reward::EXCESS_COST, report) {
        decisions += report.decisions.len() as u64;
    }
    swarm.end_episode();
    decisions
}

fn bench(bencher: Bencher<'_, '_>, mut swarm: Swarm, env: &Environment) {
    let mut report = StepReport::new(env);
    // an episode's mean number of decisions
    let decisions: u64 = (0..5).map(|seed| play(env, &mut swarm.clone(), &mut report, seed)).sum::<u64>() / 5;
    let mut seed = 0;
    bencher.counter(ItemsCount::new(decisions)).bench_local(|| {
        seed += 1;
        play(env, &mut swarm, &mut report, seed)
    });
}

fn learner(agents: u32, replay: bool) -> SwarmConfig {
    let settings = json!({"state": "specified", "replay": {"enabled": replay}});
    SwarmConfig::new("q-learning", &settings, agents).unwrap()
}

#[divan::bench]
fn simulator_with_the_baseline(bencher: Bencher<'_, '_>) {
    let env = Environment::built_in(Preset::Contended);
    bench(bencher, Swarm::of_rule(Rule::BASELINE, &env), &env);
}

#[divan::bench(args = [1, 10, 100])]
fn q_learning_without_replay(bencher: Bencher<'_, '_>, agents: u32) {
    in_training(bencher, learner(agents, false));
}

#[divan::bench(args = [1, 10, 100])]
fn q_learning_with_replay(bencher: Bencher<'_, '_>, agents: u32) {
    in_training(bencher, learner(agents, true));
}

fn in_training(bencher: Bencher<'_, '_>, config: SwarmConfig) {
    let env = Environment::built_in(Preset::Contended);
    bench(bencher, Swarm::new(config, &env).unwrap(), &env);
}

fn acting(bencher: Bencher<'_, '_>, config: SwarmConfig) {
    let env = Environment::built_in(Preset::Contended);
    let mut swarm = Swarm::new(config, &env).unwrap();
    let mut report = StepReport::new(&env);
    (0..5).for_each(|seed| {
        play(&env, &mut swarm, &mut report, seed);
    });
    swarm.freeze();
    bench(bencher, swarm, &env);
}

fn afterstate(agents: u32) -> SwarmConfig {
    SwarmConfig::new("afterstate", &json!({"merge_every": 10}), agents).unwrap()
}

fn cem(agents: u32) -> SwarmConfig {
    SwarmConfig::new("cem", &json!({}), agents).unwrap()
}

fn adaptive(agents: u32) -> SwarmConfig {
    SwarmConfig::new("adaptive", &json!({}), agents).unwrap()
}

#[divan::bench(args = [1, 10, 100])]
fn afterstate_in_training(bencher: Bencher<'_, '_>, agents: u32) {
    in_training(bencher, afterstate(agents));
}

#[divan::bench(args = [1, 10, 100])]
fn afterstate_acting(bencher: Bencher<'_, '_>, agents: u32) {
    acting(bencher, afterstate(agents));
}

#[divan::bench(args = [1, 10, 100])]
fn cem_in_training(bencher: Bencher<'_, '_>, agents: u32) {
    in_training(bencher, cem(agents));
}

#[divan::bench(args = [1, 10, 100])]
fn cem_acting(bencher: Bencher<'_, '_>, agents: u32) {
    acting(bencher, cem(agents));
}

#[divan::bench(args = [1, 100], sample_count = 20)]
fn adaptive_in_training(bencher: Bencher<'_, '_>, agents: u32) {
    in_training(bencher, adaptive(agents));
}

#[divan::bench(args = [1, 100], sample_count = 20)]
fn adaptive_acting(bencher: Bencher<'_, '_>, agents: u32) {
    acting(bencher, adaptive(agents));
}
