//! The distribution of a studentised mean, from resamples of the seeds: the bootstrap-t (Efron 1982; Hall 1988).
//!
//! A resample's mean is looked at in units of its own standard error. So the skewness of the figures is taken into
//! account, which intervals of resampled means alone (the percentile bootstrap) hardly do.

use std::borrow::Cow;

use rand::RngExt as _;
use rand_pcg::Pcg64;

/// Resamples an interval is made from. One more is a multiple of 40, so that 2.5 % of them have a whole number at each
/// end (Davison and Hinkley 1997, 2.2.1).
pub const RESAMPLES: usize = 9_999;

/// A resample's standard error counts as at least this share of the whole sample's. A resample that happens to have nearly
/// equal values would otherwise make an interval without end: figures of which most are zero do so.
const LEAST_ERROR: f64 = 0.2;

/// The resamples of one number of seeds, drawn once and used for every figure.
pub(super) struct Resamples {
    seeds: usize,
    draws: Vec<u32>,
}

/// A mean or a ratio, its standard error, and how it is distributed.
pub(super) struct Studentised {
    pub(super) mean: f64,
    /// The standard error from the seeds.
    pub(super) error: f64,
    pub(super) seeds: usize,
    /// (resample's mean − mean) / resample's standard error, in ascending order.
    pub(super) pivots: Vec<f64>,
}

impl Resamples {
    pub(super) fn new(seeds: usize) -> Self {
        Self { seeds, draws: draw(seeds) }
    }

    /// The mean of at least two values.
    pub(super) fn of_mean(&self, values: &[f64]) -> Studentised {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let error = |sum: f64, squares: f64| standard_error(squares - sum * sum / count, count);
        let whole = error(0.0, centred.iter().map(|v| v * v).sum());
        let of_resample = |resample: &[u32]| {
            let (mut sum, mut squares) = (0.0, 0.0);
            for i in resample {
                let value = centred[*i as usize];
                sum += value;
                squares += value * value;
            }
            pivot(sum / count, error(sum, squares), whole)
        };
        let pivots = sorted(self.draws(values.len()).chunks_exact(values.len()).map(of_resample).collect());
        Studentised { mean, error: whole, seeds: values.len(), pivots }
    }

    /// The ratio of two means. Its standard error is that of the mean of (numerator − ratio · denominator) / mean
    /// denominator. `None` where a resample's mean denominator is not above `least`.
    pub(super) fn of_ratio(&self, pairs: &Pairs, least: f64) -> Option<Studentised> {
        let of = |sums: &Sums| {
            let denominator = sums.d / pairs.count;
            (denominator > least).then(|| {
                let ratio = sums.n / sums.d;
                (ratio, standard_error(sums.squares(ratio), pairs.count) / denominator)
            })
        };
        let (ratio, error) = of(&pairs.all)?;
        let of_resample =
            |sums: &Sums| of(sums).map_or(f64::NAN, |(resampled, its)| pivot(resampled - ratio, its, error));
        let pivots = sorted(pairs.resamples.iter().map(of_resample).collect());
        // a NaN is sorted to an end, whichever its sign is
        let is_whole =
            pivots.first().is_some_and(|p| !p.is_nan()) && pivots.last().is_some_and(|p| !p.is_nan());
        is_whole.then_some(Studentised { mean: ratio, error, seeds: pairs.seeds(), pivots })
    }

    /// Pairs of numerator and denominator, at least two, with the sums of their resamples.
    pub(super) fn of_pairs(&self, pairs: &[(f64, f64)]) -> Pairs {
        let sums = |resample: &[u32]| resample.iter().map(|i| pairs[*i as usize]).collect();
        Pairs {
            count: pairs.len() as f64,
            all: pairs.iter().copied().collect(),
            resamples: self.draws(pairs.len()).chunks_exact(pairs.len()).map(sums).collect(),
        }
    }

    fn draws(&self, values: usize) -> Cow<'_, [u32]> {
        if values == self.seeds { Cow::Borrowed(&self.draws) } else { Cow::Owned(draw(values)) }
    }
}

/// Pairs of numerator and denominator as sums: all of them, and each resample.
pub(super) struct Pairs {
    count: f64,
    all: Sums,
    resamples: Vec<Sums>,
}

