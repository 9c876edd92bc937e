//! Hand rules: what platform engineers write today, and what a learner has to beat.

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{Candidate, Choice, Observation, Preference, Stream, generator};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};

use crate::{
    board::Board,
    policy::{Decision, Policy},
    prices::bid_price::BidPrice,
    rules::size::{DeferLarge, Reserve},
};

/// A rule that nobody has to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(
    serialize_all = "kebab-case",
    parse_err_fn = UnknownRule::new,
    parse_err_ty = UnknownRule
)]
pub enum Rule {
    /// The baseline: the highest weighted sum of 1/price, 1/latency, reputation and availability.
    WeightedScore,
    /// The lowest price.
    Cheapest,
    /// The lowest latency.
    Fastest,
    /// Any feasible provider, all equally likely.
    Random,
    /// The highest `excess-cost` reward; holds when that is negative and holding is allowed.
    GreedyReward,
    /// Nested booking limits: a job takes what the shorter ones that are still expected leave over.
    Reserve,
    /// The longest jobs wait for the end of the step, and come back the smallest first.
    DeferLarge,
    /// Bid prices from the catalog's word: the fluid program of the rest of the step.
    BidPrice,
    /// Bid prices from the truth, where it is hidden from others: what knowing it would be worth.
    BidPriceInformed,
}

impl Rule {
    /// All that know no more than a learner does, the baseline first.
    pub const ALL: [Self; 8] = [
        Self::WeightedScore,
        Self::Cheapest,
        Self::Fastest,
        Self::Random,
        Self::GreedyReward,
        Self::Reserve,
        Self::DeferLarge,
        Self::BidPrice,
    ];

    /// The rules that are told what others are not, for reference.
    pub const REFERENCES: [Self; 1] = [Self::BidPriceInformed];

    /// The rule that everything is compared with.
    pub const BASELINE: Self = Self::WeightedScore;

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The rule as a policy.
    #[must_use]
    pub fn policy(self) -> Box<dyn Policy> {
        let scored = |score| -> Box<dyn Policy> { Box::new(Scored { name: self.name(), score }) };
        match self {
            Self::WeightedScore => scored(weighted_score),
            Self::Cheapest => scored(|_, candidate| -candidate.price),
            Self::Fastest => scored(|_, candidate| -candidate.latency_ms),
            Self::Random => Box::new(Random { rng: generator(0, Stream::Agent(0)) }),
            Self::GreedyReward => Box::new(GreedyReward),
            Self::Reserve => Box::new(Reserve::default()),
            Self::DeferLarge => Box::new(DeferLarge::default()),
            Self::BidPrice => Box::new(BidPrice::new(self.name(), false)),
            Self::BidPriceInformed => Box::new(BidPrice::new(self.name(), true)),
        }
    }
}

/// No rule has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule `{0}`: expected {names}", names = Rule::names())]
pub struct UnknownRule(pub String);

impl UnknownRule {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Rule {
    /// All names, for messages.
    pub(crate) fn names() -> String {
        let names = Self::VARIANTS;
        let (last, others) = names.split_last().map_or(("", &[][..]), |(last, others)| (*last, others));
        format!("{} or {last}", others.join(", "))
    }
}

/// Routes where a score is highest.
#[derive(Clone)]
struct Scored {
    name: &'static str,
    score: fn(&Observation<'_>, &Candidate) -> f64,
}

impl Policy for Scored {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decide(&mut self, observation: &Observation<'_>, _board: &mut Board) -> Decision {
        let chosen = best(observation.candidates, |c| (self.score)(observation, c));
        Decision::certain(Choice::Route(chosen.provider))
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        Some((self.score)(observation, candidate))
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}

#[derive(Clone)]
struct Random {
    rng: Pcg64,
}

impl Policy for Random {
    fn name(&self) -> &'static str {
        Rule::Random.name()
    }

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
    }

    fn decide(&mut self, observation: &Observation<'_>, _board: &mut Board) -> Decision {
        let candidates = observation.candidates;
        let chosen = candidates[self.rng.random_range(0..candidates.len())];
        let propensity = 1.0 / candidates.len() as f64;
        Decision { propensity, ..Decision::certain(Choice::Route(chosen.provider)) }
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}

#[derive(Clone)]
struct GreedyReward;

impl Policy for GreedyReward {
    fn name(&self) -> &'static str {
        Rule::GreedyReward.name()
    }

    fn decide(&mut self, observation: &Observation<'_>, _board: &mut Board) -> Decision {
        Decision::certain(greedy(observation, observation.candidates))
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        Some(reward(observation, candidate))
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}

/// Routes to the highest `excess-cost` reward among these candidates (at least one); holds when that is
/// negative and holding is allowed.
pub(crate) fn greedy(observation: &Observation<'_>, candidates: &[Candidate]) -> Choice {
    let chosen = best(candidates, |candidate| reward(observation, candidate));
    if observation.may_hold && reward(observation, &chosen) < 0.0 {
        Choice::Hold
    } else {
        Choice::Route(chosen.provider)
    }
}

/// What the candidate promises by the reward `excess-cost`.
fn reward(observation: &Observation<'_>, candidate: &Candidate) -> f64 {
    Preference::EXCESS_COST.reward(&candidate.outcome(observation.env, observation.request))
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

/// `w.price / price + w.latency / latency_ms + w.reputation · reputation/100 + w.availability · remaining/capacity`.
fn weighted_score(observation: &Observation<'_>, candidate: &Candidate) -> f64 {
    let weights = &observation.env.workloads().tenants[observation.request.tenant].weights;
    let provider = &observation.market.providers()[candidate.provider];
    weights.price / candidate.price
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
