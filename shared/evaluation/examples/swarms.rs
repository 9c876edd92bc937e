//! What it costs a swarm of `adaptive` agents of regions that each sees only its own part, as a Markdown table over paired
//! held-out seeds and several training seeds: by the delay of the board, and with one agent whose reports are false.
//!
//! `cargo run --release -p evaluation --example swarms -- drifting 10 10 20 3 faults` (preset, agents, episodes of
//! training, held-out seeds, trainings; `faults` adds the agents whose reports are false). Losses are against agents that
//! share all at once.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::ops::ControlFlow;

use api::FIRST_HELD_OUT_SEED;
use evaluation::statistics::{BySeed, Intervals, Runs};
use policy::{Fault, Swarm, SwarmConfig};
use routing_env::{Environment, Metrics, Reward};
use serde_json::{Value, json};

/// Training begins at this seed, and again so many seeds further on.
const FIRST_SEED: u64 = 1;
const SEEDS_APART: u64 = 10_000;

/// The agent whose reports are false.
const FAULTY: usize = 3;

/// What the swarms are.
struct Plan {
    env: Environment,
    agents: u32,
    episodes: u64,
    held_out: u64,
    trainings: u64,
}

/// How the agents learn of each other, and what is wrong with one of them.
struct Variant {
    name: String,
    settings: Value,
    fault: Option<Fault>,
}

/// What a variant came to.
struct Outcome {
    /// By training and held-out seed.
    rewards: Vec<BySeed>,
    /// Share of the reports that were trusted less than fully: of honest agents, and of the faulty one.
    distrusted: [f64; 2],
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| arguments.get(i).map_or(default, |text| text.parse().unwrap());
    let preset = arguments.first().map_or("drifting", String::as_str);
    let plan = Plan {
        env: Environment::built_in(preset.parse().unwrap()),
        agents: number(1, 10) as u32,
        episodes: number(2, 10),
        held_out: number(3, 20),
        trainings: number(4, 3),
    };
    let with_faults = arguments.iter().any(|argument| argument == "faults");
    println!(
        "`{preset}`, {} agents, {} episodes of training, {} trainings, {} paired held-out seeds\n",
        plan.agents, plan.episodes, plan.trainings, plan.held_out
    );
    println!("| agents | reward | lost [95 %] | distrusted: honest | the one |");
    println!("|---|---|---|---|---|");
    let intervals = Intervals::new(plan.held_out as usize);
    let mut shared: Option<Vec<BySeed>> = None;
    for variant in variants(&plan.env, with_faults) {
        let outcome = plan.play(&variant);
        let shared = shared.get_or_insert_with(|| outcome.rewards.clone());
        let lost = shared.iter().zip(&outcome.rewards).map(|(shared, own)| lost(shared, own));
        let lost = intervals.of_mean(&Runs::new(lost.collect())).unwrap();
        let reward = Runs::new(outcome.rewards).mean().unwrap();
        let [honest, faulty] = outcome.distrusted.map(|share| format!("{:.1} %", 100.0 * share));
        let faulty = variant.fault.map_or(String::new(), |_| faulty);
        println!(
            "| {} | {reward:.3} | {:+.3} [{:+.3}, {:+.3}] | {honest} | {faulty} |",
            variant.name, lost.mean, lost.low, lost.high
        );
    }
}

/// What one training earns less than the same one where agents share all at once, by held-out seed.
fn lost(shared: &BySeed, own: &BySeed) -> BySeed {
    shared.iter().zip(own).map(|(shared, own)| Some((*shared)? - (*own)?)).collect()
}

fn variants(env: &Environment, with_faults: bool) -> Vec<Variant> {
    let never = env.steps();
    let regions = |delay: u32, rejects: bool| json!({"regions": {"enabled": true, "board_delay": delay, "reject_outliers": rejects}});
    let honest = |name: &str, settings: Value| Variant { name: name.into(), settings, fault: None };
    let mut variants = vec![honest("share all at once", json!({}))];
    for (name, delay) in [("0", 0), ("1", 1), ("5", 5), ("never", never)] {
        variants.push(honest(&format!("of regions, delay {name}"), regions(delay, true)));
    }
    let faults = [
        ("lies tenfold", Fault::Lies { times: 10 }, &[true, false][..]),
        ("takes successes for failures", Fault::Lies { times: 1 }, &[true, false]),
        ("takes a tenth of its successes for failures", Fault::Slanders { share: 0.1 }, &[true]),
        ("is silent from step 20 on", Fault::Silent { from_step: 20 }, &[true]),
    ];
    for (name, fault, defences) in faults.into_iter().filter(|_| with_faults) {
        for rejects in defences {
            let defence = if *rejects { "" } else { ", all heeded" };
            let name = format!("delay 1, one {name}{defence}");
            variants.push(Variant { name, settings: regions(1, *rejects), fault: Some(fault) });
        }
    }
    variants
}

impl Plan {
    fn play(&self, variant: &Variant) -> Outcome {
        let mut rewards = Vec::new();
        let (mut distrusted, mut reports) = ([0.0; 2], [0.0; 2]);
        for training in 0..self.trainings {
            let config = SwarmConfig::new("adaptive", &variant.settings, self.agents).unwrap();
            let mut swarm = Swarm::new(config, &self.env).unwrap();
            swarm.set_fault(FAULTY, variant.fault);
            let first = FIRST_SEED + training * SEEDS_APART;
            for seed in first..first + self.episodes {
                swarm.play(&self.env, seed, Reward::EXCESS_COST);
            }
            swarm.freeze();
            let mut by_seed = BySeed::new();
            for seed in (FIRST_HELD_OUT_SEED..).take(self.held_out as usize) {
                let mut metrics = Metrics::new(&self.env);
                let _ = swarm.play_watched(&self.env, seed, Reward::EXCESS_COST, |step| {
                    metrics.merge(&step.metrics);
                    for (agent, trust) in step.agents.iter().map(|agent| agent.trust).enumerate() {
                        let is_faulty = usize::from(agent == FAULTY && variant.fault.is_some());
                        reports[is_faulty] += 1.0;
                        distrusted[is_faulty] += f64::from(u8::from(trust.is_some_and(|trust| trust < 1.0)));
                    }
                    ControlFlow::Continue(())
                });
                by_seed.push(metrics.overall.avg_reward());
            }
            rewards.push(by_seed);
        }
        let distrusted = [0, 1].map(|i| distrusted[i] / f64::max(reports[i], 1.0));
        Outcome { rewards, distrusted }
    }
}
