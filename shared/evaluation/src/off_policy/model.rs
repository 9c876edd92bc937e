//! A model of rewards: what share of the reward that is promised each provider really brings.
//!
//! One figure for each choice, by least squares through the origin, drawn to that of all choices together where a choice was
//! seldom made. It is coarse on purpose: what it gets wrong, the doubly robust estimator puts right, and it must not learn
//! the luck of single jobs.

use std::collections::BTreeMap;

use routing_env::Choice;

use super::situation::{Sample, Taken};

/// Parts into which requests are divided: what is said of one part is learned from the others (cross-fitting: Chernozhukov
/// et al. 2018), and the direct method is looked at without each of them.
pub(super) const PARTS: usize = 20;

/// How many decisions of usual size the figure of all choices together counts for.
const PRIOR_DECISIONS: f64 = 20.0;

/// What was learned.
pub(super) struct Model {
    pooled: f64,
    shares: BTreeMap<u64, f64>,
}

/// The part that a request is in: neighbours are in different ones.
pub(super) fn part_of(request: u64) -> usize {
    (request.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PARTS
}

impl Model {
    /// From these decisions.
    pub(super) fn fit<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut sums = BTreeMap::<u64, [f64; 3]>::new();
        for Sample { logged, reward, .. } in samples {
            let [count, product, square] = sums.entry(key(logged.choice)).or_default();
            *count += 1.0;
            *product += logged.promised * reward;
            *square += logged.promised * logged.promised;
        }
        let total = |which: usize| sums.values().map(|sum| sum[which]).sum::<f64>();
        let [count, product, square] = [total(0), total(1), total(2)];
        if square == 0.0 {
            return Self { pooled: 0.0, shares: BTreeMap::new() };
        }
        let (pooled, prior) = (product / square, PRIOR_DECISIONS * square / count);
        let share = |[_, product, square]: [f64; 3]| (product + prior * pooled) / (square + prior);
        Self { pooled, shares: sums.into_iter().map(|(choice, sums)| (choice, share(sums))).collect() }
    }

    /// What a choice is expected to bring.
    pub(super) fn expects(&self, taken: &Taken) -> f64 {
        taken.promised * self.shares.get(&key(taken.choice)).unwrap_or(&self.pooled)
    }
}

fn key(choice: Choice) -> u64 {
    match choice {
        Choice::Hold => 0,
        Choice::Defer => 1,
        Choice::Route(provider) => provider as u64 + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(provider: usize, promised: f64, reward: f64) -> Sample {
        let logged = Taken { choice: Choice::Route(provider), propensity: 1.0, promised };
        Sample { request: 0, logged, target: logged, reward }
    }

    #[test]
    fn a_provider_that_brings_half_of_what_it_promises_is_expected_to() {
        let good = (0..1000).map(|_| sample(0, 40.0, 40.0));
        let bad = (0..1000).map(|n| sample(1, 40.0, if n % 2 == 0 { 40.0 } else { 0.0 }));
        let samples: Vec<_> = good.chain(bad).collect();
        let model = Model::fit(samples.iter());
        let expects = |provider| {
            model.expects(&Taken { choice: Choice::Route(provider), propensity: 0.0, promised: 30.0 })
        };
        // 30 · (1000 + 20 · 3/4) / 1020 and so on: 20 decisions speak for the mean of both
        assert!((expects(0) - 30.0 * 1015.0 / 1020.0).abs() < 1e-9);
        assert!((expects(1) - 30.0 * 515.0 / 1020.0).abs() < 1e-9);
        assert!((expects(2) - 22.5).abs() < 1e-9);
        assert_eq!(model.expects(&Taken { choice: Choice::Hold, propensity: 0.0, promised: 0.0 }), 0.0);
    }

    #[test]
    fn of_nothing_nothing_is_expected() {
        let model = Model::fit(std::iter::empty());
        assert_eq!(model.expects(&Taken { choice: Choice::Route(0), propensity: 0.0, promised: 3.0 }), 0.0);
    }
}
