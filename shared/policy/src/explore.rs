//! Trying providers at random beside a policy, with probabilities that are true: as deployments do, and as their logs are read.
//!
//! What is drawn is a function of the stream and the decision's number alone, so that nothing needs to be remembered of it.

use rand::RngExt as _;
use routing_env::{Candidate, Choice, Observation, Stream, generator};

use crate::policy::Decision;

/// The agent whose generator is drawn from: no swarm has so many.
const EXPLORER: u32 = u32::MAX;

/// How a stream of decisions explores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exploration {
    seed: u64,
    epsilon: f64,
    cost_guard: f64,
}

impl Exploration {
    /// With the probability `epsilon` one of the providers is drawn that cost at most `cost_guard` more than the cheapest,
    /// as a share of its price.
    #[must_use]
    pub fn new(seed: u64, epsilon: f64, cost_guard: f64) -> Self {
        Self { seed, epsilon, cost_guard }
    }

    /// Whether a provider is tried at random in this decision, whoever makes it.
    #[must_use]
    pub fn tries(&self, decision: u64) -> bool {
        self.epsilon > 0.0 && self.rng(decision).random::<f64>() < self.epsilon
    }

    /// The decision, or one at random among the providers that cost little more than the cheapest; with the probability of
    /// what was chosen, whoever chose it. A policy that draws by itself is left alone, for only it knows the probability of
    /// all that it could have drawn; a request that is to wait is decided when it comes again.
    #[must_use]
    pub fn explore(&self, decided: Decision, observation: &Observation<'_>, decision: u64) -> Decision {
        if self.leaves_alone(&decided) {
            return decided;
        }
        let probability = |choice| self.probability(&decided, observation.candidates, choice);
        let mut rng = self.rng(decision);
        if rng.random::<f64>() >= self.epsilon {
            return Decision { propensity: probability(decided.choice), ..decided };
        }
        let guarded = self.guarded(observation.candidates);
        let choice = Choice::Route(guarded[rng.random_range(0..guarded.len())]);
        let value = decided.value.filter(|_| choice == decided.choice);
        Decision { choice, explored: true, propensity: probability(choice), value }
    }

    /// The probability that [`Exploration::explore`] makes this choice of what the policy itself decided. Of a policy that
    /// draws by itself it is that of each feasible provider: the rule `random` alone does so when it is asked.
    #[must_use]
    pub fn probability(&self, decided: &Decision, candidates: &[Candidate], choice: Choice) -> f64 {
        if decided.propensity < 1.0 {
            let is_feasible = candidates.iter().any(|candidate| choice == Choice::Route(candidate.provider));
            return if is_feasible { decided.propensity } else { 0.0 };
        }
        let is_own = choice == decided.choice;
        if self.leaves_alone(decided) {
            return if is_own { 1.0 } else { 0.0 };
        }
        let guarded = self.guarded(candidates);
        let share = self.epsilon / guarded.len() as f64;
        let kept = if is_own { 1.0 - self.epsilon } else { 0.0 };
        let is_guarded = guarded.iter().any(|provider| choice == Choice::Route(*provider));
        kept + if is_guarded { share } else { 0.0 }
    }

    fn rng(&self, decision: u64) -> impl rand::Rng + use<> {
        generator(self.seed ^ decision.wrapping_mul(0x9e37_79b9_7f4a_7c15), Stream::Agent(EXPLORER))
    }

    fn leaves_alone(&self, decided: &Decision) -> bool {
        decided.choice == Choice::Defer || decided.propensity < 1.0 || self.epsilon == 0.0
    }

    /// At least the cheapest of them.
    fn guarded(&self, candidates: &[Candidate]) -> Vec<usize> {
        let cheapest = candidates.iter().map(|candidate| candidate.price).fold(f64::INFINITY, f64::min);
        let most = cheapest * (1.0 + self.cost_guard);
        candidates
            .iter()
            .filter(|candidate| candidate.price <= most)
            .map(|candidate| candidate.provider)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three providers, of which the third costs half as much again.
    const CANDIDATES: [Candidate; 3] = [
        Candidate { provider: 4, price: 2.0, latency_ms: 300.0 },
        Candidate { provider: 6, price: 2.2, latency_ms: 200.0 },
        Candidate { provider: 7, price: 3.0, latency_ms: 100.0 },
    ];

    #[test]
    fn the_probabilities_of_all_choices_add_up_to_one() {
        let exploration = Exploration::new(1, 0.3, 0.2);
        for (own, expected) in [
            (Choice::Route(4), [0.85, 0.15, 0.0, 0.0]),
            (Choice::Route(7), [0.15, 0.15, 0.7, 0.0]),
            (Choice::Hold, [0.15, 0.15, 0.0, 0.7]),
        ] {
            let choices = [Choice::Route(4), Choice::Route(6), Choice::Route(7), Choice::Hold];
            let found =
                choices.map(|choice| exploration.probability(&Decision::certain(own), &CANDIDATES, choice));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{own:?}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn what_is_deferred_is_certain_and_what_a_policy_draws_is_its_own() {
        let exploration = Exploration::new(1, 0.3, 0.2);
        let deferred = Decision::certain(Choice::Defer);
        assert_eq!(exploration.probability(&deferred, &CANDIDATES, Choice::Defer), 1.0);
        assert_eq!(exploration.probability(&deferred, &CANDIDATES, Choice::Route(4)), 0.0);
        let drawn = Decision { propensity: 1.0 / 3.0, ..Decision::certain(Choice::Route(4)) };
        assert_eq!(exploration.probability(&drawn, &CANDIDATES, Choice::Route(7)), 1.0 / 3.0);
        assert_eq!(exploration.probability(&drawn, &CANDIDATES, Choice::Hold), 0.0);
    }
}
