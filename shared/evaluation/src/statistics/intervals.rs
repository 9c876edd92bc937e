//! 95 % intervals of means and ratios over held-out seeds and trainings.
//!
//! **Seeds.** Each end is the farther of Student's t and of the bootstrap-t. Student's t is short for skewed figures, the
//! bootstrap-t for figures with heavy tails. Where the bootstrap-t reaches farther, it reaches [`STRETCH`] times as far
//! beyond, for a small sample shows less skewness than there is. Shares of successes have the exact binomial interval
//! (Clopper and Pearson 1934).
//!
//! **Trainings.** Their means are independent, and few: Student's t with one degree of freedom less than there are. Both
//! reaches are added in squares (MOVER: Zou and Donner 2008). What varies by training and seed together is in both, so the
//! interval is rather too wide than too narrow.
//!
//! **Ratios** have the same interval with the standard error of the linearised ratio, and it goes to where the test of
//! numerator − ratio · denominator ends (Fieller 1954), where that is farther: the ratios with which the interval of that
//! mean covers zero. So a ratio's interval covers as a mean's does, also where a resample lacks the few seeds that count.
//!
//! `examples/coverage.rs` has the simulation by which these were chosen.

use statrs::distribution::{Beta, ContinuousCDF as _, StudentsT};

use super::{
    Estimate, Interval, Runs,
    bootstrap::{RESAMPLES, Resamples, Studentised},
    interquartile_mean, mean, standard_deviation,
};

/// An interval covers the truth in at least this share of all evaluations.
pub const CONFIDENCE: f64 = 0.95;

/// How far beyond Student's t an end goes, as a multiple of how far the bootstrap-t does. Without it (1) intervals of 20
/// log-normal figures cover 93.0 %, with it 94.4 %; those of normal ones get 2 % wider.
const STRETCH: f64 = 1.5;

/// How far beyond the linearised end of a ratio's interval the one by inversion is looked for, as a multiple of its reach.
const FARTHEST: f64 = 16.0;

/// How exactly that one is found: to 2^-8 of where it is looked for.
const HALVINGS: u32 = 8;

/// The error of an interval, both tails together.
const ALPHA: f64 = 1.0 - CONFIDENCE;

/// The intervals of figures over one number of seeds.
pub struct Intervals {
    resamples: Resamples,
}

/// How far an interval reaches from its mean, for every error that is asked for.
struct Reach {
    studentised: Studentised,
    /// The standard error from the trainings and their degrees of freedom, where there are several.
    trainings: Option<(f64, f64)>,
}

impl Intervals {
    /// Of figures over so many seeds.
    #[must_use]
    pub fn new(seeds: usize) -> Self {
        Self { resamples: Resamples::new(seeds) }
    }

    /// A figure with its interval, and how its runs spread; `None` where no seed has data.
    #[must_use]
    pub fn estimate(&self, runs: &Runs) -> Option<Estimate> {
        let Interval { mean: centre, low, high } = self.of_mean(runs)?;
        let rows = runs.complete();
        let means: Vec<f64> = rows.iter().filter_map(|row| mean(row)).collect();
        let by_seed: Vec<f64> = runs.by_seed().into_iter().flatten().collect();
        Some(Estimate {
            mean: centre,
            low,
            high,
            iqm: unsigned(interquartile_mean(&rows.concat())?),
            std_dev: standard_deviation(&by_seed),
            training_std_dev: standard_deviation(&means),
        })
    }

    /// The mean of a figure with its interval; `None` where no seed has data.
    #[must_use]
    pub fn of_mean(&self, runs: &Runs) -> Option<Interval> {
        let first = *runs.complete().first()?.first()?;
        Some(match self.reach(runs) {
            Some(reach) => reach.interval(ALPHA),
            None => Interval::of_constant(unsigned(first)), // no rounding where there is no spread
        })
    }

