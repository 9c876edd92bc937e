//! Rules that look at one request at a time: the candidate with the highest score, or any.

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{Candidate, Choice, Observation, Preferences, Stream, generator};
use serde_json::Value;

use crate::{
    policy::{Decision, Order},
    rules::hand_rule::HandRule,
};

/// Routes where a score is highest.
#[derive(Clone)]
pub(crate) struct Scored {
    pub(crate) score: fn(&Observation<'_>, &Candidate) -> f64,
}

impl HandRule for Scored {
    type Shared = ();

    const ORDER: Order = Order::Arrival;

    fn decide(&mut self, observation: &Observation<'_>, (): &mut ()) -> Decision {
        let chosen = best(observation.candidates, |c| (self.score)(observation, c));
        Decision::certain(Choice::Route(chosen.provider))
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        Some((self.score)(observation, candidate))
    }
}

/// Any feasible provider, all equally likely.
#[derive(Clone)]
pub(crate) struct Random {
    rng: Pcg64,
}

impl Random {
    pub(crate) fn new() -> Self {
        Self { rng: generator(0, Stream::Agent(0)) }
    }
}

impl HandRule for Random {
    type Shared = ();

    const ORDER: Order = Order::Arrival;

    fn seen(&self) -> Option<Value> {
        None // how far its draws have come
    }

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
    }

    fn decide(&mut self, observation: &Observation<'_>, (): &mut ()) -> Decision {
        let candidates = observation.candidates;
        let chosen = candidates[self.rng.random_range(0..candidates.len())];
        let propensity = 1.0 / candidates.len() as f64;
        Decision { propensity, ..Decision::certain(Choice::Route(chosen.provider)) }
    }
}

/// The highest reward.
#[derive(Clone)]
pub(crate) struct GreedyReward {
    wanted: Preferences,
}

impl GreedyReward {
    /// For those who want this.
    pub(crate) fn new(wanted: Preferences) -> Self {
        Self { wanted }
    }
}

impl HandRule for GreedyReward {
    type Shared = ();

    const ORDER: Order = Order::Arrival;

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        self.wanted.clone_from(wanted);
        true
    }

    fn decide(&mut self, observation: &Observation<'_>, (): &mut ()) -> Decision {
        Decision::certain(greedy(observation, observation.candidates, &self.wanted))
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        Some(reward(observation, candidate, &self.wanted))
    }
}

/// Routes to the highest reward among these candidates (at least one), for those who want this; holds when that is
/// negative and holding is allowed.
pub(crate) fn greedy(
    observation: &Observation<'_>,
    candidates: &[Candidate],
    wanted: &Preferences,
) -> Choice {
    let chosen = best(candidates, |candidate| reward(observation, candidate, wanted));
    if observation.may_hold && reward(observation, &chosen, wanted) < 0.0 {
        Choice::Hold
    } else {
        Choice::Route(chosen.provider)
    }
}

/// What the candidate promises.
fn reward(observation: &Observation<'_>, candidate: &Candidate, wanted: &Preferences) -> f64 {
    wanted.of(observation.request.tenant).reward(&candidate.outcome(observation.env, observation.request))
}

/// The highest score, compared exactly; of equal ones the first in catalog order.
fn best(candidates: &[Candidate], score: impl Fn(&Candidate) -> f64) -> Candidate {
    let mut best = (candidates[0], score(&candidates[0]));
    for candidate in &candidates[1..] {
        let score = score(candidate);
        if score > best.1 {
            best = (*candidate, score);
        }
    }
    best.0
}

/// Prices below a millionth of a dollar count as that much: what costs nothing is better than all that costs something,
/// and of two such providers the other terms decide.
const LEAST_PRICE_USD_PER_HOUR: f64 = 1e-6;

/// `w.price / price + w.latency / latency_ms + w.reputation · reputation/100 + w.availability · remaining/capacity`.
pub(crate) fn weighted_score(observation: &Observation<'_>, candidate: &Candidate) -> f64 {
    let weights = &observation.env.workloads().tenants[observation.request.tenant].weights;
    let provider = &observation.market.providers()[candidate.provider];
    weights.price / candidate.price.max(LEAST_PRICE_USD_PER_HOUR)
        + weights.latency / candidate.latency_ms
        + weights.reputation * provider.reputation / 100.0
        + weights.availability * provider.remaining / provider.capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_bit_that_one_is_better_decides_and_equal_ones_keep_the_catalogs_order() {
        let at = |provider, price| Candidate { provider, price, latency_ms: 1.0 };
        let cheapest = |candidates: &[Candidate]| best(candidates, |candidate| -candidate.price).provider;
        assert_eq!(cheapest(&[at(3, 2.0), at(5, 2.0_f64.next_down()), at(7, 2.0)]), 5);
        assert_eq!(cheapest(&[at(3, 2.0), at(5, 2.0), at(7, 2.0)]), 3);
    }
}
