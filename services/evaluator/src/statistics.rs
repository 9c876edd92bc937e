//! Means over seeds, and how sure they are: the percentile bootstrap (Efron 1979), with a fixed seed of
//! its own, so that the same figures always give the same interval.

use rand::RngExt as _;
use rand_pcg::Pcg64;

/// Resamples an interval is made from.
pub(crate) const RESAMPLES: usize = 10_000;

/// An interval covers this share of the resampled means.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// A mean over seeds with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// The mean.
    pub(crate) mean: f64,
    /// The interval's low end.
    pub(crate) low: f64,
    /// The interval's high end.
    pub(crate) high: f64,
}

/// The resamples of one number of seeds, drawn once and used for every figure.
pub(crate) struct Bootstrap {
    seeds: usize,
    draws: Vec<u32>,
}

impl Bootstrap {
    /// Resamples for figures over so many seeds.
    pub(crate) fn new(seeds: usize) -> Self {
        Self { seeds, draws: draw(seeds) }
    }

    /// The mean of one figure and its interval; `None` where no seed has the figure. Seeds without it
    /// are left out.
    pub(crate) fn estimate(&self, by_seed: &[Option<f64>]) -> Option<Interval> {
        let values: Vec<f64> = by_seed.iter().copied().flatten().collect();
        match values.len() {
            0 => None,
            n if n == self.seeds => Some(interval(&values, &self.draws)),
            n => Some(interval(&values, &draw(n))),
        }
    }
}

/// Differences of two policies on the same seeds; `None` where one of them has no figure.
pub(crate) fn paired(policy: &[Option<f64>], other: &[Option<f64>]) -> Vec<Option<f64>> {
    policy.iter().zip(other).map(|(a, b)| Some((*a)? - (*b)?)).collect()
}

/// The arithmetic mean; `None` of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// `RESAMPLES` times as many positions as there are values, each drawn with replacement.
fn draw(values: usize) -> Vec<u32> {
    // Any constants do, as long as they never change: they are part of what an evaluation's bytes are.
    let mut rng = Pcg64::new(0x6169_2d6d_6573_6821, 0x626f_6f74_7374_7261);
    (0..RESAMPLES * values).map(|_| rng.random_range(0..values as u32)).collect()
}

fn interval(values: &[f64], draws: &[u32]) -> Interval {
    let count = values.len() as f64;
    let first = values[0];
    if values.iter().all(|v| *v == first) {
        return Interval { mean: first, low: first, high: first }; // no rounding where there is no spread
    }
    let mut means: Vec<f64> = draws
        .chunks_exact(values.len())
        .map(|resample| resample.iter().map(|i| values[*i as usize]).sum::<f64>() / count)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Interval {
        mean: values.iter().sum::<f64>() / count,
        low: quantile(&means, tail),
        high: quantile(&means, 1.0 - tail),
    }
}

/// The quantile of sorted values with linear interpolation (definition 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - position.floor()) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(values: &[f64]) -> Interval {
        let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        Bootstrap::new(values.len()).estimate(&values).unwrap()
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 3, 4], [0, .025, .5, 1]) = [1, 1.075, 2.5, 4]
        let sorted = [1.0, 2.0, 3.0, 4.0];
        for (share, expected) in [(0.0, 1.0), (0.025, 1.075), (0.5, 2.5), (1.0, 4.0)] {
            assert!((quantile(&sorted, share) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_figure_without_spread_has_an_interval_without_width() {
        assert_eq!(estimate(&[0.1; 7]), Interval { mean: 0.1, low: 0.1, high: 0.1 });
    }

    #[test]
    fn two_seeds_leave_everything_between_them_open() {
        // Resamples of {0, 1} have the mean 0 with probability 1/4 and 1 with 1/4: both ends are inside 95 %.
        assert_eq!(estimate(&[0.0, 1.0]), Interval { mean: 0.5, low: 0.0, high: 1.0 });
    }

    #[test]
    fn the_interval_of_one_success_in_six_is_the_binomial_one() {
        // A resample has k successes with k ~ Bin(6, 1/6): P(k ≤ 0) = .335, P(k ≤ 2) = .938 and
        // P(k ≤ 3) = .991, so that the 2.5 % quantile of k/6 is 0 and the 97.5 % quantile 3/6.
        let interval = estimate(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!((interval.low, interval.high), (0.0, 0.5));
        assert!((interval.mean - 1.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn a_wide_sample_has_nearly_the_normal_interval() {
        // 0..=99: mean 49.5, standard error of the bootstrap mean sqrt(833.25 / 100) = 2.8866; ±1.96 of them.
        let interval = estimate(&(0..100).map(f64::from).collect::<Vec<_>>());
        assert!((interval.low - (49.5 - 1.96 * 2.8866)).abs() < 0.25, "{interval:?}");
        assert!((interval.high - (49.5 + 1.96 * 2.8866)).abs() < 0.25, "{interval:?}");
    }

    #[test]
    fn pairing_takes_the_seeds_own_difficulty_out() {
        let hard_and_easy = [Some(1.0), Some(100.0), Some(1000.0)];
        let a_little_better = [Some(1.5), Some(100.5), Some(1000.5)];
        let differences = paired(&a_little_better, &hard_and_easy);
        let interval = Bootstrap::new(3).estimate(&differences).unwrap();
        assert_eq!(interval, Interval { mean: 0.5, low: 0.5, high: 0.5 });
    }

    #[test]
    fn a_seed_without_the_figure_is_left_out_and_no_seed_gives_nothing() {
        let bootstrap = Bootstrap::new(3);
        assert_eq!(bootstrap.estimate(&[None; 3]), None);
        let some = bootstrap.estimate(&[Some(2.0), None, Some(4.0)]).unwrap();
        assert_eq!(some, Interval { mean: 3.0, low: 2.0, high: 4.0 });
        assert_eq!(paired(&[Some(1.0), None], &[None, Some(1.0)]), [None, None]);
    }

    #[test]
    fn the_same_figures_always_give_the_same_interval() {
        let values: Vec<f64> = (0..20).map(|i| (f64::from(i) * 0.7).sin()).collect();
        assert_eq!(estimate(&values), estimate(&values));
    }

    #[test]
    fn the_mean_of_nothing_is_nothing() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
    }
}