    /// How easily the mean would be this far from zero if it were zero: the least error with which its interval excludes
    /// zero. `None` where no seed has data. It is a multiple of 2 / ([`RESAMPLES`] + 1).
    #[must_use]
    pub fn p_value(&self, runs: &Runs) -> Option<f64> {
        let centre = runs.mean()?;
        let Some(reach) = self.reach(runs) else { return Some(if centre == 0.0 { 1.0 } else { 0.0 }) };
        let error = |step: usize| 2.0 * step as f64 / (RESAMPLES + 1) as f64;
        let excludes_zero = |step: usize| {
            let Interval { low, high, .. } = reach.interval(error(step));
            low > 0.0 || high < 0.0
        };
        // intervals with a larger error are inside those with a smaller one
        let steps: Vec<usize> = (1..RESAMPLES.div_ceil(2)).collect();
        let first = steps.partition_point(|step| !excludes_zero(*step));
        Some(steps.get(first).map_or(1.0, |step| error(*step)))
    }

    /// The ratio of two means with its interval. Seeds that lack one of the figures are left out. `None` where the mean
    /// denominator, or that of a resample, is not above `least`: there is no share of a way that may not be there.
    #[must_use]
    pub fn ratio(&self, numerators: &Runs, denominators: &[Option<f64>], least: f64) -> Option<Interval> {
        let numerators =
            Runs::new(numerators.by_training().iter().map(|row| only_with(row, denominators)).collect());
        let rows = numerators.complete();
        let pairs: Vec<(f64, f64)> = numerators
            .by_seed()
            .into_iter()
            .zip(denominators)
            .filter_map(|(n, d)| Some((n?, (*d)?)))
            .collect();
        let whole: f64 = pairs.iter().map(|(_, d)| d).sum();
        if pairs.is_empty() || whole / pairs.len() as f64 <= least {
            return None;
        }
        let ratio = pairs.iter().map(|(n, _)| n).sum::<f64>() / whole;
        let is_constant =
            pairs.iter().all(|(n, d)| *n == ratio * d) && rows.windows(2).all(|two| two[0] == two[1]);
        if is_constant || pairs.len() == 1 {
            return Some(Interval::of_constant(unsigned(ratio)));
        }
        let resamples = self.resamples.of_pairs(&pairs);
        let studentised = self.resamples.of_ratio(&resamples, least)?;
        let means: Vec<f64> = rows.iter().filter_map(|row| mean(row)).collect();
        let trainings = error_of_trainings(&means);
        let denominator = whole / pairs.len() as f64;
        let of_ratio = trainings.map(|(error, freedom)| (error / denominator, freedom));
        let linear = Reach { studentised, trainings: of_ratio }.interval(ALPHA);
        // how far the mean of numerator − ratio · denominator is from being possibly zero
        let above =
            |ratio: f64| Reach { studentised: resamples.difference(ratio), trainings }.interval(ALPHA);
        let low = end(linear.mean, linear.low, |ratio| above(ratio).low);
        let high = end(linear.mean, linear.high, |ratio| above(ratio).high);
        Some(Interval {
            mean: linear.mean,
            low: low.map_or(linear.low, |low| low.min(linear.low)),
            high: high.map_or(linear.high, |high| high.max(linear.high)),
        })
    }

