//! Hand rules: what platform engineers write today, and what a learner has to beat.

use std::{fmt, str::FromStr};

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{Candidate, Choice, Observation, Stream, generator};

use crate::policy::{Decision, Policy};

/// A rule that routes to one of the feasible providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Rule {
    /// All of them, the baseline first.
    pub const ALL: [Self; 5] =
        [Self::WeightedScore, Self::Cheapest, Self::Fastest, Self::Random, Self::GreedyReward];

    /// The rule that everything is compared with.
    pub const BASELINE: Self = Self::WeightedScore;

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WeightedScore => "weighted-score",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::Random => "random",
            Self::GreedyReward => "greedy-reward",
        }
    }

    /// The rule as a policy.
    #[must_use]
    pub fn policy(self) -> Box<dyn Policy> {
        Box::new(RulePolicy { rule: self, rng: generator(0, Stream::Agent(0)) })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No rule has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule `{0}`: expected weighted-score, cheapest, fastest, random or greedy-reward")]
pub struct UnknownRule(pub String);

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(name: &str) -> Result<Self, UnknownRule> {
        Self::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| UnknownRule(name.into()))
    }
}

#[derive(Clone)]
struct RulePolicy {
    rule: Rule,
    rng: Pcg64,
}

impl Policy for RulePolicy {
    fn name(&self) -> &'static str {
        self.rule.name()
    }

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let candidates = observation.candidates;
        let chosen = match self.rule {
            Rule::WeightedScore => best(candidates, |c| weighted_score(observation, c)),
            Rule::Cheapest => best(candidates, |c| -c.price),
            Rule::Fastest => best(candidates, |c| -c.latency_ms),
            Rule::GreedyReward => best(candidates, |c| expected_reward(observation, c)),
            Rule::Random => {
                let chosen = candidates[self.rng.random_range(0..candidates.len())];
                let propensity = 1.0 / candidates.len() as f64;
                return Decision { propensity, ..Decision::certain(Choice::Route(chosen.provider)) };
            }
        };
        if self.rule == Rule::GreedyReward
            && observation.may_hold
            && expected_reward(observation, &chosen) < 0.0
        {
            return Decision::certain(Choice::Hold);
        }
        Decision::certain(Choice::Route(chosen.provider))
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        match self.rule {
            Rule::WeightedScore => Some(weighted_score(observation, candidate)),
            Rule::Cheapest => Some(-candidate.price),
            Rule::Fastest => Some(-candidate.latency_ms),
            Rule::GreedyReward => Some(expected_reward(observation, candidate)),
            Rule::Random => None,
        }
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}

/// Scores that differ by less are a tie. Prices, hours and capacities carry three digits in files and
/// traces, and what cannot be read from them must not decide.
const TIE: f64 = 1e-6;

/// The highest score; on a tie, the first in catalog order.
fn best(candidates: &[Candidate], score: impl Fn(&Candidate) -> f64) -> Candidate {
    let mut best = (candidates[0], score(&candidates[0]));
    for candidate in &candidates[1..] {
        let score = score(candidate);
        if score > best.1 + TIE {
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

/// The `excess-cost` reward of routing the request there.
fn expected_reward(observation: &Observation<'_>, candidate: &Candidate) -> f64 {
    let request = observation.request;
    let list_price = observation.env.list_price(request.gpu_type).unwrap_or(candidate.price);
    50.0 - 3.0 * (candidate.price - list_price) * request.hours - 0.02 * candidate.latency_ms
}
