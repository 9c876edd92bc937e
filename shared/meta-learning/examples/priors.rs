//! What a prior is worth in worlds that nobody has seen, as a table and a chart (`priors.svg` beside the prior):
//!
//! `cargo run --release -p meta-learning --example priors -- PRIOR [WORLDS [TRAININGS [EPISODES]]] [--preset NAME | --built-in]`
//!
//! In each world the learner is trained with and without the prior, by default in 20 worlds, 5 trainings of 10 episodes each.
//! All are judged, frozen, on the same held-out episodes, beside the limit, and beside `bid-price` and an `adaptive` that was
//! never trained. With `--preset` the worlds are one: that preset of the built-in files. With `--built-in` they are presets and
//! loads of the built-in files that meta-training cannot draw, which is what a prior of `q-learning` is for.
//!
//! `… priors -- PRIOR --preset NAME --first-steps 5 100`: what a learner that was never trained earns in the first 5 steps of
//! 100 held-out episodes, with the prior and without.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

use std::{fs, path::Path};

use evaluation::statistics::{Interval, Intervals, Runs};
use meta_learning::{
    curves::{Curves, Look, curves, first_steps, in_environment},
    worlds::World,
};
use plots::{Block, Colour, Curve, CurvePanel, Figure, Role};
use policy::{Prior, Swarm, SwarmConfig};
use rayon::prelude::*;
use routing_env::{Environment, Preset};
use serde_json::json;

/// Steps of an episode.
const EPISODE: u64 = 120;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let preset = arguments.iter().position(|argument| argument == "--preset").map(|at| {
        let preset: Preset = arguments[at + 1].parse().unwrap();
        arguments.drain(at..at + 2);
        preset
    });
    let first = arguments.iter().position(|argument| argument == "--first-steps").map(|at| {
        let mut numbers = arguments.drain(at..at + 3).skip(1).map(|given| given.parse::<u32>().unwrap());
        (numbers.next().unwrap(), u64::from(numbers.next().unwrap()))
    });
    let built_in = arguments.iter().position(|argument| argument == "--built-in");
    built_in.map(|at| arguments.remove(at));
    let path = arguments.first().expect("expected the file of a prior");
    let number = |at: usize, usual: u32| arguments.get(at).map_or(usual, |given| given.parse().unwrap());
    let (worlds, trainings, episodes) = (number(1, 20), number(2, 5), u64::from(number(3, 10)));
    let prior = Prior::parse(&fs::read(path).unwrap()).unwrap();
    let config = SwarmConfig::new(&prior.algorithm, &json!({}), 1).unwrap();
    if let Some((steps, episodes)) = first {
        let env = Environment::built_in(preset.expect("expected --preset beside --first-steps"));
        tell_first_steps(&env, &config, &prior, (steps, episodes));
        return;
    }
    let early = [0, 2, 5, 10, 20, 40, 80].into_iter();
    let look = Look {
        after_steps: early.chain((1..=episodes).map(|episode| episode * EPISODE)).collect(),
        training_seeds: (0..trainings).map(|training| 1 + 1000 * u64::from(training)).collect(),
        held_out: vec![1 << 32, (1 << 32) + 1],
        limit_steps: 40,
        beside: SwarmConfig::new("adaptive", &json!({}), 1).unwrap(),
    };
    let all: Vec<(String, Curves)> = match preset {
        Some(preset) => {
            let env = Environment::built_in(preset);
            vec![(preset.to_string(), in_environment(&env, &config, &prior, &look).unwrap())]
        }
        None => match built_in {
            Some(_) => World::first_in(&Environment::built_in(Preset::Default), worlds),
            None => World::first(worlds),
        }
        .unwrap()
        .par_iter()
        .map(|world| {
            let (env, seed) = (world.env(), world.seed());
            let name = format!("{seed} {} ×{}", env.preset(), env.catalog().providers.len());
            (name, curves(world, &config, &prior, &look).unwrap())
        })
        .collect(),
    };
    tell(&prior, &all);
    let chart = Path::new(path).with_extension("svg");
    fs::write(&chart, figure(&prior, &all, &look).svg().unwrap()).unwrap();
    println!("chart: {}", chart.display());
}

/// What is earned in the first steps of so many held-out episodes.
fn tell_first_steps(env: &Environment, config: &SwarmConfig, prior: &Prior, (steps, episodes): (u32, u64)) {
    let held_out: Vec<u64> = (0..episodes).map(|episode| (1 << 32) + episode).collect();
    let scratch = first_steps(env, Swarm::new(config.clone(), env).unwrap(), &held_out, steps);
    let with = Swarm::with_prior(config.clone(), env, prior).unwrap();
    let with = first_steps(env, with, &held_out, steps);
    let differences: Vec<Option<f64>> =
        with.iter().zip(&scratch).map(|(with, scratch)| Some(with - scratch)).collect();
    let difference = Intervals::new(differences.len()).of_mean(&Runs::from(differences)).unwrap();
    let mean = |rewards: &[f64]| rewards.iter().sum::<f64>() / rewards.len() as f64;
    println!(
        "{} on {}, the first {steps} steps of {episodes} episodes, a request: from scratch {:.3}, with the prior {:.3}, \
         prior − scratch {:+.4} [{:+.4}, {:+.4}]",
        prior.algorithm,
        env.preset(),
        mean(&scratch),
        mean(&with),
        difference.mean,
        difference.low,
        difference.high
    );
}

