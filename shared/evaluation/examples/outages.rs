//! What the Ψ-field makes of outages in the real environment, and of a swarm to which nothing happens, as two Markdown
//! tables: per policy and provider, how many outages an anomaly told of within three windows, how often the provider was
//! named first, and how low Ψ fell; and the anomalies of `steady` per 1,000 windows.
//!
//! `cargo run --release -p evaluation --example outages -- [SEEDS] [STEADY_WINDOWS]`
//!
//! Each outage is an episode of its own: `contended`, where at step 150 one provider is out for 12 steps, in place of the
//! random events. Only providers count that had a share of at least 10 % in the fifty windows before.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints tables")]

mod field;

use std::collections::BTreeMap;

use field::window;
use policy::{Rule, StepReport, Swarm, SwarmConfig};
use psi::{Field, Settings, answer::WindowAnswer};
use routing_env::{Catalog, Environment, Episode, Preset, Reward, ScenarioEvent};
use serde_json::json;

const AGENTS: u32 = 10;
const OUTAGE_AT: u32 = 150;
const OUTAGE_STEPS: u32 = 12;
/// A provider counts from this share on.
const LEAST_SHARE: f64 = 0.1;
/// An outage is found when an anomaly comes within so many windows.
const WITHIN: usize = 3;
const POLICIES: [&str; 3] = ["adaptive", "weighted-score", "q-learning"];

/// What a policy's outages of a provider came to.
#[derive(Default)]
struct Outages {
    all: u32,
    found: u32,
    named_first: u32,
    /// Where the provider was the swarm's main one, and Ψ fell below 0.5.
    main: u32,
    low: u32,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let seeds = arguments.next().unwrap_or(100);
    let steady = arguments.next().unwrap_or(2000);
    println!("{seeds} seeds, outages of {OUTAGE_STEPS} steps at step {OUTAGE_AT} of `contended`\n");
    println!(
        "| policy | provider | outages | found within {WITHIN} | named first | Ψ < 0.5, of the main provider's |"
    );
    println!("|---|---|---|---|---|---|");
    for policy in POLICIES {
        let mut all = Outages::default();
        for (provider, outages) in outages_of(policy, seeds) {
            row(policy, &provider, &outages);
            all.add(&outages);
        }
        row(policy, "**all**", &all);
    }
    println!("\n| policy | `steady`: windows | anomalies per 1,000 | Ψ ≥ 0.85 | mean Ψ |");
    println!("|---|---|---|---|---|");
    for policy in POLICIES {
        let (mut windows, mut anomalies, mut high, mut sum) = (0, 0, 0, 0.0);
        for seed in 0..10 {
            let env = Environment::built_in(Preset::Steady).with_steps(steady as u32);
            for answer in play(&env, policy, seed, u32::MAX).0 {
                windows += 1;
                anomalies += u32::from(answer.anomaly.is_some());
                high += u32::from(answer.state.psi.is_none_or(|psi| psi >= 0.85));
                sum += answer.state.psi.unwrap_or(0.0);
            }
        }
        println!(
            "| {policy} | {windows} | {:.2} | {:.1} % | {:.3} |",
            1000.0 * f64::from(anomalies) / f64::from(windows),
            100.0 * f64::from(high) / f64::from(windows),
            sum / f64::from(windows)
        );
    }
}

fn row(policy: &str, provider: &str, outages: &Outages) {
    let of = |count: u32, all: u32| if all == 0 { "–".into() } else { format!("{count} of {all}") };
    println!(
        "| {policy} | {provider} | {} | {} | {} | {} |",
        outages.all,
        of(outages.found, outages.all),
        of(outages.named_first, outages.all),
        of(outages.low, outages.main)
    );
}

impl Outages {
    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.found += other.found;
        self.named_first += other.named_first;
        self.main += other.main;
        self.low += other.low;
    }
}

fn outages_of(policy: &str, seeds: u64) -> BTreeMap<String, Outages> {
    let providers: Vec<String> = Catalog::built_in().providers.into_iter().map(|p| p.id).collect();
    let mut outages: BTreeMap<String, Outages> = BTreeMap::new();
    for seed in 0..seeds {
        // Until the outage all are the same episode.
        let (_, before) = play(&with_outage_of(None), policy, seed, OUTAGE_AT);
        let recent = &before[before.len() - 50..];
        let share = |provider: usize| {
            recent.iter().filter_map(|shares| shares.get(provider)).sum::<f64>() / recent.len() as f64
        };
        let main = (0..providers.len()).max_by(|a, b| share(*a).total_cmp(&share(*b))).unwrap();
        for (provider, id) in providers.iter().enumerate() {
            if share(provider) < LEAST_SHARE {
                continue;
            }
            let until = OUTAGE_AT + WITHIN as u32;
            let (answers, _) = play(&with_outage_of(Some(id)), policy, seed, until);
            let hit = &answers[OUTAGE_AT as usize..];
            let anomaly = hit.iter().find_map(|answer| answer.anomaly.as_ref());
            let name = format!("provider_shares[{provider}]");
            let outages = outages.entry(id.clone()).or_default();
            outages.all += 1;
            outages.found += u32::from(anomaly.is_some());
            outages.named_first += u32::from(anomaly.is_some_and(|a| a.channels[0].channel == name));
            if provider == main {
                outages.main += 1;
                outages.low += u32::from(hit.iter().any(|a| a.state.psi.is_some_and(|psi| psi < 0.5)));
            }
        }
    }
    outages
}

fn with_outage_of(provider: Option<&str>) -> Environment {
    let mut workloads = Environment::built_in(Preset::Contended).workloads().clone();
    (workloads.random_events, workloads.scenarios) = (0, Vec::new());
    if let Some(provider) = provider {
        workloads.scenarios.push(ScenarioEvent {
            step: OUTAGE_AT,
            event: "outage".into(),
            provider_id: provider.into(),
            multiplier: None,
            delta_ms: None,
            delta: None,
            duration: Some(OUTAGE_STEPS),
        });
    }
    Environment::new(Catalog::built_in(), workloads, Preset::Default).unwrap().with_steps(300)
}

/// The field's answers to the windows of an episode up to a step, and the shares of the providers in them.
fn play(env: &Environment, policy: &str, seed: u64, until: u32) -> (Vec<WindowAnswer>, Vec<Vec<f64>>) {
    let mut swarm = match policy.parse::<Rule>() {
        Ok(rule) => Swarm::of_rule(rule, env),
        Err(_) => Swarm::new(SwarmConfig::new(policy, &json!({}), AGENTS).unwrap(), env).unwrap(),
    };
    let mut field = Field::new("outages", "", Settings::default());
    let mut episode = Episode::new(env, seed, Reward::default());
    let mut report = StepReport::new(env);
    let (mut answers, mut shares) = (Vec::new(), Vec::new());
    swarm.begin_episode(seed);
    while answers.len() < until as usize && swarm.run_step(&mut episode, Reward::default(), &mut report) {
        let window = window(answers.len() as u64, &swarm, &report);
        shares.push(window.swarm.provider_shares.clone());
        answers.push(field.watch(&window).unwrap().answer);
    }
    (answers, shares)
}
