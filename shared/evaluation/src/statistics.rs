//! Means over seeds, and how sure they are: the percentile bootstrap (Efron 1979), with a fixed seed of
//! its own, so that the same figures always give the same interval.
//!
//! Interquartile mean and probability of improvement are those of Agarwal et al., "Deep Reinforcement Learning at
//! the Edge of the Statistical Precipice" (2021).

use rand::RngExt as _;
use rand_pcg::Pcg64;

/// Resamples an interval is made from.
pub const RESAMPLES: usize = 10_000;

/// An interval covers this share of the resampled means.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over seeds, or a ratio of two, with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean or the ratio.
    pub mean: f64,
    /// The interval's low end.
    pub low: f64,
    /// The interval's high end.
    pub high: f64,
}

/// A figure over seeds: its mean with its bootstrap interval, and how the seeds spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The interval's low end.
    pub low: f64,
    /// The interval's high end.
    pub high: f64,
    /// The interquartile mean: that of the middle half of the seeds.
    pub iqm: f64,
    /// The seeds' standard deviation (of a sample: n − 1); `None` of a single one.
    pub std_dev: Option<f64>,
}

impl Estimate {
    /// The mean with its interval.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval { mean: self.mean, low: self.low, high: self.high }
    }
}

/// The resamples of one number of seeds, drawn once and used for every figure.
pub struct Bootstrap {
    seeds: usize,
    draws: Vec<u32>,
}

impl Bootstrap {
    /// Resamples for figures over so many seeds.
    pub fn new(seeds: usize) -> Self {
        Self { seeds, draws: draw(seeds) }
    }

    /// The mean of one figure and its interval; `None` where no seed has the figure. Seeds without it
    /// are left out.
    pub fn estimate(&self, by_seed: &[Option<f64>]) -> Option<Interval> {
        let values: Vec<f64> = by_seed.iter().copied().flatten().collect();
        let mean = mean(&values)?;
        let first = values[0];
        if values.iter().all(|v| *v == first) {
            return Some(Interval { mean: first, low: first, high: first }); // no rounding where there is no spread
        }
        let count = values.len() as f64;
        let of_resample =
            |resample: &[u32]| resample.iter().map(|i| values[*i as usize]).sum::<f64>() / count;
        Some(self.interval(values.len(), mean, of_resample))
    }

    /// The ratio of two means and its interval. Seeds that lack one of the figures are left out. `None` where a
    /// resample's mean denominator is not above `least`: there is no share of a way that may not be there.
    pub fn ratio(
        &self,
        numerators: &[Option<f64>],
        denominators: &[Option<f64>],
        least: f64,
    ) -> Option<Interval> {
        let pairs: Vec<(f64, f64)> =
            numerators.iter().zip(denominators).filter_map(|(n, d)| Some(((*n)?, (*d)?))).collect();
        let count = pairs.len() as f64;
        let of = |numerator: f64, denominator: f64| {
            if denominator > least * count { numerator / denominator } else { f64::NAN }
        };
        let sum = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
            let (numerator, denominator) =
                pairs.fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
            of(numerator, denominator)
        };
        let ratio = sum(&mut pairs.iter().copied());
        if pairs.is_empty() || ratio.is_nan() {
            return None;
        }
        let of_resample = |resample: &[u32]| sum(&mut resample.iter().map(|i| pairs[*i as usize]));
        let interval = self.interval(pairs.len(), ratio, of_resample);
        // a NaN is sorted to an end, whichever its sign is
        (!interval.low.is_nan() && !interval.high.is_nan()).then_some(interval)
    }

    /// The interval of a statistic of so many values, whose value on all of them is `mean`.
    fn interval(&self, values: usize, mean: f64, of_resample: impl Fn(&[u32]) -> f64) -> Interval {
        let own;
        let draws = if values == self.seeds {
            &self.draws
        } else {
            own = draw(values);
            &own
        };
        let mut resampled: Vec<f64> = draws.chunks_exact(values).map(of_resample).collect();
        resampled.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Interval { mean, low: quantile(&resampled, tail), high: quantile(&resampled, 1.0 - tail) }
    }
}

/// Differences of two policies on the same seeds; `None` where one of them has no figure.
pub fn paired(policy: &[Option<f64>], other: &[Option<f64>]) -> Vec<Option<f64>> {
    policy.iter().zip(other).map(|(a, b)| Some((*a)? - (*b)?)).collect()
}

