//! What the Ψ-field's interventions are worth: the same run without the field, with interventions that are obeyed, and with
//! interventions that are tried in forks first, as two Markdown tables.
//!
//! `cargo run --release -p evaluation --example interventions -- [SEEDS] [SEEDS_A_PRESET] [NIGREDO_SHARE] [NIGREDO_KEPT]`
//! (of seeds at least two, for there are intervals)
//!
//! The first table is of a change of regime: in the middle of an episode of `contended`, without its random events, two
//! providers become three times as dear and a third one goes away, all for good. The second is of every preset as it is.
//! Differences are of the mean reward a window over the whole run, with Student's 95 % interval over the seeds.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints tables")]

mod field;

use field::window;
use policy::{Command, StepReport, Swarm, SwarmConfig, trial};
use psi::{
    Field, Settings,
    intervention::{Intervention, InterventionKind},
    window::{Trial, Window},
};
use rand::seq::SliceRandom;
use routing_env::{Catalog, Environment, Episode, Preset, Reward, ScenarioEvent, Stream, generator};
use serde_json::json;
use statrs::distribution::{ContinuousCDF, StudentsT};

const AGENTS: u32 = 10;
/// The steps of the episode in which the regime changes, and when it does.
const STEPS: u32 = 1200;
const CHANGE_AT: u32 = 600;
/// Every preset is played for so many episodes.
const EPISODES: u64 = 10;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Alone,
    Obeyed,
    Tried,
}

/// What a run came to.
#[derive(Default)]
struct Played {
    /// By window.
    rewards: Vec<f64>,
    proposed: u32,
    adopted: u32,
    windows_tried: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<f64>().unwrap());
    let seeds = arguments.next().unwrap_or(20.0) as u64;
    let seeds_a_preset = arguments.next().unwrap_or(5.0) as u64;
    let mut settings = Settings::default();
    settings.nigredo_share = arguments.next().unwrap_or(settings.nigredo_share);
    settings.nigredo_kept = arguments.next().unwrap_or(settings.nigredo_kept);
    println!(
        "{seeds} seeds, {seeds_a_preset} a preset; nigredo for {:.0} % of the agents, {:.0} % kept\n",
        100.0 * settings.nigredo_share,
        100.0 * settings.nigredo_kept
    );
    header("regime change");
    for learner in ["q-learning", "afterstate", "cem", "adaptive"] {
        let change = |seed| (with_change(seed), 1);
        row(learner, learner, seeds, &change, &settings);
    }
    println!();
    header("preset");
    for preset in Preset::ALL {
        let as_it_is = |_| (Environment::built_in(preset), EPISODES);
        row(preset.name(), "adaptive", seeds_a_preset, &as_it_is, &settings);
    }
}

fn header(of: &str) {
    println!(
        "| {of} | obeyed − without | proposed a run | tried − without | adopted a run | windows in forks a window |"
    );
    println!("|---|---|---|---|---|---|");
}

fn row(
    name: &str,
    learner: &str,
    seeds: u64,
    world: &dyn Fn(u64) -> (Environment, u64),
    settings: &Settings,
) {
    let play = |mode| -> Vec<Played> {
        (0..seeds)
            .map(world)
            .zip(0..)
            .map(|((env, episodes), seed)| play(&env, episodes, learner, seed * 1000, mode, settings))
            .collect()
    };
    let (alone, obeyed, tried) = (play(Mode::Alone), play(Mode::Obeyed), play(Mode::Tried));
    let a_run =
        |of: fn(&Played) -> u32| tried.iter().map(|run| f64::from(of(run))).sum::<f64>() / seeds as f64;
    let windows: usize = tried.iter().map(|run| run.rewards.len()).sum();
    println!(
        "| {name} | {} | {:.1} | {} | {:.2} | {:.2} |",
        difference(&obeyed, &alone),
        obeyed.iter().map(|run| f64::from(run.proposed)).sum::<f64>() / seeds as f64,
        difference(&tried, &alone),
        a_run(|run| run.adopted),
        tried.iter().map(|run| run.windows_tried).sum::<u64>() as f64 / windows as f64,
    );
}

