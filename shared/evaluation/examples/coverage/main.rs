//! How often a 95 % interval covers the truth, by simulation: ours beside those that it was chosen from.
//!
//! `cargo run --release -p evaluation --example coverage [REPETITIONS] [means|trainings|ratios]` prints three tables, or one of
//! them: means over seeds, means over trainings and seeds, and ratios. A coverage from 10,000 repetitions is known to ± 0.4 points. The same number of
//! repetitions gives the same tables.
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]
#![allow(clippy::print_stdout, reason = "it prints tables")]

mod rivals;
mod truth;

use evaluation::statistics::{Interval, Intervals, Runs};
use rand_pcg::Pcg64;
use rayon::prelude::*;

use rivals::{Resamples, Rival};
use truth::{LAWS, Law, Spread, crossed};

/// How much figures vary by training, by held-out seed, and by both together.
const SPREADS: [Spread; 8] = [
    (0.0, 1.0, 0.0),
    (0.0, 1.0, 1.0),
    (0.2, 1.0, 0.5),
    (0.5, 1.0, 0.5),
    (1.0, 1.0, 1.0),
    (0.2, 0.0, 1.0),
    (1.0, 0.3, 0.3),
    (3.0, 1.0, 0.5),
];

fn main() {
    let repetitions = std::env::args().nth(1).map_or(10_000, |count| count.parse().unwrap());
    let only = std::env::args().nth(2);
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    if is_wanted("means") {
        means(repetitions);
    }
    if is_wanted("trainings") {
        trainings(repetitions);
    }
    if is_wanted("ratios") {
        ratios(repetitions);
    }
}

/// Means over held-out seeds.
fn means(repetitions: u64) {
    println!("Coverage in %, and in brackets the median width of the interval, of means over seeds:\n");
    print!("| law | seeds |");
    Rival::ALL.iter().for_each(|rival| print!(" {} |", rival.name()));
    println!(" ours |\n|---|---|{}", "---|".repeat(Rival::ALL.len() + 1));
    for law in LAWS {
        for seeds in [10, 20, 50] {
            let (intervals, resamples) = (Intervals::new(seeds), Resamples::new(seeds));
            let found: Vec<Vec<Interval>> = (0..repetitions)
                .into_par_iter()
                .map(|repetition| {
                    let values =
                        crossed(&mut generator(repetition), law, (0.0, 1.0, 0.0), 1, seeds).remove(0);
                    let mut all: Vec<Interval> =
                        Rival::ALL.iter().map(|rival| rival.interval(&values, &resamples)).collect();
                    all.push(intervals.of_mean(&runs(&[values])).unwrap());
                    all
                })
                .collect();
            print!("| {} | {seeds} |", law.name);
            for method in 0..=Rival::ALL.len() {
                print!(" {} |", told(found.iter().map(|all| all[method]), 0.0));
            }
            println!();
        }
    }
}

/// Means over trainings and held-out seeds.
fn trainings(repetitions: u64) {
    println!("\nCoverage in % of means over trainings and seeds:\n");
    println!(
        "| law of the seeds | spread by training, seed, both | trainings | seeds | as if trained once | ours |"
    );
    println!("|---|---|---|---|---|---|");
    for (law, spread) in [LAWS[0], LAWS[4]].into_iter().flat_map(|law| SPREADS.map(|spread| (law, spread))) {
        for (trainings, seeds) in [(2, 20), (3, 20), (3, 50), (5, 20)] {
            let intervals = Intervals::new(seeds);
            let found: Vec<[Interval; 2]> = (0..repetitions)
                .into_par_iter()
                .map(|repetition| {
                    let values = crossed(&mut generator(repetition), law, spread, trainings, seeds);
                    [&values[..1], &values[..]].map(|values| intervals.of_mean(&runs(values)).unwrap())
                })
                .collect();
            let [once, ours] = [0, 1].map(|method| told(found.iter().map(|all| all[method]), 0.0));
            let (name, (a, b, c)) = (law.name, spread);
            println!("| {name} | {a}, {b}, {c} | {trainings} | {seeds} | {once} | {ours} |");
        }
    }
}

/// Ratios of means, as the share of a gap that is closed.
fn ratios(repetitions: u64) {
    println!(
        "\nCoverage in % of a ratio of means over seeds, 0.9, whose denominator varies by half of its mean:\n"
    );
    println!("| law | trainings | seeds | ours |\n|---|---|---|---|");
    for law in LAWS {
        for (trainings, seeds) in [(1, 20), (3, 20), (1, 50)] {
            let intervals = Intervals::new(seeds);
            let found = (0..repetitions).into_par_iter().filter_map(|repetition| {
                let (numerators, denominators) = shares(&mut generator(repetition), law, trainings, seeds);
                intervals.ratio(&numerators, &denominators, 0.0)
            });
            let ours = told(found.collect::<Vec<_>>().into_iter(), 0.9);
            println!("| {} | {trainings} | {seeds} | {ours} |", law.name);
        }
    }
}

/// What is gained on each seed, 0.9 of the gap on average, and the gap.
fn shares(rng: &mut Pcg64, law: Law, trainings: usize, seeds: usize) -> (Runs, Vec<Option<f64>>) {
    let gaps: Vec<f64> = (0..seeds).map(|_| (1.0 + truth::normal(rng) / 2.0).max(0.05)).collect();
    // of a policy that was trained once, this one training is what the interval is about
    let by_training = if trainings > 1 { 0.05 } else { 0.0 };
    let lost = crossed(rng, law, (by_training, 0.2, 0.05), trainings, seeds);
    let gained = |row: &Vec<f64>| row.iter().zip(&gaps).map(|(lost, gap)| Some(0.9 * gap + lost)).collect();
    (Runs::new(lost.iter().map(gained).collect()), gaps.iter().copied().map(Some).collect())
}

fn runs(rows: &[Vec<f64>]) -> Runs {
    Runs::new(rows.iter().map(|row| row.iter().copied().map(Some).collect()).collect())
}

fn generator(repetition: u64) -> Pcg64 {
    Pcg64::new(u128::from(repetition), 0x636f_7665_7261_6765)
}

fn told(found: impl Iterator<Item = Interval>, truth: f64) -> String {
    let all: Vec<Interval> = found.collect();
    let covered = all.iter().filter(|i| i.low <= truth && truth <= i.high).count();
    let mut widths: Vec<f64> = all.iter().map(|interval| interval.high - interval.low).collect();
    widths.sort_unstable_by(f64::total_cmp);
    format!("{:.1} ({:.2})", 100.0 * covered as f64 / all.len() as f64, widths[widths.len() / 2])
}
