//! What a learner gains where the agents of a swarm merge what they have learned, as a Markdown table: by the number of
//! steps from one merging to the next, on seeds that are neither trained on nor held out.
//!
//! `cargo run --release -p evaluation --example merging -- afterstate contended 10 40 20 3` (learner, preset, agents,
//! episodes of training, seeds, trainings). Gains are against agents that never merge.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use evaluation::statistics::{BySeed, Intervals, Runs};
use policy::{Swarm, SwarmConfig};
use routing_env::{Environment, Reward};
use serde_json::json;

/// Training begins at 1, and again so many seeds further on; the seeds that are judged on begin at this one.
const SEEDS_APART: u64 = 10_000;
const FIRST_SEED_JUDGED: u64 = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |i: usize, default: &'static str| arguments.get(i).map_or(default, String::as_str).to_owned();
    let number = |i: usize, default: u64| arguments.get(i).map_or(default, |text| text.parse().unwrap());
    let (learner, preset) = (text(0, "afterstate"), text(1, "contended"));
    let (agents, episodes, seeds, trainings) = (number(2, 10), number(3, 40), number(4, 20), number(5, 3));
    let env = Environment::built_in(preset.parse().unwrap());
    println!(
        "`{learner}` on `{preset}`, {agents} agents, {episodes} episodes, {trainings} trainings, {seeds} seeds\n"
    );
    println!("| merged | reward | gained [95 %] |\n|---|---|---|");
    let intervals = Intervals::new(seeds as usize);
    let mut never: Option<Vec<BySeed>> = None;
    for merge_every in [0, 1, 5, 20, 120] {
        let mut rewards = Vec::new();
        for training in 0..trainings {
            let config =
                SwarmConfig::new(&learner, &json!({"merge_every": merge_every}), agents as u32).unwrap();
            let mut swarm = Swarm::new(config, &env).unwrap();
            for seed in (1 + training * SEEDS_APART..).take(episodes as usize) {
                swarm.play(&env, seed, Reward::EXCESS_COST);
            }
            swarm.freeze();
            let judged = (FIRST_SEED_JUDGED..).take(seeds as usize);
            let reward = |seed| swarm.play(&env, seed, Reward::EXCESS_COST).overall.avg_reward();
            rewards.push(judged.map(reward).collect::<BySeed>());
        }
        let never = never.get_or_insert_with(|| rewards.clone());
        let gained = rewards.iter().zip(&*never).map(|(own, never)| gained(own, never));
        let gained = intervals.of_mean(&Runs::new(gained.collect())).unwrap();
        let reward = Runs::new(rewards).mean().unwrap();
        let merged = if merge_every == 0 { "never".into() } else { format!("every {merge_every} steps") };
        println!(
            "| {merged} | {reward:.3} | {:+.3} [{:+.3}, {:+.3}] |",
            gained.mean, gained.low, gained.high
        );
    }
}

/// What one training earns more than the same one that never merges, by seed.
fn gained(own: &BySeed, never: &BySeed) -> BySeed {
    own.iter().zip(never).map(|(own, never)| Some((*own)? - (*never)?)).collect()
}
