//! Whether the field finds a level that shifts for good, in one channel of four, and which agent's own level did.
//!
//! `cargo run --release -p psi --example shifts -- [SERIES] [WINDOWS BEFORE]`
//!
//! Each series is quiet for so many windows (600) and then shifts; it is found when an anomaly comes within five windows.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

use psi::{
    Field, Settings,
    window::{AgentWindow, SwarmWindow, Window},
};
use rand::{RngExt as _, SeedableRng};
use rand_distr::{Distribution, Exp1, LogNormal, StandardNormal, StudentT};
use rand_pcg::Pcg64Mcg;

/// A shift is found within so many windows.
const WITHIN: u64 = 5;

/// Draws the four channels of a window, each with a deviation of 1.
type Draw = Box<dyn FnMut(&mut Pcg64Mcg) -> [f64; 4]>;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let series = arguments.next().unwrap_or(400);
    let before = arguments.next().unwrap_or(600);
    println!("{series} series each, quiet for {before} windows\n");
    println!("| four channels, of which one shifts for good | by 5 deviations | by 7 | by 10 |");
    println!("|---|---|---|---|");
    for name in kinds().map(|(name, _)| name) {
        let found = |by: f64| {
            let found = (0..series).filter(|seed| is_found(name, *seed, before, by)).count();
            format!("{:.1} %", 100.0 * found as f64 / series as f64)
        };
        println!("| {name} | {} | {} | {} |", found(5.0), found(7.0), found(10.0));
    }
    println!("\n| agents | found within {WITHIN} windows | the first of those named is one of them |");
    println!("|---|---|---|");
    for case in CASES {
        let (mut found, mut named) = (0, 0);
        let count = series.min(case.most);
        for seed in 0..count {
            let (is_found, is_named) = case.play(seed, before);
            found += u64::from(is_found);
            named += u64::from(is_named);
        }
        println!("| {} | {found} of {count} | {named} of {count} |", case.what);
    }
}

fn kinds() -> impl Iterator<Item = (&'static str, Draw)> {
    let normal = |g: &mut Pcg64Mcg| -> f64 { StandardNormal.sample(g) };
    let each = |mut draw: Box<dyn FnMut(&mut Pcg64Mcg) -> f64>| -> Draw {
        Box::new(move |g| std::array::from_fn(|_| draw(g)))
    };
    let (t5, spread) = (StudentT::new(5.0).unwrap(), LogNormal::new(0.0, 1.0).unwrap());
    let lognormal_deviation = f64::sqrt((f64::exp(1.0) - 1.0) * f64::exp(1.0));
    let mut levels = [0.0; 4];
    let all: Vec<(&'static str, Draw)> = vec![
        ("normal", each(Box::new(normal))),
        ("t5", each(Box::new(move |g| t5.sample(g) / f64::sqrt(5.0 / 3.0)))),
        (
            "AR(1) .8",
            Box::new(move |g| {
                levels = levels.map(|level| 0.8 * level + 0.6 * normal(g));
                levels
            }),
        ),
        (
            "normal, correlated .8",
            Box::new(move |g| {
                let common = normal(g);
                std::array::from_fn(|_| f64::sqrt(0.8) * common + f64::sqrt(0.2) * normal(g))
            }),
        ),
        ("exponential", each(Box::new(|g| Exp1.sample(g)))),
        ("lognormal", each(Box::new(move |g| spread.sample(g) / lognormal_deviation))),
    ];
    all.into_iter()
}

fn is_found(kind: &str, seed: u64, before: u64, by: f64) -> bool {
    let mut draw = kinds().find(|(name, _)| *name == kind).unwrap().1;
    let mut generator = Pcg64Mcg::seed_from_u64(seed);
    let mut field = Field::new("shifts", "", Settings::default());
    let channel = (seed % 4) as usize;
    let mut is_found = false;
    for number in 0..before + WITHIN {
        let mut values = draw(&mut generator);
        if number >= before {
            values[channel] += by;
        }
        let [reward, fill, cost, latency] = values;
        let swarm = SwarmWindow {
            mean_reward: Some(40.0 + reward),
            fill_rate: Some(40.0 + fill),
            avg_cost: Some(40.0 + cost),
            avg_latency_ms: Some(40.0 + latency),
            ..SwarmWindow::default()
        };
        let answer = field.step(&window(number, swarm, Vec::new())).expect("the next window").answer;
        is_found |= number >= before && answer.anomaly.is_some();
    }
    is_found
}

