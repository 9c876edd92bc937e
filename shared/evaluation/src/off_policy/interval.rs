//! Intervals of means whose terms are few, large and skewed.
//!
//! What is weighted by inverse propensities is mostly small and now and then large, so that Student's t leaves out too much
//! on the long side. Hall's transformation (P. Hall, "On the removal of skewness by transformation", JRSS B 54, 1992: the
//! monotone cubic) takes the skewness out of the studentised mean first. It needs no resamples, so that a log of millions of
//! decisions is no matter.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::statistics::{CONFIDENCE, Interval};

/// The sums of an estimate's deviations, one for each request: decisions about one request share what it came to, and are
/// not independent of each other.
pub(super) fn by_request(deviations: impl Iterator<Item = (u64, f64)>) -> Vec<f64> {
    let mut sums = std::collections::BTreeMap::<u64, f64>::new();
    for (request, deviation) in deviations {
        *sums.entry(request).or_default() += deviation;
    }
    sums.into_values().collect()
}

/// The 95 % interval of an estimate that is the mean of `count` terms, of which these are the deviations from it, summed by
/// request. `effective_size` is how many equal ones the terms are worth.
pub(super) fn skewed(estimate: f64, deviations: &[f64], count: f64, effective_size: f64) -> Interval {
    let requests = deviations.len() as f64;
    let squares: f64 = deviations.iter().map(|d| d * d).sum();
    if deviations.len() < 2 || squares == 0.0 {
        return Interval { mean: estimate, low: estimate, high: estimate };
    }
    let error = (squares * requests / (requests - 1.0)).sqrt() / count;
    let variance = squares / requests;
    let cubes: f64 = deviations.iter().map(|d| d * d * d).sum();
    let skewness = cubes / requests / variance.powf(1.5) / requests.sqrt();
    let reach = quantile(effective_size - 1.0);
    Interval {
        mean: estimate,
        low: estimate - error * untransformed(reach, skewness),
        high: estimate - error * untransformed(-reach, skewness),
    }
}

/// The 95 % interval of an estimate from those that lack a group of requests each (the delete-a-group jackknife: Kott 2001).
pub(super) fn jackknife(estimate: f64, without_group: &[f64]) -> Interval {
    let groups = without_group.len() as f64;
    let squares: f64 = without_group.iter().map(|other| (other - estimate).powi(2)).sum();
    let reach = quantile(groups - 1.0) * (squares * (groups - 1.0) / groups).sqrt();
    Interval { mean: estimate, low: estimate - reach, high: estimate + reach }
}

/// The studentised mean that Hall's transformation g(t) = t + s(t²/3 + 1/6) + s²t³/27 brings to `x`, where s is the
/// skewness / √n.
fn untransformed(x: f64, skewness: f64) -> f64 {
    if skewness.abs() < 1e-9 {
        return x;
    }
    let third = skewness / 3.0;
    ((1.0 + 3.0 * third * (x - skewness / 6.0)).cbrt() - 1.0) / third
}

/// With more degrees of freedom Student's t is the normal law's to four digits, and the series that gives it converges badly.
const MOST_FREEDOM: f64 = 10_000.0;

/// Student's t at the upper end of the interval.
fn quantile(freedom: f64) -> f64 {
    let upper = 1.0 - (1.0 - CONFIDENCE) / 2.0;
    StudentsT::new(0.0, 1.0, freedom.clamp(1.0, MOST_FREEDOM))
        .map_or(f64::INFINITY, |student| student.inverse_cdf(upper))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn what_halls_transformation_brings_somewhere_is_brought_back() {
        for skewness in [-0.4, -0.01, 0.0, 0.2, 0.6] {
            for t in [-2.5_f64, -1.0, 0.3, 2.0] {
                let there = t + skewness * (t * t / 3.0 + 1.0 / 6.0) + skewness * skewness * t.powi(3) / 27.0;
                assert!((untransformed(there, skewness) - t).abs() < 1e-9, "{skewness}, {t}");
            }
        }
    }

    /// Of [−1, −1, −1, 3] the mean is 0 and its standard error √(12 · 4/3) / 4 = 1; the long end is longer.
    #[test]
    fn the_long_end_of_what_is_skewed_is_longer() {
        let deviations = [-1.0, -1.0, -1.0, 3.0];
        let Interval { low, high, .. } = skewed(0.0, &deviations, 4.0, 1e9);
        assert!(high > 1.96 && low > -1.96, "{low} to {high}");
        let symmetric = skewed(0.0, &[-1.0, 1.0, -1.0, 1.0], 4.0, 1e9);
        let error = (4.0_f64 * 4.0 / 3.0).sqrt() / 4.0;
        assert!((symmetric.high - 1.959_963_985 * error).abs() < 1e-3 && symmetric.low == -symmetric.high);
    }

    #[test]
    fn terms_of_one_request_are_one_term() {
        assert_eq!(by_request([(3, 1.0), (5, -2.0), (3, 1.5)].into_iter()), [2.5, -2.0]);
    }

    #[test]
    fn what_does_not_vary_has_an_interval_without_width() {
        assert_eq!(skewed(2.0, &[0.0, 0.0], 2.0, 2.0), Interval { mean: 2.0, low: 2.0, high: 2.0 });
    }

    /// Rewards of 40 to 60 that are seen with a probability of a twentieth: Student's t would miss the mean of the inverse
    /// propensities more often, and always on one side.
    #[test]
    fn rare_large_terms_are_covered_as_often_as_is_said() {
        let (logs, decisions, propensity) = (2000, 2500, 0.05);
        let mut rng = Pcg64::seed_from_u64(1);
        let (mut below, mut above) = (0, 0);
        for _ in 0..logs {
            let terms: Vec<f64> = (0..decisions)
                .map(|_| match rng.random_bool(propensity) {
                    true => rng.random_range(40.0..60.0) / propensity,
                    false => 0.0,
                })
                .collect();
            let mean = terms.iter().sum::<f64>() / f64::from(decisions);
            let deviations: Vec<f64> = terms.iter().map(|term| term - mean).collect();
            let seen = terms.iter().filter(|term| **term > 0.0).count() as f64;
            let Interval { low, high, .. } = skewed(mean, &deviations, f64::from(decisions), seen);
            below += u32::from(high < 50.0);
            above += u32::from(low > 50.0);
        }
        let share = |count: u32| f64::from(count) / f64::from(logs);
        assert!(share(below) < 0.035 && share(above) < 0.035, "{below} below and {above} above of {logs}");
    }
}
