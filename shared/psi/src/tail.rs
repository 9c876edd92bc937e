use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::numbers::COUNT_LIMIT;

/// The fitted distribution is trusted up to its own 5 % tail; beyond it the observed tail decides.
const BODY: f64 = 0.05;
/// Windows after which the tail forgets.
const MEMORY: f64 = 5000.0;
/// The fitted distribution is worth so many windows of observations, …
const PRIOR_WINDOWS: f64 = 100.0;
/// … and its tail so many exceedances.
const PRIOR_EXCEEDANCES: f64 = 10.0;
/// Longer exceedances count as "at least so long": an outage must not teach the field that outages are normal.
const CENSORED_AT: f64 = 6.0;

/// Between these the frequency of exceedances stays, …
const FREQUENCIES: [f64; 2] = [1e-4, 0.5];
/// … and above this their mean length and the share of the uncensored.
const LEAST: f64 = 0.05;

/// What corrects the fitted distribution's tail probabilities by those that came true.
///
/// With y = −ln p of the fitted distribution, y is exponential with mean 1 when the fit is right. Where it
/// is not, exceedances over a high threshold still are exponential, with another rate and frequency
/// (Pickands–Balkema–de Haan, in logarithms; a generalised Pareto tail of the distance itself). Both are
/// tracked, the mean exceedance with the censored maximum-likelihood estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct TailCalibration {
    /// How often y exceeded the threshold.
    #[garde(range(min = FREQUENCIES[0], max = FREQUENCIES[1]))]
    frequency: f64,
    /// Fading mean of min(exceedance, cut) over exceedances.
    #[garde(range(min = LEAST, max = CENSORED_AT))]
    length: f64,
    /// Fading share of the exceedances below the cut.
    #[garde(range(min = LEAST, max = 1.0))]
    uncensored: f64,
    #[garde(range(max = COUNT_LIMIT))]
    windows: u64,
    #[garde(range(max = COUNT_LIMIT))]
    exceedances: u64,
    /// The last window was a surprise: what follows is the same event.
    #[garde(skip)]
    in_event: bool,
}

impl Default for TailCalibration {
    fn default() -> Self {
        let uncensored = 1.0 - (-CENSORED_AT).exp();
        Self { frequency: BODY, length: uncensored, uncensored, windows: 0, exceedances: 0, in_event: false }
    }
}

impl TailCalibration {
    /// Corrects −ln p by what was learned before, then learns from it. `event_at` is the −ln p of a surprise.
    pub(crate) fn observe(&mut self, neg_ln_p: f64, event_at: f64) -> f64 {
        let corrected = self.correct(neg_ln_p);
        let event = corrected > event_at;
        if !(event && self.in_event) {
            self.learn(neg_ln_p);
        }
        self.in_event = event;
        corrected
    }

    fn correct(&self, neg_ln_p: f64) -> f64 {
        let threshold = -BODY.ln();
        if neg_ln_p > threshold {
            -self.frequency.ln() + (neg_ln_p - threshold) * self.uncensored / self.length
        } else {
            // The body, stretched so that it meets the tail.
            let p = (-neg_ln_p).exp();
            let below = (1.0 - p) / (1.0 - BODY) * (1.0 - self.frequency);
            -(-below).ln_1p()
        }
    }

    fn learn(&mut self, neg_ln_p: f64) {
        let excess = neg_ln_p + BODY.ln();
        self.windows += 1;
        let rate = (1.0 / (self.windows as f64 + PRIOR_WINDOWS)).max(1.0 / MEMORY);
        self.frequency += rate * (f64::from(u8::from(excess > 0.0)) - self.frequency);
        self.frequency = self.frequency.clamp(FREQUENCIES[0], FREQUENCIES[1]);
        if excess > 0.0 {
            self.exceedances += 1;
            let rate = (1.0 / (self.exceedances as f64 + PRIOR_EXCEEDANCES)).max(1.0 / (MEMORY * BODY));
            self.length += rate * (excess.min(CENSORED_AT) - self.length);
            self.uncensored += rate * (f64::from(u8::from(excess < CENSORED_AT)) - self.uncensored);
            self.length = self.length.max(LEAST);
            self.uncensored = self.uncensored.max(LEAST);
        }
    }
}

/// How fast the threshold follows, in units of −ln α: an alarm raises it by this, and 1/α windows without one lower it by
/// as much.
const FOLLOWS: f64 = 0.03;
/// The threshold stays between these, in units of −ln α. The lower: what the fitted distribution calls one in twenty is
/// no surprise, however seldom more comes.
const THRESHOLDS: [f64; 2] = [0.43, 2.5];
/// Windows of one event from which the threshold learns; an outage must not teach it that outages are normal.
const LEARNED_OF_AN_EVENT: u64 = 8;

/// What makes one calibrated tail probability of two: that of all figures together, and that of the channel which is
/// furthest off.
///
/// Each is corrected by its own observed tail, and the smaller of them counts, which is too small by a factor of two at
/// most. Whatever is wrong with that number, the level holds in the long run: the threshold that it is compared with rises with
/// every alarm by a step of (1 − α) and falls without one by α, so that after T windows the rate of alarms differs from α
/// by at most (highest − lowest threshold) / (step · T) whatever the series is (Gibbs and Candès, 2021), unless even the
/// lowest threshold is not reached that often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Calibration {
    #[garde(dive)]
    joint: TailCalibration,
    #[garde(dive)]
    each: TailCalibration,
    /// In units of −ln α.
    #[garde(range(min = THRESHOLDS[0], max = THRESHOLDS[1]))]
    threshold: f64,
    /// Alarms on end.
    #[garde(range(max = COUNT_LIMIT))]
    alarms: u64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            joint: TailCalibration::default(),
            each: TailCalibration::default(),
            threshold: 1.0,
            alarms: 0,
        }
    }
}