    /// The mean of shares of success between 0 and 1; `None` where no seed has data. The variance of such a share is at
    /// most that of a success or failure, for which the interval is exact.
    #[must_use]
    pub fn share(&self, shares: &Runs) -> Option<Interval> {
        let centre = shares.mean()?;
        let rows = shares.complete();
        if rows.iter().flatten().all(|share| *share == 0.5) {
            return Some(Interval::of_constant(0.5)); // neither ever succeeds: there is nothing to be unsure of
        }
        let seeds = rows.first().map_or(0, Vec::len) as f64;
        let successes = centre * seeds;
        let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(p.round(), |beta| beta.inverse_cdf(p));
        let (low, high) = (
            quantile(successes, seeds - successes + 1.0, ALPHA / 2.0),
            quantile(successes + 1.0, seeds - successes, 1.0 - ALPHA / 2.0),
        );
        let means: Vec<f64> = rows.iter().filter_map(|row| mean(row)).collect();
        let trainings =
            error_of_trainings(&means).map_or(0.0, |(error, freedom)| error * student(freedom, ALPHA));
        let interval = Interval {
            mean: unsigned(centre),
            low: centre - (centre - low).hypot(trainings),
            high: centre + (high - centre).hypot(trainings),
        };
        Some(interval.within(0.0, 1.0))
    }

    /// `None` of a figure that does not vary, or that a single seed has: nothing is known of how it varies.
    fn reach(&self, runs: &Runs) -> Option<Reach> {
        let rows = runs.complete();
        let by_seed: Vec<f64> = runs.by_seed().into_iter().flatten().collect();
        let first = rows.first()?.first()?;
        if by_seed.len() == 1 || rows.iter().flatten().all(|value| value == first) {
            return None;
        }
        let means: Vec<f64> = rows.iter().filter_map(|row| mean(row)).collect();
        Some(Reach { studentised: self.resamples.of_mean(&by_seed), trainings: error_of_trainings(&means) })
    }
}

impl Reach {
    /// The interval with this error, both tails together.
    fn interval(&self, alpha: f64) -> Interval {
        let Studentised { mean, error, seeds, pivots } = &self.studentised;
        let student_t = student(*seeds as f64 - 1.0, alpha);
        // as many resamples are beyond each end
        let beyond = ((alpha / 2.0) * (RESAMPLES + 1) as f64).round().max(1.0) as usize;
        let farther = |pivot: f64| student_t + STRETCH * (pivot - student_t).max(0.0);
        let below = error * farther(pivots[pivots.len() - beyond]);
        let above = error * farther(-pivots[beyond - 1]);
        let trainings = self.trainings.map_or(0.0, |(error, freedom)| error * student(freedom, alpha));
        Interval {
            mean: unsigned(*mean),
            low: unsigned(mean - below.hypot(trainings)),
            high: unsigned(mean + above.hypot(trainings)),
        }
    }
}

/// Where the end of an interval of numerator − ratio · denominator is zero, a ratio that is beyond `from` as seen from
/// `mean`. `None` where there is none up to [`FARTHEST`] times as far: then the denominator may be zero.
fn end(mean: f64, from: f64, at: impl Fn(f64) -> f64) -> Option<f64> {
    let reach = from - mean;
    // the end falls as the ratio grows: towards the low end it is above zero outside of the interval, towards the high end
    // below
    let is_outside = |times: f64| at(mean + times * reach) * -reach > 0.0;
    let mut outside = 1.0;
    while !is_outside(outside) {
        outside *= 2.0;
        if outside > FARTHEST {
            return None;
        }
    }
    let mut inside = if outside > 1.0 { outside / 2.0 } else { return Some(from) };
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        if is_outside(middle) { outside = middle } else { inside = middle }
    }
    Some(mean + outside * reach)
}

/// The standard error of the mean of several trainings, and its degrees of freedom.
fn error_of_trainings(means: &[f64]) -> Option<(f64, f64)> {
    let count = means.len() as f64;
    standard_deviation(means).map(|deviation| (deviation / count.sqrt(), count - 1.0))
}

/// The quantile of Student's t that leaves this error, both tails together.
fn student(freedom: f64, alpha: f64) -> f64 {
    // degrees of freedom are at least 1 here, which the distribution takes
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - alpha / 2.0))
}

fn only_with(row: &[Option<f64>], others: &[Option<f64>]) -> Vec<Option<f64>> {
    row.iter().zip(others).map(|(value, other)| value.filter(|_| other.is_some())).collect()
}

