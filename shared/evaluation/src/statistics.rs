//! Means over held-out seeds and over trainings, and how sure they are.
//!
//! An interval covers two sources of chance: which held-out seeds were drawn and, for a policy that was trained several
//! times, which training seeds. [`bootstrap`] has the first, [`intervals`] both, [`multiplicity`] what is left when many
//! comparisons are made. Everything is a function of the figures: the same figures always give the same interval.
//!
//! Interquartile mean and probability of improvement are those of Agarwal et al., "Deep Reinforcement Learning at
//! the Edge of the Statistical Precipice" (2021).

mod bootstrap;
mod intervals;
mod multiplicity;
mod runs;

pub use bootstrap::RESAMPLES;
pub use intervals::{CONFIDENCE, Intervals};
pub use multiplicity::holm;
pub use runs::Runs;

/// A figure of a single policy by held-out seed; `None` where a seed has no data.
pub type BySeed = Vec<Option<f64>>;

/// A mean, or a ratio of two, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean or the ratio.
    pub mean: f64,
    /// The interval's low end.
    pub low: f64,
    /// The interval's high end.
    pub high: f64,
}

impl Interval {
    /// An interval without width, of what does not vary.
    fn of_constant(value: f64) -> Self {
        Self { mean: value, low: value, high: value }
    }

    /// The same interval within bounds that the figure cannot leave.
    #[must_use]
    pub fn within(self, least: f64, most: f64) -> Self {
        let Self { mean, low, high } = self;
        // a mean that is itself beyond them is left as it is: it was measured
        Self { mean, low: low.max(least.min(mean)), high: high.min(most.max(mean)) }
    }
}

/// A figure: its mean with its interval, and how the runs spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean over trainings and seeds.
    pub mean: f64,
    /// The interval's low end.
    pub low: f64,
    /// The interval's high end.
    pub high: f64,
    /// The interquartile mean: that of the middle half of the runs.
    pub iqm: f64,
    /// The standard deviation of the seeds' means (of a sample: n − 1); `None` of a single one.
    pub std_dev: Option<f64>,
    /// The standard deviation of the trainings' means; `None` of a single training.
    pub training_std_dev: Option<f64>,
}

impl Estimate {
    /// The mean with its interval.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval { mean: self.mean, low: self.low, high: self.high }
    }
}

/// The arithmetic mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The interquartile mean: a quarter of the values, rounded down, is cut off at each end (Agarwal et al. 2021, whose
/// rliable calls `scipy.stats.trim_mean(…, 0.25)`). `None` of nothing.
#[must_use]
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The standard deviation of a sample (n − 1); `None` of fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_share_does_not_leave_its_bounds() {
        let interval = |mean, low, high| Interval { mean, low, high };
        assert_eq!(interval(0.9, 0.7, 1.1).within(0.0, 1.0), interval(0.9, 0.7, 1.0));
        assert_eq!(interval(0.1, -0.1, 0.3).within(0.0, 1.0), interval(0.1, 0.0, 0.3));
        assert_eq!(interval(1.2, 1.1, 1.3).within(0.0, 1.0), interval(1.2, 1.1, 1.2));
    }
}