/// Whether each difference is an improvement: 1 above zero, 0 below, 1/2 at zero. Their mean is the probability of
/// improvement. Agarwal et al. compare every run of one with every run of the other, for their runs are independent;
/// here both meet the same seed, so a seed is compared with itself.
pub fn improvements(differences: &[Option<f64>]) -> Vec<Option<f64>> {
    let improvement = |difference: f64| match difference {
        d if d > 0.0 => 1.0,
        d if d < 0.0 => 0.0,
        _ => 0.5,
    };
    differences.iter().map(|difference| difference.map(improvement)).collect()
}

/// The arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The interquartile mean: a quarter of the values, rounded down, is cut off at each end (Agarwal et al. 2021, whose
/// rliable calls `scipy.stats.trim_mean(…, 0.25)`). `None` of nothing.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The standard deviation of a sample (n − 1); `None` of fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// `RESAMPLES` times as many positions as there are values, each drawn with replacement.
fn draw(values: usize) -> Vec<u32> {
    // Any constants do, as long as they never change: they are part of what an evaluation's bytes are.
    let mut rng = Pcg64::new(0x6169_2d6d_6573_6821, 0x626f_6f74_7374_7261);
    (0..RESAMPLES * values).map(|_| rng.random_range(0..values as u32)).collect()
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
    fn a_ratio_is_that_of_the_means_and_not_the_mean_of_the_ratios() {
        // (1 + 8) / (2 + 10) = .75, but the mean of 1/2 and 8/10 is .65. Resamples of two are 1/2, 9/12 (twice) and
        // 8/10, a quarter each: both ends are inside 95 %.
        let ratio = Bootstrap::new(2).ratio(&[Some(1.0), Some(8.0)], &[Some(2.0), Some(10.0)], 0.0);
        assert_eq!(ratio, Some(Interval { mean: 0.75, low: 0.5, high: 0.8 }));
    }

    #[test]
    fn a_ratio_leaves_out_the_seeds_that_lack_a_figure() {
        let [numerators, denominators] =
            [[Some(1.0), Some(5.0), None, Some(2.0)], [Some(4.0), None, Some(1.0), Some(8.0)]];
        let ratio = Bootstrap::new(4).ratio(&numerators, &denominators, 0.0);
        assert_eq!(ratio, Some(Interval { mean: 0.25, low: 0.25, high: 0.25 }));
    }

    #[test]
    fn there_is_no_share_of_a_way_that_may_not_be_there() {
        let bootstrap = Bootstrap::new(2);
        let of =
            |denominators: [f64; 2], least| bootstrap.ratio(&[Some(1.0); 2], &denominators.map(Some), least);
        assert_eq!(of([0.0, 0.0], 0.0), None);
        assert_eq!(of([-1.0, 3.0], 0.0), None); // a resample has the first seed twice
        assert_eq!(of([1e-9, 1e-9], 1e-6), None);
        assert_eq!(bootstrap.ratio(&[None; 2], &[Some(1.0); 2], 0.0), None);
        assert!(of([1.0, 3.0], 1e-6).is_some());
    }

    #[test]
    fn a_tie_is_half_an_improvement() {
        let differences = [Some(0.1), Some(-0.1), Some(0.0), None];
        assert_eq!(improvements(&differences), [Some(1.0), Some(0.0), Some(0.5), None]);
    }

    #[test]
    fn the_interquartile_mean_is_that_of_scipy() {
        // scipy.stats.trim_mean(x, 0.25) of [5, 1, 2, 100] = 3.5, of [7, 1, 3] = 11/3 (int(0.75) = 0 are cut), of
        // [9, 1, 2, 3, 4] = 3, of 0..=19 = 9.5, of [k² for k in 0..=19] = 98.5
        let squares: Vec<f64> = (0..20).map(|k| f64::from(k * k)).collect();
        let numbers: Vec<f64> = (0..20).map(f64::from).collect();
        for (values, expected) in [
            (&[5.0, 1.0, 2.0, 100.0][..], 3.5),
            (&[7.0, 1.0, 3.0], 11.0 / 3.0),
            (&[9.0, 1.0, 2.0, 3.0, 4.0], 3.0),
            (&numbers, 9.5),
            (&squares, 98.5),
        ] {
            assert!((interquartile_mean(values).unwrap() - expected).abs() < 1e-12, "{values:?}");
        }
        assert_eq!(interquartile_mean(&[]), None);
    }

    #[test]
    fn the_standard_deviation_is_that_of_a_sample() {
        // the mean of [2, 4, 4, 4, 5, 5, 7, 9] is 5, the squares of the distances add up to 32
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!((standard_deviation(&values).unwrap() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(standard_deviation(&[1.0]), None);
    }

    #[test]
    fn the_mean_of_nothing_is_nothing() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
    }
}