/// `+ 0.0` makes a negative zero positive: canonical JSON has only one zero, and a result read back from the ledger must
/// have the same bytes.
fn unsigned(value: f64) -> f64 {
    value + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64]) -> Runs {
        Runs::from(values.iter().copied().map(Some).collect::<Vec<_>>())
    }

    fn interval(values: &[f64]) -> Interval {
        Intervals::new(values.len()).of_mean(&runs(values)).unwrap()
    }

    #[test]
    fn a_figure_without_spread_has_an_interval_without_width() {
        assert_eq!(interval(&[0.1; 7]), Interval::of_constant(0.1));
    }

    #[test]
    fn two_seeds_leave_much_open() {
        // Student's t with one degree of freedom: 12.706 · 0.5
        let Interval { mean, low, high } = interval(&[0.0, 1.0]);
        assert_eq!(mean, 0.5);
        assert!((low + 5.853).abs() < 1e-3 && (high - 6.853).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn symmetric_figures_have_nearly_students_interval() {
        // 0..=99: mean 49.5, standard error 2.9011; t with 99 degrees of freedom 1.984
        let Interval { low, high, .. } = interval(&(0..100).map(f64::from).collect::<Vec<_>>());
        let reach = 1.984 * 2.9011;
        assert!((43.6..=49.5 - reach + 0.01).contains(&low), "{low}");
        assert!((49.5 + reach - 0.01..=55.5).contains(&high), "{high}");
    }

    #[test]
    fn an_interval_reaches_farther_where_a_large_value_may_be_missing() {
        let skewed: Vec<f64> = (0..20).map(|i| (f64::from(i) / 4.0).exp()).collect();
        let Interval { mean, low, high } = interval(&skewed);
        assert!(high - mean > 1.3 * (mean - low), "{low} {mean} {high}");
    }

    #[test]
    fn trainings_that_differ_widen_the_interval_as_their_number_says() {
        // what the seeds contribute is the same for each training, so the trainings' own means are all that differs:
        // standard deviation 1, of 3 trainings t = 4.303
        let of_training = |shift: f64| (0..20).map(|i| Some(shift + f64::from(i % 2) * 1e-9)).collect();
        let three = Runs::new([-1.0, 0.0, 1.0].map(of_training).into());
        let Interval { low, high, .. } = Intervals::new(20).of_mean(&three).unwrap();
        assert!((high - 4.303 / 3.0f64.sqrt()).abs() < 1e-3 && (low + high).abs() < 1e-6, "{low} {high}");
        let estimate = Intervals::new(20).estimate(&three).unwrap();
        assert!((estimate.training_std_dev.unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn equal_trainings_have_the_interval_of_one() {
        let values: Vec<Option<f64>> = (0..20).map(|i| Some((f64::from(i) * 0.7).sin())).collect();
        let intervals = Intervals::new(20);
        let one = intervals.of_mean(&Runs::from(values.clone())).unwrap();
        let three = intervals.of_mean(&Runs::new(vec![values; 3])).unwrap();
        assert!((one.low - three.low).abs() < 1e-12 && (one.high - three.high).abs() < 1e-12);
    }

    #[test]
    fn no_seed_gives_nothing_and_a_seed_without_the_figure_is_left_out() {
        let intervals = Intervals::new(3);
        assert_eq!(intervals.of_mean(&Runs::from(vec![None; 3])), None);
        assert_eq!(intervals.p_value(&Runs::from(vec![None; 3])), None);
        let some = intervals.of_mean(&Runs::from(vec![Some(2.0), None, Some(4.0)])).unwrap();
        assert_eq!(some, Intervals::new(2).of_mean(&runs(&[2.0, 4.0])).unwrap());
    }

    #[test]
    fn a_p_value_is_below_an_error_exactly_where_the_interval_with_it_excludes_zero() {
        let intervals = Intervals::new(20);
        for shift in [0.0, 0.2, 0.4, 0.45, 0.5, 0.6, 1.0, 3.0] {
            let values = runs(&(0..20).map(|i| shift + (f64::from(i) * 0.7).sin()).collect::<Vec<_>>());
            let Interval { low, high, .. } = intervals.of_mean(&values).unwrap();
            let p = intervals.p_value(&values).unwrap();
            assert_eq!(p <= ALPHA + 1e-12, low > 0.0 || high < 0.0, "{shift}: {p} {low} {high}");
        }
        assert_eq!(intervals.p_value(&runs(&[0.0; 20])), Some(1.0));
        assert_eq!(intervals.p_value(&runs(&[0.1; 20])), Some(0.0));
    }

    #[test]
    fn a_ratio_is_that_of_the_means_and_not_the_mean_of_the_ratios() {
        // (1 + 8) / (2 + 10) = .75, but the mean of 1/2 and 8/10 is .65
        let ratio = Intervals::new(2).ratio(&runs(&[1.0, 8.0]), &[Some(2.0), Some(10.0)], 0.0).unwrap();
        assert_eq!(ratio.mean, 0.75);
        assert!(ratio.low < 0.5 && ratio.high > 0.8, "{ratio:?}");
    }

    #[test]
    fn a_ratio_leaves_out_the_seeds_that_lack_a_figure() {
        let numerators = Runs::from(vec![Some(1.0), Some(5.0), None, Some(2.0)]);
        let denominators = [Some(4.0), None, Some(1.0), Some(8.0)];
        let ratio = Intervals::new(4).ratio(&numerators, &denominators, 0.0);
        assert_eq!(ratio, Some(Interval::of_constant(0.25)));
    }

    #[test]
    fn a_ratio_of_several_trainings_is_as_wide_as_they_differ() {
        let denominators = [Some(1.0), Some(2.0), Some(3.0)];
        let of = |share: f64| denominators.map(|d| d.map(|d| share * d)).to_vec();
        let ratio = Intervals::new(3).ratio(&Runs::new(vec![of(0.8), of(0.9), of(1.0)]), &denominators, 0.0);
        let Interval { mean, low, high } = ratio.unwrap();
        let reach = 4.303 * 0.1 / 3.0f64.sqrt();
        assert!(
            (mean - 0.9).abs() < 1e-9
                && (high - mean - reach).abs() < 1e-3
                && (mean - low - reach).abs() < 1e-3
        );
    }

    #[test]
    fn there_is_no_share_of_a_way_that_may_not_be_there() {
        let intervals = Intervals::new(2);
        let of = |denominators: [f64; 2], least| {
            intervals.ratio(&runs(&[1.0, 1.0]), &denominators.map(Some), least)
        };
        assert_eq!(of([0.0, 0.0], 0.0), None);
        assert_eq!(of([-1.0, 3.0], 0.0), None); // a resample has the first seed twice
        assert_eq!(of([1e-9, 1e-9], 1e-6), None);
        assert_eq!(intervals.ratio(&Runs::from(vec![None; 2]), &[Some(1.0); 2], 0.0), None);
        assert!(of([1.0, 3.0], 1e-6).is_some());
    }

    #[test]
    fn a_share_of_successes_has_the_exact_binomial_interval() {
        // Clopper and Pearson: 20 of 20 [.8316, 1], 0 of 20 [0, .1684], 15 of 20 [.5090, .9134]
        for (successes, expected) in [(20, (0.8316, 1.0)), (0, (0.0, 0.1684)), (15, (0.5090, 0.9134))] {
            let values: Vec<f64> = (0..20).map(|i| f64::from(u8::from(i < successes))).collect();
            let share = Intervals::new(20).share(&runs(&values)).unwrap();
            assert!(
                (share.low - expected.0).abs() < 1e-4 && (share.high - expected.1).abs() < 1e-4,
                "{share:?}"
            );
        }
    }
}
