use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::numbers::{COUNT_LIMIT, LIMIT, SQUARE_LIMIT};

/// Signal-to-noise ratios that compete for each channel: from nearly constant to a random walk.
const RATIOS: [f64; 6] = [1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0];
/// Degrees of freedom of the Student t by which innovations are weighted.
const DOF: f64 = 5.0;
/// Innovations after which the scale forgets, …
const SCALE_MEMORY: f64 = 300.0;
/// … and the score, on which the choice between filters rests: their difference is small.
const SCORE_MEMORY: f64 = 1000.0;
/// An innovation of so many scales is an outlier, …
const OUTLIER: f64 = 3.0;
/// … and so many outliers on end are a shift of the level.
const SHIFT_RUN: u32 = 3;
/// The variance of the level's error then, in units of the noise's.
const SHIFT_VARIANCE: f64 = 10.0;
/// It never is more.
const MOST_VARIANCE: f64 = 1e3;
/// Changes below this share of the level surprise nobody.
const RELATIVE_FLOOR: f64 = 1e-3;
const ABSOLUTE_FLOOR: f64 = 1e-12;
/// Standardised innovations are cut here: beyond it there is nothing left to tell apart.
const Z_LIMIT: f64 = 1e6;

/// A local-level model of one channel, `x = level + noise`, `level' = level + drift`, filtered by Kalman's
/// recursion (Durbin and Koopman, *Time Series Analysis by State Space Methods*, 2.2).
///
/// The ratio of drift to noise is not known: a few filters with fixed ratios run side by side, and the one
/// that has forecast best (Student-t log score, fading) speaks. Outliers are weighted down as in the
/// expectation-maximisation of a t distribution, so that one wild window does not drag the level along;
/// three on end are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct LocalLevel {
    #[garde(dive)]
    filters: [Filter; RATIOS.len()],
    /// Innovations so far.
    #[garde(range(max = COUNT_LIMIT))]
    innovations: u64,
    /// Outliers on end.
    #[garde(skip)]
    outliers: u32,
    #[garde(inner(range(min = -LIMIT, max = LIMIT)))]
    last: Option<f64>,
}

/// What a new value meant to the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Innovation {
    /// The forecast.
    pub expected: f64,
    /// The value's distance from the forecast, in scales.
    pub z: f64,
    /// The forecast's error in scales, as `naive_z` has it.
    pub forecast_z: f64,
    /// The error of the forecast "as last time", in scales.
    pub naive_z: f64,
    /// Innovations before this one: how much the scale is worth.
    pub seen: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
struct Filter {
    #[garde(range(min = -LIMIT, max = LIMIT))]
    level: f64,
    /// Variance of the level's error, in units of the noise's.
    #[garde(range(min = 0.0, max = MOST_VARIANCE))]
    variance: f64,
    /// Squared scale of the standardised innovations.
    #[garde(range(min = 0.0, max = SQUARE_LIMIT))]
    scale2: f64,
    /// Fading mean of the negative log score.
    #[garde(range(min = -LIMIT, max = LIMIT))]
    loss: f64,
}

impl Default for LocalLevel {
    fn default() -> Self {
        Self { filters: [Filter::default(); RATIOS.len()], innovations: 0, outliers: 0, last: None }
    }
}

impl LocalLevel {
    /// Takes the next value; `None` for the first, which nothing could be expected of.
    /// Changes below `resolution` surprise nobody.
    pub(crate) fn observe(&mut self, value: f64, resolution: f64) -> Option<Innovation> {
        let Some(last) = self.last.replace(value) else {
            for filter in &mut self.filters {
                *filter = Filter { level: value, variance: 1.0, scale2: 0.0, loss: 0.0 };
            }
            return None;
        };
        let best = self.best();
        let innovation = Innovation {
            expected: best.level,
            z: best.standardise(value, resolution),
            forecast_z: best.in_scales(value - best.level, resolution),
            naive_z: best.in_scales(value - last, resolution),
            seen: self.innovations,
        };
        self.outliers = if innovation.z.abs() > OUTLIER { self.outliers.saturating_add(1) } else { 0 };
        let shift = self.outliers >= SHIFT_RUN;
        self.innovations += 1;
        let first = 1.0 / self.innovations as f64;
        let rates = (first.max(1.0 / SCALE_MEMORY), first.max(1.0 / SCORE_MEMORY));
        for (filter, ratio) in self.filters.iter_mut().zip(RATIOS) {
            filter.update(value, ratio, rates, shift, resolution);
        }
        Some(innovation)
    }