impl Calibration {
    /// −ln p of the window, calibrated by the windows before; `None` when there is nothing to judge it by.
    pub(crate) fn observe(&mut self, joint: Option<f64>, each: Option<f64>, alpha: f64) -> Option<f64> {
        let event_at = -alpha.ln();
        let joint = joint.map(|y| self.joint.observe(y, event_at));
        let each = each.map(|y| self.each.observe(y, event_at));
        let both = match (joint, each) {
            (Some(joint), Some(each)) => joint.max(each),
            (one, other) => one.or(other)?,
        };
        let calibrated = both / self.threshold;
        let alarm = calibrated > event_at;
        self.alarms = if alarm { self.alarms.saturating_add(1) } else { 0 };
        if self.alarms <= LEARNED_OF_AN_EVENT {
            self.threshold += FOLLOWS * (f64::from(u8::from(alarm)) - alpha);
            self.threshold = self.threshold.clamp(THRESHOLDS[0], THRESHOLDS[1]);
        }
        Some(calibrated)
    }
}

/// −ln of the probability that a Student t with four degrees of freedom is further from 0 than `z`, in closed form: with
/// c = |z| / √(4 + z²) it is (1 − c)²(1 + c/2), and 1 − c without cancellation is 4 / (√(4 + z²)·(√(4 + z²) + |z|)).
#[must_use]
pub(crate) fn neg_ln_t4_tail(z: f64) -> f64 {
    let z = z.abs();
    let root = (4.0 + z * z).sqrt();
    let rest = 4.0 / (root * (root + z));
    -(2.0 * rest.ln() + (0.5 * z / root).ln_1p())
}

/// PE of a surprise s = ln p / ln α: `1 − 0.3^s`, which is 0 for p = 1, exactly 0.7 for p = α (the false-alarm
/// probability), and nears 1 as p vanishes.
pub(crate) fn prediction_error(surprise: f64) -> f64 {
    1.0 - 0.3_f64.powf(surprise.max(0.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn prediction_error_is_over_the_threshold_exactly_below_one_in_a_thousand() {
        let of = |p: f64| prediction_error(p.ln() / 1e-3_f64.ln());
        assert_eq!(of(1.0), 0.0);
        assert!(of(0.00101) < 0.7);
        assert!(of(0.00099) > 0.7);
        // p = 10^-6: 1 − 0.3² = 0.91
        assert!((of(1e-6) - 0.91).abs() < 1e-12);
        assert_eq!(prediction_error(1e6), 1.0);
    }

    #[test]
    fn the_tail_of_a_t_with_four_degrees_of_freedom_is_the_tables() {
        // Two-sided 5 % and 0.1 % points: 2.7764 and 8.6103.
        assert!((neg_ln_t4_tail(2.776_445) - 0.05_f64.ln().abs()).abs() < 1e-5);
        assert!((neg_ln_t4_tail(-8.610_302) - 0.001_f64.ln().abs()).abs() < 1e-5);
        assert_eq!(neg_ln_t4_tail(0.0), 0.0);
        // far out it is 6/z⁴
        assert!((neg_ln_t4_tail(1e6) - (4.0 * 1e6_f64.ln() - 6.0_f64.ln())).abs() < 1e-3);
    }

    #[test]
    fn the_level_holds_in_the_long_run_of_a_distribution_that_no_fit_knows() {
        // Bounded: no value is ever far out, and yet the largest of a thousand counts as a surprise.
        let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(6);
        let mut calibration = Calibration::default();
        let mut alarms = 0;
        for i in 0..400_000 {
            let z = 4.0 * generator.random::<f64>();
            let y = calibration.observe(None, Some(neg_ln_t4_tail(z)), 1e-3).unwrap();
            alarms += u32::from(i >= 100_000 && y > 1e3_f64.ln());
        }
        assert!((250..350).contains(&alarms), "{alarms} of an expected 300");
    }

    #[test]
    fn a_fit_that_is_wrong_by_a_power_is_corrected() {
        // The fit says p, the truth is p^0.6 (a much heavier tail).
        let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(5);
        let mut tail = TailCalibration::default();
        let mut alarms = 0;
        for i in 0..60_000 {
            let p: f64 = 1.0 - generator.random::<f64>();
            if tail.observe(-p.ln() / 0.6, 1e3_f64.ln()) > 1e3_f64.ln() && i >= 10_000 {
                alarms += 1;
            }
        }
        assert!((25..100).contains(&alarms), "{alarms} of an expected 50; uncorrected it would be 790");
    }

    #[test]
    fn the_correction_is_monotone_and_joins_at_the_threshold() {
        let mut tail = TailCalibration::default();
        for i in 0..1000 {
            tail.observe(f64::from(i % 50) * 0.1, 6.9);
        }
        let corrected: Vec<f64> = (0..200).map(|i| tail.correct(f64::from(i) * 0.05)).collect();
        assert!(corrected.windows(2).all(|w| w[0] < w[1] && w[1] - w[0] < 0.6), "{corrected:?}");
    }
}