impl Pairs {
    /// The mean of numerator − ratio · denominator.
    pub(super) fn difference(&self, ratio: f64) -> Studentised {
        let of = |sums: &Sums| {
            let mean = (sums.n - ratio * sums.d) / self.count;
            (mean, standard_error(sums.squares(ratio) - mean * mean * self.count, self.count))
        };
        let (mean, error) = of(&self.all);
        let of_resample = |sums: &Sums| {
            let (resampled, its) = of(sums);
            pivot(resampled - mean, its, error)
        };
        let pivots = sorted(self.resamples.iter().map(of_resample).collect());
        Studentised { mean, error, seeds: self.seeds(), pivots }
    }

    fn seeds(&self) -> usize {
        self.count as usize
    }
}

fn sorted(mut pivots: Vec<f64>) -> Vec<f64> {
    pivots.sort_unstable_by(f64::total_cmp);
    pivots
}

/// Sums over pairs of numerator and denominator.
#[derive(Default)]
struct Sums {
    n: f64,
    d: f64,
    nn: f64,
    nd: f64,
    dd: f64,
}

impl Sums {
    /// The sum of the squares of numerator − ratio · denominator.
    fn squares(&self, ratio: f64) -> f64 {
        self.nn - 2.0 * ratio * self.nd + ratio * ratio * self.dd
    }
}

impl FromIterator<(f64, f64)> for Sums {
    fn from_iter<T: IntoIterator<Item = (f64, f64)>>(pairs: T) -> Self {
        pairs.into_iter().fold(Self::default(), |sums, (n, d)| Self {
            n: sums.n + n,
            d: sums.d + d,
            nn: sums.nn + n * n,
            nd: sums.nd + n * d,
            dd: sums.dd + d * d,
        })
    }
}

/// A resample's distance to the mean in units of its own standard error.
fn pivot(distance: f64, own: f64, whole: f64) -> f64 {
    let error = own.max(LEAST_ERROR * whole);
    if error > 0.0 { distance / error } else { 0.0 } // no seed differs from another
}

/// Of a mean of so many values, from the squares of their distances to it. Rounding may make these negative.
fn standard_error(squares: f64, count: f64) -> f64 {
    (squares.max(0.0) / (count - 1.0) / count).sqrt()
}

/// `RESAMPLES` times as many positions as there are values, each drawn with replacement.
fn draw(values: usize) -> Vec<u32> {
    // Any constants do, as long as they never change: they are part of what an evaluation's bytes are.
    let mut rng = Pcg64::new(0x6169_2d6d_6573_6821, 0x626f_6f74_7374_7261);
    (0..RESAMPLES * values).map(|_| rng.random_range(0..values as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pivots_of_a_skewed_sample_are_skewed_the_other_way() {
        // a resample that lacks the large value has a small mean and thinks itself sure of it
        let skewed: Vec<f64> = (0..20).map(|i| if i == 0 { 10.0 } else { f64::from(i) / 20.0 }).collect();
        let studentised = Resamples::new(20).of_mean(&skewed);
        let (low, high) = (studentised.pivots[249], studentised.pivots[9749]);
        assert!(low < -4.0 && high < 2.0, "{low} {high}");
    }

    #[test]
    fn a_resample_of_equal_values_makes_no_endless_interval() {
        let mostly_zero = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let studentised = Resamples::new(8).of_mean(&mostly_zero);
        assert!(studentised.pivots.iter().all(|pivot| pivot.is_finite()));
        // all zeros: (0 − mean) / (0.2 · standard error), and the mean is one standard error
        assert!((studentised.pivots[0] + 5.0).abs() < 1e-9, "{}", studentised.pivots[0]);
    }

    #[test]
    fn a_ratio_of_equal_denominators_is_studentised_as_its_numerators_mean() {
        let values: Vec<f64> = (0..12).map(|i| f64::from(i * i)).collect();
        let pairs: Vec<(f64, f64)> = values.iter().map(|v| (*v, 2.0)).collect();
        let resamples = Resamples::new(12);
        let (mean, ratio) =
            (resamples.of_mean(&values), resamples.of_ratio(&resamples.of_pairs(&pairs), 0.0).unwrap());
        assert!((ratio.mean - mean.mean / 2.0).abs() < 1e-9 && (ratio.error - mean.error / 2.0).abs() < 1e-9);
        for (a, b) in mean.pivots.iter().zip(&ratio.pivots) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