    /// A window without a value: the level may have drifted meanwhile.
    pub(crate) fn skip(&mut self) {
        if self.last.is_some() {
            for (filter, ratio) in self.filters.iter_mut().zip(RATIOS) {
                filter.variance = (filter.variance + ratio).min(MOST_VARIANCE);
            }
        }
    }

    fn best(&self) -> &Filter {
        // The first of equals, that is the steadiest.
        self.filters.iter().reduce(|a, b| if b.loss < a.loss { b } else { a }).unwrap_or(&self.filters[0])
    }
}

impl Filter {
    fn scale(&self, resolution: f64) -> f64 {
        let floor = (RELATIVE_FLOOR * self.level.abs()).max(resolution).max(ABSOLUTE_FLOOR);
        self.scale2.max(0.0).sqrt().max(floor)
    }

    fn standardise(&self, value: f64, resolution: f64) -> f64 {
        self.in_scales((value - self.level) / (1.0 + self.variance).sqrt(), resolution)
    }

    fn in_scales(&self, difference: f64, resolution: f64) -> f64 {
        (difference / self.scale(resolution)).clamp(-Z_LIMIT, Z_LIMIT)
    }

    fn update(
        &mut self,
        value: f64,
        ratio: f64,
        (rate, score_rate): (f64, f64),
        shift: bool,
        resolution: f64,
    ) {
        if shift {
            // The level may be anywhere: what comes now says more of it than all before.
            self.variance = self.variance.max(SHIFT_VARIANCE);
        }
        let error = value - self.level;
        let standardised = error / (1.0 + self.variance).sqrt();
        let z = self.standardise(value, resolution);
        let score = self.scale(resolution).ln()
            + 0.5 * self.variance.ln_1p()
            + 0.5 * (DOF + 1.0) * (z * z / DOF).ln_1p();
        self.loss += score_rate * (score - self.loss);
        let weight = if shift { 1.0 } else { (DOF + 1.0) / (DOF + z * z) };
        if self.scale2 > 0.0 {
            self.scale2 += rate * (weight * standardised * standardised - self.scale2);
        } else {
            self.scale2 = standardised * standardised; // nothing to weigh the first deviation by
        }
        let gain = self.variance / (1.0 + self.variance);
        self.level += gain * weight.min(1.0) * error;
        self.variance = (self.variance * (1.0 - gain) + ratio).min(MOST_VARIANCE);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn normals(seed: u64) -> impl Iterator<Item = f64> {
        let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
        std::iter::repeat_with(move || StandardNormal.sample(&mut generator))
    }

    #[test]
    fn white_noise_is_forecast_by_its_mean_and_a_random_walk_by_its_last_value() {
        let mut filter = LocalLevel::default();
        let mut expected = 0.0;
        for x in normals(1).take(2000) {
            expected = filter.observe(100.0 + x, 0.0).map_or(0.0, |i| i.expected);
        }
        assert!((expected - 100.0).abs() < 0.3, "{expected}");

        let mut filter = LocalLevel::default();
        let (mut walk, mut errors) = (0.0, 0.0);
        for x in normals(2).take(2000) {
            let before = walk;
            walk += x;
            if let Some(innovation) = filter.observe(walk, 0.0) {
                errors += (innovation.expected - before).abs() / 2000.0;
            }
        }
        assert!(errors < 0.3, "the forecast of a random walk is off its last value by {errors}");
    }

    #[test]
    fn one_outlier_does_not_move_the_level_and_three_do() {
        let mut filter = LocalLevel::default();
        for x in normals(3).take(300) {
            filter.observe(50.0 + x, 0.0);
        }
        filter.observe(80.0, 0.0);
        let after_one = filter.observe(50.0, 0.0).unwrap();
        assert!((after_one.expected - 50.0).abs() < 0.7, "{after_one:?}");
        for _ in 0..6 {
            filter.observe(80.0, 0.0);
        }
        let after_many = filter.observe(80.0, 0.0).unwrap();
        assert!((after_many.expected - 80.0).abs() < 3.0, "{after_many:?}");
    }

    #[test]
    fn a_constant_channel_is_never_surprising_until_it_moves() {
        let mut filter = LocalLevel::default();
        for _ in 0..100 {
            if let Some(innovation) = filter.observe(1.0, 0.0) {
                assert_eq!(innovation.z, 0.0);
            }
        }
        assert!(filter.observe(0.5, 0.0).unwrap().z < -100.0);
    }
}
