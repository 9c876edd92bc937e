//! Playing under constraints, whose prices are learned while deciding.
//!
//! A constraint on an episode ([`Constraint`]) is heeded by whoever pays a price for missing it. The right price is the one
//! at which it is just met. It is found by dual mirror descent (Balseiro, Lu and Mirrokni 2023, "The Best of Many Worlds: Dual
//! Mirror Descent for Online Allocation Problems"): after each step the price grows by a factor with what was missed, and falls
//! with what was to spare, so that one step size does for prices of every size. What counts is the episode as a whole: the
//! price answers to the sum of all that was missed so far, as a share of what is allowed in the steps that are left to make
//! up for it. That is the integral term of a controller (Stooke, Achiam and Abbeel 2020, "Responsive Safety in Reinforcement
//! Learning by PID Lagrangian Methods") whose gain grows as the end comes near.
//!
//! An episode is too short to find a price from nothing without wasting half of it. So the price that an episode begins with is
//! that of rehearsals: episodes of the environment on training seeds, which no test meets. It is the median of their mean
//! prices, because in an episode in which nobody can meet the constraint the price grows without end.

use std::ops::ControlFlow;

use routing_env::{Constraint, Environment, Episode, Metrics, Preference, Reward, Sums, Term};

use crate::{step_report::StepReport, swarm::Swarm};

/// Episodes that are rehearsed have these seeds.
const REHEARSED_SEEDS: std::ops::Range<u64> = 1..4;

/// A price becomes e times as high when what was missed is this share of what is allowed from now on. Chosen, as the two
/// that follow, on development seeds of `contended`: with half of it a tight bound costs 7 points more of the gap to the
/// limit, and with three times as much a usual one is missed by four times as much.
const FOLDING_SHARE: f64 = 1.0 / 30.0;

/// What was missed is made up for in no less than this share of the episode: to make up for all in the last steps would
/// cost more than it is worth.
const LEAST_TIME: f64 = 0.1;

/// Where prices grow from, in unit prices ([`Term::unit_price`]): a price of 0 would stay one.
const GROWS_FROM: f64 = 0.1;

/// No price is above so many unit prices; beside it nothing else counts.
const HIGHEST_PRICE: f64 = 100.0;

/// A preference with constraints, and the prices that a policy begins an episode with.
#[derive(Clone, Debug, PartialEq)]
pub struct Constrained {
    preference: Preference,
    constraints: Vec<Constraint>,
    /// What they come to, in their order, and the price that each begins with.
    terms: Vec<Term>,
    first_prices: Vec<f64>,
}

impl Constrained {
    /// With the prices that this swarm comes to when it rehearses; a copy of it does. The swarm neither learns nor explores.
    #[must_use]
    pub fn rehearsed(
        preference: Preference,
        constraints: Vec<Constraint>,
        swarm: &Swarm,
        env: &Environment,
    ) -> Self {
        let terms = Term::of_all(&constraints, env.workloads().tenants.len());
        let first_prices = vec![0.0; terms.len()];
        let mut constrained = Self { preference, constraints, terms, first_prices };
        let (mut swarm, mut found) = (swarm.clone(), Vec::new());
        for seed in REHEARSED_SEEDS {
            found.extend(constrained.play_terms(&mut swarm, env, seed, |_| ControlFlow::Continue(())));
            constrained.first_prices = medians(&found);
        }
        constrained
    }

    /// Plays the episode with this seed and shows every step to `watch`, which may break it off: then it is `None`, and the
    /// swarm of no further use. The mean price of each constraint, of those that are about every tenant that of the dearest.
    /// Rewards are by the preference without any price.
    pub fn play(
        &self,
        swarm: &mut Swarm,
        env: &Environment,
        seed: u64,
        watch: impl FnMut(&StepReport) -> ControlFlow<()>,
    ) -> Option<Vec<f64>> {
        let prices = self.play_terms(swarm, env, seed, watch)?;
        Some(Term::dearest(&self.constraints, env.workloads().tenants.len(), &prices))
    }

    /// The same with the mean price of each term.
    fn play_terms(
        &self,
        swarm: &mut Swarm,
        env: &Environment,
        seed: u64,
        mut watch: impl FnMut(&StepReport) -> ControlFlow<()>,
    ) -> Option<Vec<f64>> {
        let reward = Reward::Preference(self.preference);
        let mut episode = Episode::new(env, seed, reward);
        let mut report = StepReport::new(env);
        let mut sum = vec![0.0; self.terms.len()];
        let mut so_far = Metrics::new(env);
        swarm.begin_episode(seed);
        for step in 0..env.steps() {
            let prices = self.prices(&so_far, step, env);
            swarm.reprice(&Term::all_priced(&self.terms, &prices, self.preference));
            if !swarm.run_step(&mut episode, reward, &mut report) {
                break;
            }
            sum.iter_mut().zip(prices).for_each(|(sum, price)| *sum += price);
            so_far.merge(&report.metrics);
            if watch(&report).is_break() {
                return None;
            }
        }
        swarm.end_episode();
        Some(sum.into_iter().map(|sum| sum / f64::from(env.steps())).collect())
    }

    /// What each term is priced after so many steps in which this happened.
    fn prices(&self, so_far: &Metrics, steps: u32, env: &Environment) -> Vec<f64> {
        let (all, steps) = (f64::from(env.steps()), f64::from(steps));
        let left = (all - steps).max(all * LEAST_TIME);
        let so_far = Sums::of(so_far);
        let price = |(term, first): (&Term, &f64)| {
            let missed = term.missed_by(&so_far) * steps / left;
            let unit = term.unit_price(self.preference, env);
            let from = GROWS_FROM * unit;
            ((first + from) * (missed / FOLDING_SHARE).exp() - from).clamp(0.0, HIGHEST_PRICE * unit)
        };
        self.terms.iter().zip(&self.first_prices).map(price).collect()
    }
}

/// Of each term's prices the median; of an even number the lower one of the two in the middle.
fn medians(episodes: &[Vec<f64>]) -> Vec<f64> {
    let terms = episodes.first().map_or(0, Vec::len);
    let median = |term: usize| {
        let mut prices: Vec<f64> = episodes.iter().map(|prices| prices[term]).collect();
        prices.sort_by(f64::total_cmp);
        prices[(prices.len() - 1) / 2]
    };
    (0..terms).map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_in_which_nobody_can_meet_a_constraint_does_not_decide_where_others_begin() {
        assert_eq!(medians(&[vec![0.2, 3.0]]), [0.2, 3.0]);
        assert_eq!(medians(&[vec![0.2, 3.0], vec![5000.0, 2.0]]), [0.2, 2.0]);
        assert_eq!(medians(&[vec![0.2, 3.0], vec![5000.0, 2.0], vec![0.3, 9.0]]), [0.3, 3.0]);
    }
}
