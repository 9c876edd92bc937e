//! Every hand rule and the physical limit on a preset, as a Markdown table over paired held-out seeds, with the figures
//! that unmask a policy which drops what is expensive. Where knowledge is hidden, the rule that is told the truth
//! stands for the limit.
//!
//! `cargo run --release -p limit --example compare -- contended 20 adaptive:10:20` (preset, number of seeds, and
//! learners to train first: name, agents, episodes). `contended/no-defer` is the preset without defer; a folder with
//! `providers.json` and `workloads.json` may stand in the preset's place, and is taken as contended.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use limit::{Limit, StepProblem};
use policy::{Rule, StepReport, Swarm, SwarmConfig};
use rand::RngExt as _;
use rand_pcg::Pcg64;
use routing_env::{Catalog, Environment, Episode, Knowledge, Metrics, Preset, Reward, Workloads};

/// Below it are training seeds.
const FIRST_HELD_OUT_SEED: u64 = 1 << 32;

const RESAMPLES: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("contended", String::as_str);
    let seeds: u64 = arguments.get(1).map_or(20, |count| count.parse().unwrap());
    let seeds = FIRST_HELD_OUT_SEED..FIRST_HELD_OUT_SEED + seeds;
    let env = environment(name);

    let is_told = env.workloads().knowledge == Knowledge::Catalog;
    let mut limit = Limit::default();
    let bounds: Vec<f64> = seeds
        .clone()
        .map(|seed| {
            if !is_told {
                return play(&env, &mut Swarm::of_rule(Rule::BidPriceInformed), seed)
                    .overall
                    .avg_reward()
                    .unwrap();
            }
            let of_seed = limit_of(&env, seed);
            limit.merge(&of_seed);
            of_seed.avg_reward().unwrap()
        })
        .collect();

    println!("`{name}`, {} paired held-out seeds from {FIRST_HELD_OUT_SEED}\n", bounds.len());
    println!(
        "| policy | fill | of jobs < 3 h, 3–6 h, ≥ 6 h | GPU-h | worst tenant | $/GPU-h | cost index | ms | deferred \
         | ΔR [95 %] | gap closed |"
    );
    println!("|---{}|", "|---".repeat(10));
    let mut baseline: Vec<f64> = Vec::new();
    let rules = Rule::ALL.into_iter().chain(Rule::REFERENCES);
    let rules = rules.map(|rule| (rule.name().to_owned(), Swarm::of_rule(rule)));
    let learners = arguments.iter().skip(2).map(|learner| (learner.clone(), trained(&env, learner)));
    for (name, mut swarm) in rules.chain(learners) {
        let by_seed: Vec<Metrics> = seeds.clone().map(|seed| play(&env, &mut swarm, seed)).collect();
        let rewards: Vec<f64> = by_seed.iter().map(|metrics| metrics.overall.avg_reward().unwrap()).collect();
        if name == Rule::BASELINE.name() {
            baseline.clone_from(&rewards);
        }
        let mut all = Metrics::new(&env);
        by_seed.iter().for_each(|metrics| all.merge(metrics));
        let overall = &all.overall;
        let sizes =
            all.sizes.iter().map(|size| size.fill_rate().map_or("-".into(), |fill| format!("{fill:.3}")));
        println!(
            "| {name} | {:.4} | {} | {:.4} | {:.4} | {:.4} | {:.4} | {:.1} | {:.3} | {} | {:.1} % |",
            overall.fill_rate().unwrap(),
            sizes.collect::<Vec<_>>().join(", "),
            overall.gpu_hours_fill().unwrap(),
            all.worst_tenant_gpu_hours_fill().unwrap(),
            overall.cost_per_gpu_hour_usd().unwrap(),
            overall.cost_index().unwrap(),
            overall.avg_latency_ms().unwrap(),
            overall.deferred_share().unwrap(),
            gain(&rewards, &baseline),
            100.0 * mean(&differences(&rewards, &baseline)) / mean(&differences(&bounds, &baseline)),
        );
    }
    if !is_told {
        return;
    }
    println!("| limit, reward |{} {} | 100 % |", " |".repeat(8), gain(&bounds, &baseline));
    println!(
        "\nThe highest fill is {:.4}; at that fill a request costs ${:.3} and takes {:.1} ms at least.",
        limit.fill_rate().unwrap(),
        limit.avg_cost_usd().unwrap(),
        limit.avg_latency_ms().unwrap(),
    );
}

fn limit_of(env: &Environment, seed: u64) -> Limit {
    let mut limit = Limit::default();
    StepProblem::of_episode(env, seed).for_each(|problem| limit.merge(&problem.limit().unwrap()));
    limit
}

fn environment(name: &str) -> Environment {
    let path = std::path::Path::new(name);
    if path.is_dir() {
        let read = |file| std::fs::read_to_string(path.join(file)).unwrap();
        let catalog = Catalog::parse("providers", &read("providers.json")).unwrap();
        let workloads = Workloads::parse("workloads", &read("workloads.json"), &catalog).unwrap();
        return Environment::new(catalog, workloads, Preset::Contended).unwrap();
    }
    let Some(preset) = name.strip_suffix("/no-defer") else {
        return Environment::built_in(name.parse().unwrap());
    };
    let env = Environment::built_in(preset.parse().unwrap());
    let mut workloads = env.workloads().clone();
    workloads.actions.defer = false;
    Environment::new(env.catalog().clone(), workloads, Preset::Default).unwrap()
}

/// A learner after its training on the seeds from 1 on, frozen.
fn trained(env: &Environment, learner: &str) -> Swarm {
    let [name, agents, episodes] = *learner.split(':').collect::<Vec<_>>() else {
        panic!("expected NAME:AGENTS:EPISODES, found {learner}");
    };
    let config = SwarmConfig {
        agents: agents.parse().unwrap(),
        learning_rate: 0.1,
        discount: 0.99,
        epsilon: if name == "adaptive" { 0.01 } else { 0.1 },
        ..SwarmConfig::of(name)
    };
    let mut swarm = Swarm::new(config, env).unwrap();
    (1..=episodes.parse().unwrap()).for_each(|seed| {
        play(env, &mut swarm, seed);
    });
    swarm.freeze();
    swarm
}

fn play(env: &Environment, swarm: &mut Swarm, seed: u64) -> Metrics {
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    let mut report = StepReport::new(env);
    let mut metrics = Metrics::new(env);
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {
        metrics.merge(&report.metrics);
    }
    swarm.end_episode();
    metrics
}

/// The mean paired difference with its percentile bootstrap interval over seeds (Efron 1979).
fn gain(rewards: &[f64], baseline: &[f64]) -> String {
    let differences = differences(rewards, baseline);
    let mut rng = Pcg64::new(0x6169_2d6d_6573_6821, 0x626f_6f74_7374_7261);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let draws = (0..differences.len()).map(|_| differences[rng.random_range(0..differences.len())]);
            draws.sum::<f64>() / differences.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let [low, high] = [0.025, 0.975].map(|share| means[(share * (RESAMPLES - 1) as f64).round() as usize]);
    format!("{:+.3} [{low:+.3}, {high:+.3}]", mean(&differences))
}

fn differences(rewards: &[f64], baseline: &[f64]) -> Vec<f64> {
    rewards.iter().zip(baseline).map(|(reward, baseline)| reward - baseline).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
