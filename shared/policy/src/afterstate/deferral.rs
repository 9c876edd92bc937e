//! What it is worth to set a request aside, learned from what became of those that were.

use serde::{Deserialize, Serialize};

use crate::{afterstate::concave_tables::PHASES, knowledge::weighted_mean};

/// A new outcome counts at least this much.
const LEAST_RATE: f64 = 0.02;

/// The mean reward of requests that were set aside, by their class and the phase of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeferralValues {
    values: Vec<f64>,
    /// Outcomes up to the last merge.
    visits: Vec<u64>,
    /// Outcomes since then.
    fresh: Vec<u64>,
    /// What others learned, which is acted on beside one's own: means, and in how many outcomes.
    #[serde(skip)]
    others: Option<Vec<(f64, u64)>>,
}

/// What several came to together: the mean and how many outcomes are in it, and how many there were before.
pub(crate) type DeferralPool = Vec<(f64, u64, u64)>;

impl DeferralValues {
    pub(crate) fn new(classes: usize) -> Self {
        let cells = classes * PHASES;
        Self { values: vec![0.0; cells], visits: vec![0; cells], fresh: vec![0; cells], others: None }
    }

    /// Those that came to these `[class][phase]` in so many outcomes.
    pub(crate) fn acting_on(values: &[[f64; PHASES]], visits: &[[u64; PHASES]]) -> Self {
        let (values, visits) = (values.as_flattened().to_vec(), visits.as_flattened().to_vec());
        Self { fresh: vec![0; values.len()], values, visits, others: None }
    }

    /// What is acted on as far as it is one's own, and in how many outcomes it was learned, `[class][phase]` each.
    pub(crate) fn shown(&self) -> (Vec<[f64; PHASES]>, Vec<[u64; PHASES]>) {
        let visits: Vec<u64> =
            self.visits.iter().zip(&self.fresh).map(|(before, fresh)| before + fresh).collect();
        (self.values.as_chunks().0.to_vec(), visits.as_chunks().0.to_vec())
    }

    /// Keeps this share of the outcomes; the means stay.
    pub(crate) fn forget(&mut self, kept: f64) {
        for count in self.visits.iter_mut().chain(&mut self.fresh) {
            *count = (*count as f64 * kept) as u64;
        }
    }

    /// True when it is of so many classes.
    pub(crate) fn fits(&self, classes: usize) -> bool {
        let cells = classes * PHASES;
        [self.values.len(), self.visits.len(), self.fresh.len()] == [cells; 3]
            && self.values.iter().all(|value| value.is_finite())
    }

    pub(crate) fn value(&self, class: usize, phase: usize) -> f64 {
        let cell = class * PHASES + phase;
        let own = self.values[cell];
        let Some(others) = &self.others else { return own };
        let ((mean, more), outcomes) = (others[cell], self.visits[cell] + self.fresh[cell]);
        weighted_mean((own, outcomes as f64), (mean, more as f64))
    }

    /// Acts on what others learned too (a value and a number of outcomes for each class and phase), in the place of what it
    /// heeded before.
    pub(crate) fn heed(&mut self, others: Option<(&[f64], &[u64])>) {
        self.others =
            others.map(|(values, visits)| values.iter().copied().zip(visits.iter().copied()).collect());
    }

    pub(crate) fn learn(&mut self, class: usize, phase: usize, reward: f64) {
        let cell = class * PHASES + phase;
        self.fresh[cell] += 1;
        let rate = (1.0 / (self.visits[cell] + self.fresh[cell]) as f64).max(LEAST_RATE);
        self.values[cell] += rate * (reward - self.values[cell]);
    }

    /// The mean of each value, weighted by its outcomes since the last merge.
    pub(crate) fn pool<'a>(all: impl Iterator<Item = &'a Self>) -> DeferralPool {
        let mut pool = DeferralPool::new();
        for own in all {
            pool.resize(own.values.len(), (0.0, 0, 0));
            for (cell, (mean, fresh, before)) in pool.iter_mut().enumerate() {
                *before = (*before).max(own.visits[cell]);
                if own.fresh[cell] > 0 {
                    *fresh += own.fresh[cell];
                    *mean += own.fresh[cell] as f64 / *fresh as f64 * (own.values[cell] - *mean);
                }
            }
        }
        pool
    }

    /// Takes them over; what had no outcome stays.
    pub(crate) fn adopt(&mut self, pool: &DeferralPool) {
        self.fresh.fill(0);
        for (cell, (mean, fresh, before)) in pool.iter().enumerate() {
            if *fresh > 0 {
                self.values[cell] = *mean;
                self.visits[cell] = before + fresh;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_averaged_and_pooled_by_their_number() {
        let learned = |rewards: &[f64]| {
            let mut values = DeferralValues::new(2);
            rewards.iter().for_each(|reward| values.learn(1, 3, *reward));
            values
        };
        let (one, other) = (learned(&[40.0, 0.0, 20.0]), learned(&[0.0]));
        assert_eq!((one.value(1, 3), one.value(0, 3)), (20.0, 0.0));
        let mut merged = other.clone();
        merged.adopt(&DeferralValues::pool([&one, &other].into_iter()));
        assert_eq!(merged.value(1, 3), 15.0); // (3·20 + 1·0)/4
        let pool = DeferralValues::pool([&merged, &merged].into_iter());
        let before = merged.clone();
        merged.adopt(&pool);
        assert_eq!(merged, before);
    }
}
