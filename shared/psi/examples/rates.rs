//! How often the field is surprised by what never changes: the share of windows with PE > 0.7, anomalies and nigredos, for
//! series of many kinds. A share of .001 is what the default settings promise.
//!
//! `cargo run --release -p psi --example rates -- [WINDOWS] [NAME…]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

use std::collections::BTreeMap;

use psi::{
    Field, SURPRISE, Settings,
    intervention::InterventionKind,
    window::{SwarmWindow, Window},
};
use rand::SeedableRng;
use rand_distr::{ChiSquared, Distribution, Exp1, LogNormal, StandardNormal, StudentT, Uniform};
use rand_pcg::Pcg64Mcg;

/// Records die out; the level is judged after so many windows.
const LEARNED: u64 = 2000;

/// Draws a window's values: the swarm's reward, and others that move with it.
type Draw = Box<dyn FnMut(&mut Pcg64Mcg, u64) -> Vec<f64>>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let windows: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let wanted: Vec<String> = arguments.collect();
    println!("{windows} windows each, seed 1");
    println!(
        "| series | PE > 0.7, windows 100 to 2,000 | PE > 0.7, after | anomalies per 1,000 | nigredos per 1,000 |"
    );
    println!("|---|---|---|---|---|");
    for (name, draw) in series() {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            row(name, draw, windows);
        }
    }
}

fn row(name: &str, mut draw: Draw, windows: u64) {
    let mut generator = Pcg64Mcg::seed_from_u64(1);
    let mut field = Field::new("rates", "", Settings::default());
    let (mut early, mut late, mut anomalies, mut nigredos) = (0, 0, 0, 0);
    for number in 0..windows {
        let values = draw(&mut generator, number);
        let answer = field.step(&window(number, &values)).expect("the next window").answer;
        let surprise = answer.state.prediction_error.is_some_and(|error| error > SURPRISE);
        if number >= LEARNED {
            late += u64::from(surprise);
            anomalies += u64::from(answer.anomaly.is_some());
            nigredos +=
                answer.interventions.iter().filter(|i| i.kind == InterventionKind::Nigredo).count() as u64;
        } else if number >= 100 {
            early += u64::from(surprise);
        }
    }
    let after = windows.saturating_sub(LEARNED).max(1) as f64;
    println!(
        "| {name} | {:.5} | {:.5} | {:.3} | {:.3} |",
        f64::from(u32::try_from(early).unwrap_or(u32::MAX)) / (LEARNED - 100) as f64,
        late as f64 / after,
        1000.0 * anomalies as f64 / after,
        1000.0 * nigredos as f64 / after
    );
}

fn window(number: u64, values: &[f64]) -> Window {
    Window {
        number,
        time: None,
        agents: Vec::new(),
        swarm: SwarmWindow {
            mean_reward: values.first().copied(),
            fill_rate: values.get(1).copied(),
            avg_cost: values.get(2).copied(),
            avg_latency_ms: values.get(3).copied(),
            ..SwarmWindow::default()
        },
        channels: values
            .iter()
            .skip(4)
            .enumerate()
            .map(|(i, x)| (format!("open {i}"), *x))
            .collect::<BTreeMap<_, _>>(),
        acknowledged: Vec::new(),
        trials: Vec::new(),
    }
}

fn series() -> Vec<(&'static str, Draw)> {
    let t5 = StudentT::new(5.0).expect("positive degrees of freedom");
    let spread = LogNormal::new(0.0, 1.0).expect("a finite deviation");
    let uniform = Uniform::new(0.0, 1.0).expect("an interval");
    let chi2 = ChiSquared::new(5.0).expect("positive degrees of freedom");
    let (mut level, mut other_level, mut variance) = (0.0, 0.0, 1.0);
    let wave = |number: u64, period: f64| (std::f64::consts::TAU * number as f64 / period).sin();
    vec![
        ("normal", one(|g, _| normal(g))),
        ("t5", one(move |g, _| t5.sample(g))),
        ("lognormal", one(move |g, _| spread.sample(g))),
        ("exponential", one(|g, _| Exp1.sample(g))),
        ("uniform", one(move |g, _| uniform.sample(g))),
        (
            "AR(1) .8",
            one(move |g, _| {
                level = 0.8 * level + normal(g);
                level
            }),
        ),
        (
            "AR(1) .98 under noise",
            one(move |g, _| {
                other_level = 0.98 * other_level + 0.3 * normal(g);
                other_level + normal(g)
            }),
        ),
        ("four normals, correlated .8", Box::new(|g, _| correlated(g, normal))),
        ("four t5, correlated .8", Box::new(move |g, _| correlated(g, |g| t5.sample(g)))),
        (
            "multivariate t5, correlated .8",
            Box::new(move |g, _| {
                // One draw decides the scale of all four: the textbook's multivariate t.
                let scale = f64::sqrt(5.0 / chi2.sample(g));
                correlated(g, normal).into_iter().map(|x| x * scale).collect()
            }),
        ),
        ("ten normals", Box::new(|g, _| (0..10).map(|_| normal(g)).collect())),
        ("sine, period 60, and noise .1", one(move |g, n| wave(n, 60.0) + 0.1 * normal(g))),
        ("sine, period 60, and noise 1", one(move |g, n| wave(n, 60.0) + normal(g))),
        ("sine, period 288", one(move |_, n| wave(n, 288.0))),
        ("square, period 100, and noise .1", one(|g, n| f64::from(u8::from(n % 100 < 50)) + 0.1 * normal(g))),
        ("square, period 100", one(|_, n| f64::from(u8::from(n % 100 < 50)))),
        (
            "volatility (GARCH .1, .85)",
            one(move |g, _| {
                let x = f64::sqrt(variance) * normal(g);
                variance = 0.05 + 0.1 * x * x + 0.85 * variance;
                x
            }),
        ),
        (
            "volatility that doubles for 200 of 1,000 windows",
            one(|g, n| (if n % 1000 < 200 { 2.0 } else { 1.0 }) * normal(g)),
        ),
    ]
}

fn one(mut draw: impl FnMut(&mut Pcg64Mcg, u64) -> f64 + 'static) -> Draw {
    Box::new(move |g, number| vec![40.0 + draw(g, number)])
}

fn normal(generator: &mut Pcg64Mcg) -> f64 {
    StandardNormal.sample(generator)
}

fn correlated(generator: &mut Pcg64Mcg, draw: impl Fn(&mut Pcg64Mcg) -> f64) -> Vec<f64> {
    let common = draw(generator);
    (0..4).map(|_| 0.8_f64.sqrt() * common + 0.2_f64.sqrt() * draw(generator)).collect()
}
