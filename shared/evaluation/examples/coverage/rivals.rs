//! Intervals that ours was chosen from.

use evaluation::statistics::{Interval, mean, standard_deviation};
use rand::RngExt as _;
use rand_pcg::Pcg64;
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

const RESAMPLES: usize = 1_999;

/// A way to an interval of a mean.
#[derive(Clone, Copy)]
pub(crate) enum Rival {
    /// The quantiles of the resampled means (Efron 1979).
    Percentile,
    /// The same, corrected for bias and acceleration (Efron 1987).
    Bca,
    /// Student's t, which assumes normal figures.
    Student,
    /// Student's t, moved by the skewness (Johnson 1978).
    Johnson,
    /// The quantiles of studentised resampled means (Hall 1988; DiCiccio and Efron 1996).
    BootstrapT,
    /// Resampled means studentised and transformed so that they are not skewed (Hall 1992).
    Hall,
}

pub(crate) struct Resamples(Vec<Vec<usize>>);

impl Resamples {
    pub(crate) fn new(values: usize) -> Self {
        let mut rng = Pcg64::new(1, 2);
        let draw = |_| (0..values).map(|_| rng.random_range(0..values)).collect();
        Self((0..RESAMPLES).map(draw).collect())
    }
}

impl Rival {
    pub(crate) const ALL: [Self; 6] =
        [Self::Percentile, Self::Bca, Self::Student, Self::Johnson, Self::BootstrapT, Self::Hall];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Percentile => "percentile",
            Self::Bca => "BCa",
            Self::Student => "Student's t",
            Self::Johnson => "Johnson's t",
            Self::BootstrapT => "bootstrap-t",
            Self::Hall => "Hall's transformation",
        }
    }

    pub(crate) fn interval(self, values: &[f64], resamples: &Resamples) -> Interval {
        let whole = Moments::of(values.iter().copied());
        let resampled = || resamples.0.iter().map(|draw| Moments::of(draw.iter().map(|i| values[*i])));
        let t = StudentsT::new(0.0, 1.0, values.len() as f64 - 1.0).unwrap().inverse_cdf(0.975);
        let (low, high) = match self {
            Self::Percentile => quantiles(resampled().map(|m| m.mean), [0.025, 0.975]),
            Self::Bca => quantiles(resampled().map(|m| m.mean), bca_levels(values, whole.mean, resampled())),
            Self::Student => (whole.mean - t * whole.error(), whole.mean + t * whole.error()),
            Self::Johnson => {
                let centre = whole.mean
                    + whole.error() * whole.skewness / (6.0 * whole.count.sqrt()) * (1.0 + 2.0 * t * t);
                (centre - t * whole.error(), centre + t * whole.error())
            }
            Self::BootstrapT => {
                let pivots = resampled().map(|m| (m.mean - whole.mean) / m.error());
                let (low, high) = quantiles(pivots.filter(|pivot| !pivot.is_nan()), [0.025, 0.975]);
                (whole.mean - high * whole.error(), whole.mean - low * whole.error())
            }
            Self::Hall => {
                let pivots = resampled().map(|m| m.transformed((m.mean - whole.mean) / m.deviation));
                let (low, high) = quantiles(pivots.filter(|pivot| !pivot.is_nan()), [0.025, 0.975]);
                let back = |pivot| whole.mean - whole.deviation * whole.transformed_back(pivot);
                (back(high), back(low))
            }
        };
        Interval { mean: whole.mean, low, high }
    }
}

struct Moments {
    count: f64,
    mean: f64,
    deviation: f64,
    skewness: f64,
}

impl Moments {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let (count, mean) = (values.len() as f64, mean(&values).unwrap());
        let deviation = standard_deviation(&values).unwrap();
        let skewness = values.iter().map(|value| ((value - mean) / deviation).powi(3)).sum::<f64>() / count;
        Self { count, mean, deviation, skewness }
    }

    fn error(&self) -> f64 {
        self.deviation / self.count.sqrt()
    }

    /// g(w) = w + γw²/3 + γ²w³/27 + γ/6n.
    fn transformed(&self, w: f64) -> f64 {
        let g = self.skewness;
        w + g * w * w / 3.0 + g * g * w.powi(3) / 27.0 + g / (6.0 * self.count)
    }

    fn transformed_back(&self, y: f64) -> f64 {
        let g = self.skewness;
        if g.abs() < 1e-9 { y } else { 3.0 / g * ((1.0 + g * (y - g / (6.0 * self.count))).cbrt() - 1.0) }
    }
}

fn bca_levels(values: &[f64], mean: f64, resampled: impl Iterator<Item = Moments>) -> [f64; 2] {
    let normal = Normal::standard();
    let below = resampled.filter(|m| m.mean < mean).count() as f64 / RESAMPLES as f64;
    let bias = normal.inverse_cdf(below.clamp(1e-3, 1.0 - 1e-3));
    let power = |exponent| values.iter().map(|value| (value - mean).powi(exponent)).sum::<f64>();
    // the jackknife's means differ from the whole one by (mean − value) / (n − 1)
    let acceleration = power(3) / (6.0 * power(2).powf(1.5));
    [0.025, 0.975].map(|level| {
        let z = bias + normal.inverse_cdf(level);
        normal.cdf(bias + z / (1.0 - acceleration * z))
    })
}

fn quantiles(values: impl Iterator<Item = f64>, levels: [f64; 2]) -> (f64, f64) {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let [low, high] = levels.map(|level| {
        let at = (level * (sorted.len() + 1) as f64).round() as usize;
        sorted.get(at.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    });
    (low, high)
}
