//! `examples/coverage` in small: 95 % intervals cover the truth in at least 94 % of all cases.

use evaluation::statistics::{Interval, Intervals, Runs};
use rand_pcg::Pcg64;
use rayon::prelude::*;

use crate::truth::{LAWS, Law, Spread, crossed, normal};

/// As many cases as cost a few seconds; the same ones each time.
const CASES: u64 = 1000;

/// Two standard errors of a coverage of 94 % over so many cases: √(.94 · .06 / 1000).
const SIMULATION_ERROR: f64 = 2.0 * 0.00751;

fn covered(intervals: impl Fn(&mut Pcg64) -> (Option<Interval>, f64) + Sync) -> f64 {
    let case = |case: u64| {
        let mut rng = Pcg64::new(u128::from(case), 0x7465_7374);
        let (interval, truth) = intervals(&mut rng);
        interval.is_some_and(|interval| interval.low <= truth && truth <= interval.high)
    };
    let hits = (0..CASES).into_par_iter().filter(|i| case(*i)).count();
    hits as f64 / CASES as f64
}

fn of_means(law: Law, spread: Spread, trainings: usize, seeds: usize) -> f64 {
    let intervals = Intervals::new(seeds);
    covered(|rng| {
        let rows = crossed(rng, law, spread, trainings, seeds);
        let runs = Runs::new(rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect());
        (intervals.of_mean(&runs), 0.0)
    })
}

fn holds(coverage: f64, what: &str) {
    assert!(coverage >= 0.94 - SIMULATION_ERROR, "{what}: {coverage}");
}

#[test]
fn over_twenty_seeds_also_of_skewed_figures() {
    for law in LAWS {
        holds(of_means(law, (0.0, 1.0, 0.0), 1, 20), law.name);
    }
}

#[test]
fn over_three_trainings_whatever_varies_most() {
    for spread in [(0.0, 1.0, 0.0), (0.2, 1.0, 0.5), (1.0, 1.0, 1.0), (0.2, 0.0, 1.0), (3.0, 1.0, 0.5)] {
        holds(of_means(LAWS[0], spread, 3, 20), &format!("{spread:?}"));
        holds(of_means(LAWS[4], spread, 3, 20), &format!("{spread:?}, skewed"));
    }
}

#[test]
fn as_if_trained_once_would_be_far_from_it_where_trainings_vary() {
    let coverage = of_means(LAWS[0], (1.0, 1.0, 1.0), 1, 20);
    assert!(coverage < 0.6, "{coverage}");
}

#[test]
fn of_ratios_too() {
    let intervals = Intervals::new(20);
    for law in LAWS {
        let coverage = covered(|rng| {
            let gaps: Vec<f64> = (0..20).map(|_| (1.0 + normal(rng) / 2.0).max(0.05)).collect();
            let lost = crossed(rng, law, (0.0, 0.2, 0.0), 1, 20).remove(0);
            let gained = lost.iter().zip(&gaps).map(|(lost, gap)| Some(0.9 * gap + lost));
            let gaps: Vec<Option<f64>> = gaps.iter().copied().map(Some).collect();
            (intervals.ratio(&Runs::from(gained.collect::<Vec<_>>()), &gaps, 0.0), 0.9)
        });
        holds(coverage, law.name);
    }
}
