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

/// PE of a tail probability: `1 − 0.3^(ln p / ln α)`, which is 0 for p = 1, exactly 0.7 for p = α (the
/// false-alarm probability), and nears 1 as p vanishes.
pub(crate) fn prediction_error(neg_ln_p: f64, false_alarm_probability: f64) -> f64 {
    1.0 - 0.3_f64.powf(neg_ln_p.max(0.0) / -false_alarm_probability.ln())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn prediction_error_is_over_the_threshold_exactly_below_one_in_a_thousand() {
        assert_eq!(prediction_error(0.0, 1e-3), 0.0);
        assert!(prediction_error(-0.00101_f64.ln(), 1e-3) < 0.7);
        assert!(prediction_error(-0.00099_f64.ln(), 1e-3) > 0.7);
        // p = 10^-6: 1 − 0.3² = 0.91
        assert!((prediction_error(-1e-6_f64.ln(), 1e-3) - 0.91).abs() < 1e-12);
        assert_eq!(prediction_error(1e6, 1e-3), 1.0);
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
