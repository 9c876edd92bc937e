//! Every hand rule and the physical limit on a preset, as a Markdown table over paired held-out seeds, with the figures
//! that unmask a policy which drops what is expensive. Where knowledge is hidden, the limit is that of one who knows it.
//!
//! `cargo run --release -p evaluation --example compare -- contended 20 adaptive:10:20` (preset, number of seeds, and
//! learners to train first: name, agents, episodes and, where they are not the defaults, settings, as in
//! `'q-learning:10:300:{"replay":"off"}'`). `contended/no-defer` is the preset without defer, `default/x2` the
//! preset at twice the demand; a folder with `providers.json` and `workloads.json` may stand in the preset's place, and is
//! taken as contended.
//!
//! `--training-seeds N` trains every learner N times (1 by default), each time on episodes of its own, and its intervals then
//! cover the luck of training too. `--preference '{"cost": 8}'` trains and judges by other weights. `--first-seed N` is the
//! first held-out seed. Each learner has a row of what it is when it was never trained. `--against NAME` also prints by how
//! much each earns more than that one, on the same seeds. `--rules NAME,NAME` plays no other rules beside the baseline.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::collections::BTreeMap;

use api::FIRST_HELD_OUT_SEED;
use evaluation::{
    bounds::{Sample, solve},
    episodes::{Contestant, play},
    pooled,
    progress::Progress,
};
use limit::Limit;
use policy::{Rule, Swarm, SwarmConfig};
use routing_env::{Catalog, Environment, Preference, Preset, Reward, Workloads};
use serde_json::json;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut number = |name| option(&mut arguments, name).map(|value| value.parse::<u64>().unwrap());
    let trainings = number("--training-seeds").unwrap_or(1);
    let first_seed = number("--first-seed").unwrap_or(FIRST_HELD_OUT_SEED);
    let limit_steps = number("--limit-steps").map(|steps| u32::try_from(steps).unwrap());
    let against = option(&mut arguments, "--against");
    let only = option(&mut arguments, "--rules");
    let asked = option(&mut arguments, "--preference");
    let name = arguments.first().map_or("contended", String::as_str);
    let count: u32 = arguments.get(1).map_or(20, |count| count.parse().unwrap());
    let seeds: Vec<u64> = (first_seed..).take(count as usize).collect();
    let env = environment(name);
    let wanted = asked.map_or(Preference::EXCESS_COST, |asked| {
        let asked = serde_json::from_str(&asked).unwrap();
        Preference::asked(&asked, &env).unwrap()
    });
    let is_wanted = |rule: &Rule| {
        *rule == Rule::BASELINE
            || only.as_ref().is_none_or(|only| only.split(',').any(|name| name == rule.name()))
    };
    let rules: Vec<Rule> = Rule::ALL.into_iter().chain(Rule::REFERENCES).filter(is_wanted).collect();
    let mut contestants: Vec<Contestant> =
        rules.into_iter().map(|rule| Contestant::of_rule_for(rule, &env, wanted)).collect();
    // several of one kind, which differ in how long they were trained, have one row of what they are untrained
    let mut untrained: BTreeMap<String, Contestant> = BTreeMap::new();
    for learner in arguments.iter().skip(2) {
        let [trained, before] = trained(&env, wanted, learner, trainings);
        contestants.push(trained);
        untrained.insert(before.name.clone(), before);
    }
    contestants.extend(untrained.into_values());

    let progress = Progress::default();
    let sample = match limit_steps {
        Some(steps) => Sample::new(&env, count, Some(steps)).unwrap(),
        None => Sample::all(&env),
    };
    let achieved =
        play(&env, Reward::Preference(wanted), &contestants, &seeds, Some(&sample), &progress).unwrap();
    let limits = solve(&env, wanted, &sample, &seeds, &progress).unwrap().unwrap();

    println!(
        "`{name}`, {count} paired held-out seeds from {first_seed}, {trainings} trainings of each learner; limit of {sample}\n"
    );
    print!("{}", pooled::table(&env, &contestants, &achieved, &limits).unwrap().markdown());
    if let Some(against) = against {
        print!("\n{}", pooled::differences(&contestants, &achieved, &against).unwrap().markdown());
    }
    let mut limit = Limit::default();
    limits.iter().for_each(|of_seed| limit.merge(of_seed));
    println!(
        "\nThe highest fill is {:.4}; at that fill a request costs ${:.3} and takes {:.1} ms at least.",
        limit.fill_rate().unwrap(),
        limit.avg_cost_usd().unwrap(),
        limit.avg_latency_ms().unwrap(),
    );
}

fn environment(name: &str) -> Environment {
    let path = std::path::Path::new(name);
    if path.is_dir() {
        let read = |file| std::fs::read_to_string(path.join(file)).unwrap();
        let catalog = Catalog::parse("providers", &read("providers.json")).unwrap();
        let workloads = Workloads::parse("workloads", &read("workloads.json"), &catalog).unwrap();
        return Environment::new(catalog, workloads, Preset::Contended).unwrap();
    }
    let (preset, change) =
        name.split_once('/').map_or((name, None), |(preset, change)| (preset, Some(change)));
    let env = Environment::built_in(preset.parse().unwrap());
    let mut workloads = env.workloads().clone();
    match change.map(|change| change.strip_prefix('x').unwrap_or(change)) {
        None => return env,
        Some("no-defer") => workloads.actions.defer = false,
        Some(times) => workloads.demand_multiplier *= times.parse::<f64>().unwrap(),
    }
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
        swarm.prefer(wanted, env);
        let first = 1 + training * u64::from(episodes);
        (first..first + u64::from(episodes)).for_each(|seed| {
            swarm.play(env, seed, Reward::Preference(wanted));
        });
        swarm
    };
    let trained = Contestant::of_swarms(episodes, (0..trainings).map(train).collect());
    let untrained = Contestant::never_trained(&config, env, wanted).unwrap();
    let told = learner.splitn(4, ':').nth(3).map(|settings| format!(":{settings}")).unwrap_or_default();
    [trained.named(learner.to_owned()), untrained.named(format!("{name}:{agents}{told}, never trained"))]
}