/// Agents of whom some fall; each has a level of its own, with a deviation of 1.
struct Case {
    what: &'static str,
    agents: u32,
    /// The first so many fall, by so many deviations; agents without a reward make no decisions any more.
    fall: u32,
    by: Option<f64>,
    /// The share of windows in which an agent is away.
    away: f64,
    /// Series of it, at most.
    most: u64,
}

const CASES: [Case; 6] = [
    Case { what: "one of ten falls by 30", agents: 10, fall: 1, by: Some(30.0), away: 0.0, most: 100 },
    Case { what: "one of 100 falls by 30", agents: 100, fall: 1, by: Some(30.0), away: 0.0, most: 100 },
    Case { what: "one of 1,000 falls by 30", agents: 1000, fall: 1, by: Some(30.0), away: 0.0, most: 20 },
    Case {
        what: "one of 100 decides nothing any more",
        agents: 100,
        fall: 1,
        by: None,
        away: 0.0,
        most: 100,
    },
    Case {
        what: "one of 1,000 decides nothing any more",
        agents: 1000,
        fall: 1,
        by: None,
        away: 0.0,
        most: 20,
    },
    Case {
        what: "all five fall by 10, half of them away in each window",
        agents: 5,
        fall: 5,
        by: Some(10.0),
        away: 0.5,
        most: 100,
    },
];

impl Case {
    /// Whether it is found, and whether somebody who fell is named first.
    fn play(&self, seed: u64, before: u64) -> (bool, bool) {
        let mut generator = Pcg64Mcg::seed_from_u64(seed);
        let mut field = Field::new("agents", "", Settings::default());
        // who falls is another one in each series
        let first = (seed % u64::from(self.agents)) as u32;
        let falls = |agent: u32| (agent + self.agents - first) % self.agents < self.fall;
        let mut named = None;
        for number in 0..before + WITHIN {
            let mut agents = Vec::new();
            for agent in 0..self.agents {
                let noise: f64 = StandardNormal.sample(&mut generator);
                let is_away = generator.random::<f64>() < self.away;
                let has_fallen = number >= before && falls(agent);
                let by = if has_fallen { self.by.unwrap_or_default() } else { 0.0 };
                let is_dead = has_fallen && self.by.is_none();
                if is_away {
                    continue;
                }
                let reward = 40.0 + 10.0 * f64::from(agent % 10) + noise - by;
                agents.push(AgentWindow {
                    agent,
                    mean_reward: (!is_dead).then_some(reward),
                    mean_abs_td_error: None,
                    epsilon: 0.0,
                    q_table_size: 100,
                    decisions: if is_dead { 0 } else { 10 },
                });
            }
            let rewards: Vec<f64> = agents.iter().filter_map(|agent| agent.mean_reward).collect();
            let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
            let swarm = SwarmWindow {
                mean_reward: (!rewards.is_empty()).then_some(mean),
                fill_rate: Some(0.97),
                ..SwarmWindow::default()
            };
            let answer = field.step(&window(number, swarm, agents)).expect("the next window").answer;
            if let Some(anomaly) = answer.anomaly.filter(|_| number >= before && named.is_none()) {
                named = Some(anomaly.agents.first().map(|deviation| deviation.agent));
            }
        }
        (named.is_some(), named.flatten().is_some_and(falls))
    }
}

fn window(number: u64, swarm: SwarmWindow, agents: Vec<AgentWindow>) -> Window {
    Window {
        number,
        time: None,
        agents,
        swarm,
        channels: std::collections::BTreeMap::new(),
        acknowledged: Vec::new(),
        trials: Vec::new(),
    }
}