/// How both did in a world, by look.
struct Row {
    scratch: Vec<f64>,
    with: Vec<f64>,
    /// Decisions until 90 % of what scratch ends with: scratch / prior.
    ratio: Option<f64>,
}

/// One row a world, then what holds over all of them.
fn tell(prior: &Prior, all: &[(String, Curves)]) {
    let episodes = all[0].1.scratch.decisions.len() - 7;
    println!("prior of {}, learning {}", prior.algorithm, prior.learning);
    println!(
        "{:38} {:>7} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>5}",
        "world",
        "gap",
        "bid-price",
        "adaptive",
        "scratch 0",
        "1",
        episodes,
        "prior 0",
        "1",
        episodes,
        "until 90%",
        "prior",
        "left"
    );
    let mut rows: Vec<Row> = Vec::new();
    for (name, curves) in all {
        let (scratch, with) = (curves.scratch.mean(), curves.prior.mean());
        let (last, first_episode) = (scratch.len() - 1, 7);
        let target = 0.9 * scratch[last];
        let until = [curves.scratch.decisions_until(target), curves.prior.decisions_until(target)];
        let told = until.map(|until| until.map_or("never".into(), |until| format!("{until:.0}")));
        let left = curves.prior.left_prior.iter().filter(|left| **left).count();
        println!(
            "{name:38} {:7.2} {:9.3} {:9.3} | {:9.3} {:9.3} {:9.3} | {:9.3} {:9.3} {:9.3} | {:>9} {:>9} {left:5}",
            curves.gap,
            curves.rule,
            curves.beside,
            scratch[0],
            scratch[first_episode],
            scratch[last],
            with[0],
            with[first_episode],
            with[last],
            told[0],
            told[1],
        );
        // a prior that is there before the first decision counts as if it had taken one step
        let one_step = curves.prior.decisions[1] / 2.0;
        let ratio = until[0].zip(until[1]).map(|(scratch, prior)| scratch / prior.max(one_step));
        rows.push(Row { scratch, with, ratio });
    }
    let sorted = |of: &dyn Fn(&Row) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let quantile = |values: &[f64], share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let told = |difference: Option<Interval>| {
        difference.map_or("-".into(), |i| format!("{:+.3} [{:+.3}, {:+.3}]", i.mean, i.low, i.high))
    };
    let last = rows[0].scratch.len() - 1;
    for (what, look) in [("at episode 0", 0), ("after 1 episode", 7), ("at the end", last)] {
        let (scratch, with) = (sorted(&|row| row.scratch[look]), sorted(&|row| row.with[look]));
        let differences: Vec<Option<f64>> =
            rows.iter().map(|row| Some(row.with[look] - row.scratch[look])).collect();
        let difference = Intervals::new(rows.len()).of_mean(&Runs::from(differences));
        println!(
            "{what}: gap closed, median / worst tenth: scratch {:.3} / {:.3}, prior {:.3} / {:.3}; prior − scratch {}",
            quantile(&scratch, 0.5),
            quantile(&scratch, 0.1),
            quantile(&with, 0.5),
            quantile(&with, 0.1),
            told(difference)
        );
    }
    let untrained: Vec<Option<f64>> =
        all.iter().zip(&rows).map(|((_, curves), row)| Some(row.with[0] - curves.beside)).collect();
    let mut of_untrained: Vec<f64> = all.iter().map(|(_, curves)| curves.beside).collect();
    of_untrained.sort_by(f64::total_cmp);
    let behind = Intervals::new(rows.len()).of_mean(&Runs::from(untrained));
    println!(
        "adaptive, never trained: median / worst tenth {:.3} / {:.3}; the prior at episode 0 − adaptive {}",
        quantile(&of_untrained, 0.5),
        quantile(&of_untrained, 0.1),
        told(behind)
    );
    let mut ratios: Vec<f64> = rows.iter().filter_map(|row| row.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
    println!("decisions until 90 % of what scratch ends with, scratch / prior: median {median:.0}");
    let stuck = rows.iter().filter(|row| row.with[last] < row.scratch[last] - 0.05).count();
    println!("stuck more than 5 points below scratch at the end: {stuck} of {}", rows.len());
}

/// The median world's gap over decisions.
fn figure(prior: &Prior, all: &[(String, Curves)], look: &Look) -> Figure {
    let median = |of: &dyn Fn(&Curves) -> &meta_learning::curves::Curve, look: usize| {
        let mut values: Vec<f64> = all.iter().map(|(_, curves)| of(curves).mean()[look]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let curve = |label: &str, colour: Colour, of: &dyn Fn(&Curves) -> &meta_learning::curves::Curve| {
        let points = look
            .after_steps
            .iter()
            .enumerate()
            .map(|(i, steps)| (*steps as f64 / EPISODE as f64, Some(100.0 * median(of, i))));
        Curve::line(label, colour, points.collect::<Vec<_>>())
    };
    let panel = CurvePanel {
        height: 240,
        ..CurvePanel::new(
            "% of the gap closed, median of the worlds",
            vec![
                curve("with the prior", Role::Learned.colour(), &|curves| &curves.prior),
                curve("from scratch", Role::Untrained.colour(), &|curves| &curves.scratch),
            ],
        )
    };
    Figure {
        name: "priors",
        title: format!("How {} learns a world that it has not seen", prior.algorithm),
        caption: "Frozen policies on held-out episodes, between the baseline (0 %) and the limit (100 %)."
            .into(),
        blocks: vec![Block::Curves(plots::Curves {
            x_title: "episodes of training".into(),
            panels: vec![panel],
        })],
    }
}
