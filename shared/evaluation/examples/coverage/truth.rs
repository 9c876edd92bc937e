//! Figures whose true mean is known.

use rand::RngExt as _;
use rand_pcg::Pcg64;

/// A law of figures with the mean 0.
#[derive(Clone, Copy)]
pub(crate) struct Law {
    pub(crate) name: &'static str,
    pub(crate) draw: fn(&mut Pcg64) -> f64,
}

/// Symmetric, heavy-tailed and skewed ones, and those that a few episodes make.
pub(crate) const LAWS: [Law; 7] = [
    Law { name: "normal", draw: normal },
    Law { name: "Student's t, 3 degrees of freedom", draw: student_3 },
    Law { name: "exponential (skewness 2)", draw: |rng| exponential(rng) - 1.0 },
    Law {
        name: "log-normal, σ = 0.5 (skewness 1.8)",
        draw: |rng| (0.5 * normal(rng)).exp() - 0.125f64.exp(),
    },
    Law { name: "log-normal, σ = 1 (skewness 6.2)", draw: |rng| normal(rng).exp() - 0.5f64.exp() },
    Law { name: "15 % of the episodes carry the difference", draw: few },
    Law { name: "80 % of the episodes are exactly equal", draw: mostly_equal },
];

pub(crate) fn normal(rng: &mut Pcg64) -> f64 {
    let radius = (-2.0 * uniform(rng).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

fn uniform(rng: &mut Pcg64) -> f64 {
    1.0 - rng.random::<f64>() // above 0
}

fn exponential(rng: &mut Pcg64) -> f64 {
    -uniform(rng).ln()
}

fn student_3(rng: &mut Pcg64) -> f64 {
    let squares: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
    normal(rng) / (squares / 3.0).sqrt()
}

fn few(rng: &mut Pcg64) -> f64 {
    let value = if uniform(rng) < 0.15 { 3.0 + normal(rng) } else { 0.5 * normal(rng) };
    value - 0.45
}

fn mostly_equal(rng: &mut Pcg64) -> f64 {
    let value = if uniform(rng) < 0.2 { exponential(rng) } else { 0.0 };
    value - 0.2
}

/// How much a figure varies by training, by seed, and by both together: `(training, seed, both)` standard deviations.
pub(crate) type Spread = (f64, f64, f64);

/// A figure with the mean 0 by training and seed; what varies by seed follows `law`.
pub(crate) fn crossed(
    rng: &mut Pcg64,
    law: Law,
    spread: Spread,
    trainings: usize,
    seeds: usize,
) -> Vec<Vec<f64>> {
    let by_seed: Vec<f64> = (0..seeds).map(|_| spread.1 * (law.draw)(rng)).collect();
    let training = |rng: &mut Pcg64| {
        let own = spread.0 * normal(rng);
        by_seed.iter().map(|seed| own + seed + spread.2 * normal(rng)).collect()
    };
    (0..trainings).map(|_| training(rng)).collect()
}
