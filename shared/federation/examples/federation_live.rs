//! What nodes gain within an episode that tell each other what they see, in reward on held-out seeds, as tables:
//!
//! `cargo run --release -p federation --example federation_live -- [PRESET] [NODES…]`, with `--seeds N` for another number of
//! held-out seeds, and `--development` for other seeds than those, by which settings may be chosen.
//!
//! One world, whose requests are dealt out to so many nodes; neither capacities nor budgets bind. Each node is `adaptive` that
//! was never trained, sees what comes of its own requests, and hears what the others saw so many steps ago. All play the same
//! requests, of which the same job has the same fate whoever sends it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

#[path = "support/sites.rs"]
mod sites;

use evaluation::statistics::{Interval, Intervals, Runs};
use rayon::prelude::*;
use routing_env::Preset;

use sites::{Guard, Lie, Played, World};

const FIRST_HELD_OUT: u64 = 1 << 32;
const FIRST_OF_DEVELOPMENT: u64 = 1_000_000;
/// Of an episode.
const STEPS: u32 = 120;
const LATE: [u64; 4] = [1, 2, 5, 10];

/// What is compared, in the order of the tables.
struct Compared {
    name: String,
    late: Option<(u64, Option<Lie>, Guard)>,
}

/// What the episodes of a seed came to.
struct OfSeed {
    /// `bid-price`, the same informed, one that sees all, nodes alone.
    references: Vec<Played>,
    so: Vec<Played>,
}

/// A row: of each seed the reward per request of the honest nodes, alone and so, and of one node that sees all.
struct Row {
    name: String,
    alone: Vec<f64>,
    reached: Vec<f64>,
    sees_all: Vec<f64>,
    /// Honest authors at a step, and those who were left out.
    honest: (u64, u64),
    lying: (u64, u64),
}

fn main() {
    let mut told: Vec<String> = std::env::args().skip(1).collect();
    let is_development = told.iter().any(|word| word == "--development");
    told.retain(|word| word != "--development");
    let mut seeds = 20;
    if let Some(at) = told.iter().position(|word| word == "--seeds") {
        seeds = told.remove(at + 1).parse().unwrap();
        told.remove(at);
    }
    let mut told = told.into_iter();
    let preset: Preset = told.next().unwrap_or_else(|| "drifting".into()).parse().unwrap();
    let nodes: Vec<u32> = told.map(|nodes| nodes.parse().unwrap()).collect();
    let first = if is_development { FIRST_OF_DEVELOPMENT } else { FIRST_HELD_OUT };
    for nodes in if nodes.is_empty() { vec![5, 20] } else { nodes } {
        table(preset, nodes, first..first + seeds);
    }
}

fn table(preset: Preset, nodes: u32, seeds: std::ops::Range<u64>) {
    let world = World::new(preset, nodes, STEPS);
    let honest = |late| Compared {
        name: format!("others' evidence, {late} late"),
        late: Some((late, None, Guard::On)),
    };
    let mut compared: Vec<Compared> = LATE.map(honest).into();
    compared.push(Compared { name: "1 late, no guard".into(), late: Some((1, None, Guard::Off)) });
    for lie in Lie::ALL.into_iter().filter(|lie| lie.liars() * 3 <= nodes) {
        let name = format!("1 late, {}", lie.name());
        compared.push(Compared { name, late: Some((1, Some(lie), Guard::On)) });
    }
    let lie = Lie::AllFailed;
    let name = format!("1 late, no guard, {}", lie.name());
    compared.push(Compared { name, late: Some((1, Some(lie), Guard::Off)) });
    let played: Vec<OfSeed> = seeds
        .clone()
        .into_par_iter()
        .map(|seed| {
            let references =
                ["bid-price", "bid-price-informed", "adaptive"].map(|name| world.whole(name, seed));
            let alone = world.sites(seed, None);
            let so = compared.iter().map(|one| world.sites(seed, one.late));
            OfSeed { references: references.into_iter().chain([alone]).collect(), so: so.collect() }
        })
        .collect();
    let intervals = Intervals::new(played.len());
    println!("\n{preset}, {nodes} nodes, seeds {} to {}\n", seeds.start, seeds.end - 1);
    println!(
        "| nodes | policy | reward per request | beyond alone | of the way from alone to one that sees all | honest left out | liars left out |"
    );
    println!("|---|---|---|---|---|---|---|");
    let of_reference =
        |at: usize| -> Vec<f64> { played.iter().map(|of| of.references[at].reward(0..)).collect() };
    for (at, name) in ["bid-price", "bid-price-informed", "one that sees all", "alone"].iter().enumerate() {
        let rewards = of_reference(at);
        let beyond = difference(&intervals, &rewards, &of_reference(3));
        println!(
            "| {nodes} | {name} | {:.3} | {} | | | |",
            mean(&rewards),
            if at == 3 { String::new() } else { beyond }
        );
    }
    for (at, Compared { name, late }) in compared.into_iter().enumerate() {
        let liars = late.and_then(|(_, lie, _)| lie).map_or(0, Lie::liars) as usize;
        let of = |which: &dyn Fn(&OfSeed) -> &Played| -> Vec<f64> {
            played.iter().map(|played| which(played).reward(liars..)).collect()
        };
        let sum = |which: fn(&Played) -> (u64, u64)| {
            let all = played.iter().map(|of| which(&of.so[at]));
            all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        Row {
            name,
            alone: of(&|of| &of.references[3]),
            sees_all: of(&|of| &of.references[2]),
            reached: of(&|of| &of.so[at]),
            honest: sum(|played| played.honest),
            lying: sum(|played| played.lying),
        }
        .print(nodes, &intervals);
    }
}

impl Row {
    fn print(&self, nodes: u32, intervals: &Intervals) {
        let runs = |one: &[f64], other: &[f64]| -> Vec<Option<f64>> {
            one.iter().zip(other).map(|(one, other)| Some(one - other)).collect()
        };
        let (gained, way) = (runs(&self.reached, &self.alone), runs(&self.sees_all, &self.alone));
        let share = intervals.ratio(&Runs::new(vec![gained]), &way, 0.0);
        let share = share.map_or("–".into(), |Interval { mean, low, high }| {
            format!("{:.0} % ({:.0} to {:.0})", 100.0 * mean, 100.0 * low, 100.0 * high)
        });
        let out = |(all, out): (u64, u64)| {
            if all == 0 { String::new() } else { format!("{:.2} %", 100.0 * out as f64 / all as f64) }
        };
        println!(
            "| {nodes} | {} | {:.3} | {} | {share} | {} | {} |",
            self.name,
            mean(&self.reached),
            difference(intervals, &self.reached, &self.alone),
            out(self.honest),
            out(self.lying)
        );
    }
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

fn difference(intervals: &Intervals, one: &[f64], other: &[f64]) -> String {
    let differences = one.iter().zip(other).map(|(one, other)| Some(one - other)).collect();
    let interval = intervals.of_mean(&Runs::new(vec![differences]));
    interval
        .map_or(String::new(), |Interval { mean, low, high }| format!("{mean:+.3} ({low:+.3} to {high:+.3})"))
}