/// The mean difference with its interval.
fn difference(with: &[Played], without: &[Played]) -> String {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all: Vec<f64> = with.iter().zip(without).map(|(a, b)| mean(&a.rewards) - mean(&b.rewards)).collect();
    let n = all.len() as f64;
    let variance = all.iter().map(|d| (d - mean(&all)).powi(2)).sum::<f64>() / (n - 1.0);
    let half = StudentsT::new(0.0, 1.0, n - 1.0).unwrap().inverse_cdf(0.975) * (variance / n).sqrt();
    format!("{:+.4} ({:+.4} to {:+.4})", mean(&all), mean(&all) - half, mean(&all) + half)
}

fn with_change(seed: u64) -> Environment {
    let mut workloads = Environment::built_in(Preset::Contended).workloads().clone();
    (workloads.random_events, workloads.scenarios) = (0, Vec::new());
    let mut providers: Vec<String> = Catalog::built_in().providers.into_iter().map(|p| p.id).collect();
    providers.shuffle(&mut generator(seed, Stream::Events));
    for (number, provider_id) in providers.into_iter().take(3).enumerate() {
        let is_dear = number < 2;
        workloads.scenarios.push(ScenarioEvent {
            step: CHANGE_AT,
            event: if is_dear { "price_spike" } else { "outage" }.into(),
            provider_id,
            multiplier: is_dear.then_some(3.0),
            delta_ms: None,
            delta: None,
            duration: Some(STEPS),
        });
    }
    Environment::new(Catalog::built_in(), workloads, Preset::Default).unwrap().with_steps(STEPS)
}

fn play(
    env: &Environment,
    episodes: u64,
    learner: &str,
    first_seed: u64,
    mode: Mode,
    settings: &Settings,
) -> Played {
    let config = SwarmConfig::new(learner, &json!({}), AGENTS).unwrap();
    let mut swarm = Swarm::new(config, env).unwrap();
    let mut field = Field::new("interventions", "", settings.clone());
    let mut report = StepReport::new(env);
    let mut played = Played::default();
    let mut trials = Vec::new();
    for seed in first_seed..first_seed + episodes {
        let mut episode = Episode::new(env, seed, Reward::default());
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, Reward::default(), &mut report) {
            played.rewards.push(report.metrics.overall.avg_reward().unwrap_or(0.0));
            if mode == Mode::Alone {
                continue;
            }
            let number = played.rewards.len() as u64 - 1;
            let told = Window { trials: std::mem::take(&mut trials), ..window(number, &swarm, &report) };
            for intervention in field.step(&told).unwrap().answer.interventions {
                played.proposed += 1;
                let command = command(&intervention);
                let adopted = mode == Mode::Obeyed || {
                    let may_try = trial::is_affordable(played.windows_tried, number);
                    let targets = intervention.targets.as_slice();
                    let effect = may_try
                        .then(|| trial::trial(&swarm, &episode, (command, targets), (first_seed, number)))
                        .flatten();
                    played.windows_tried += effect.map_or(0, |effect| effect.windows_played());
                    effect.is_some_and(|effect| effect.is_gain())
                };
                if adopted {
                    played.adopted += 1;
                    swarm.apply(command, &intervention.targets);
                }
                trials.push(Trial { intervention: intervention.id, adopted, effect: None });
            }
        }
        swarm.end_episode();
    }
    played
}

fn command(intervention: &Intervention) -> Command {
    let parameters = &intervention.parameters;
    match intervention.kind {
        InterventionKind::Nigredo => Command::Nigredo { kept: parameters.evidence_kept.unwrap_or(0.0) },
        InterventionKind::Albedo => Command::Albedo {
            factor: parameters.epsilon_factor.unwrap(),
            max: parameters.epsilon_max.unwrap(),
            windows: parameters.duration_windows.unwrap(),
        },
    }
}
