//! Every hand rule and the physical limit on a preset, as a Markdown table over paired held-out seeds, with the figures
//! that unmask a policy which drops what is expensive. Where knowledge is hidden, the limit is that of one who knows it.
//!
//! `cargo run --release -p evaluation --example compare -- contended 20 adaptive:10:20` (preset, number of seeds, and
//! learners to train first: name, agents, episodes and, where they are not the defaults, settings, as in
//! `'q-learning:10:300:{"replay":"off"}'`). `contended/no-defer` is the preset without defer; a folder with
//! `providers.json` and `workloads.json` may stand in the preset's place, and is taken as contended.
//!
//! `--training-seeds N` trains every learner N times (1 by default), each time on episodes of its own, and its intervals then
//! cover the luck of training too. `--preference '{"cost": 8}'` trains and judges by other weights. `--first-seed N` is the first held-out seed. Each learner has a row of what it is when it
//! was never trained.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use api::FIRST_HELD_OUT_SEED;
use evaluation::{
    bounds::{Sample, solve},
    episodes::{Contestant, play},
    pooled::{self, Bound},
    progress::Progress,
};
use limit::Limit;
use policy::{Rule, Swarm, SwarmConfig};
use routing_env::{Catalog, Environment, Preference, Preset, Reward, Workloads};
use serde_json::json;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let trainings = option(&mut arguments, "--training-seeds").map_or(1, |n| n.parse().unwrap());
    let first_seed =
        option(&mut arguments, "--first-seed").map_or(FIRST_HELD_OUT_SEED, |n| n.parse().unwrap());
    let asked = option(&mut arguments, "--preference");
    let name = arguments.first().map_or("contended", String::as_str);
    let count: u32 = arguments.get(1).map_or(20, |count| count.parse().unwrap());
    let seeds: Vec<u64> = (first_seed..).take(count as usize).collect();
    let env = environment(name);
    let wanted = asked.map_or(Preference::EXCESS_COST, |asked| {
        let asked = serde_json::from_str(&asked).unwrap();
        Preference::asked(&asked, &env).unwrap()
    });
    let rules: Vec<Rule> = Rule::ALL.into_iter().chain(Rule::REFERENCES).collect();
    let informed = rules.iter().position(|rule| *rule == Rule::BidPriceInformed).unwrap();
    let learners = arguments.iter().skip(2).flat_map(|learner| trained(&env, wanted, learner, trainings));
    let contestants: Vec<Contestant> =
        rules.into_iter().map(|rule| Contestant::of_rule_for(rule, &env, wanted)).chain(learners).collect();

    let progress = Progress::default();
    let sample = Sample::new(&env, count, Some(env.steps()));
    let achieved =
        play(&env, Reward::Preference(wanted), &contestants, &seeds, sample.as_ref(), &progress).unwrap();
    let limits = sample.map(|sample| solve(&env, wanted, &sample, &seeds, &progress).unwrap().unwrap());
    let bound = limits.as_deref().map_or(Bound::Contestant(informed), Bound::Limit);

    println!(
        "`{name}`, {count} paired held-out seeds from {first_seed}, {trainings} trainings of each learner\n"
    );
    print!("{}", pooled::table(&env, &contestants, &achieved, &bound).unwrap().markdown());
    if let Some(limits) = limits {
        let mut limit = Limit::default();
        limits.iter().for_each(|of_seed| limit.merge(of_seed));
        println!(
            "\nThe highest fill is {:.4}; at that fill a request costs ${:.3} and takes {:.1} ms at least.",
            limit.fill_rate().unwrap(),
            limit.avg_cost_usd().unwrap(),
            limit.avg_latency_ms().unwrap(),
        );
    }
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

/// The value of an option that may stand anywhere among the arguments.
fn option(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.drain(at..at + 2).next_back()
}

/// A learner after its trainings, the first of which is on the seeds from 1 on, and before them.
fn trained(env: &Environment, wanted: Preference, learner: &str, trainings: u64) -> [Contestant; 2] {
    let (name, agents, episodes, settings) = match *learner.splitn(4, ':').collect::<Vec<_>>() {
        [name, agents, episodes] => (name, agents, episodes, json!({})),
        [name, agents, episodes, settings] => {
            (name, agents, episodes, serde_json::from_str(settings).unwrap())
        }
        _ => panic!("expected NAME:AGENTS:EPISODES[:SETTINGS], found {learner}"),
    };
    let config = SwarmConfig::new(name, &settings, agents.parse().unwrap()).unwrap();
    let episodes: u32 = episodes.parse().unwrap();
    let train = |training: u64| {
        let mut swarm = Swarm::new(config.clone(), env).unwrap();
        swarm.prefer(&wanted.into(), env);
        let first = 1 + training * u64::from(episodes);
        (first..first + u64::from(episodes)).for_each(|seed| {
            swarm.play(env, seed, Reward::Preference(wanted));
        });
        swarm
    };
    let trained = Contestant::of_swarms(episodes, (0..trainings).map(train).collect());
    let untrained = Contestant::never_trained(&config, env, wanted).unwrap();
    [trained.named(learner.to_owned()), untrained.named(format!("{name}:{agents}, never trained"))]
}
