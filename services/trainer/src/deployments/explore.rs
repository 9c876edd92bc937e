//! Trying providers at random, with probabilities that are true.
//!
//! What is drawn is a function of the stream and the decision's number alone, so that nothing needs to be remembered of it.

use policy::Decision;
use rand::RngExt as _;
use routing_env::{Candidate, Choice, Observation, Stream, generator};

/// The agent whose generator is drawn from: no swarm has so many.
const EXPLORER: u32 = u32::MAX;

/// How a deployment explores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exploration {
    seed: u64,
    epsilon: f64,
    cost_guard: f64,
}

impl Exploration {
    pub(crate) fn new(seed: u64, epsilon: f64, cost_guard: f64) -> Self {
        Self { seed, epsilon, cost_guard }
    }

    /// The decision, or one at random among the providers that cost little more than the cheapest; with the probability of
    /// what was chosen, whoever chose it. A policy that draws by itself is left alone, for only it knows the probability of
    /// all that it could have drawn; a request that is to wait is decided when it comes again.
    pub(crate) fn explore(
        &self,
        decided: Decision,
        observation: &Observation<'_>,
        decision: u64,
    ) -> Decision {
        if decided.choice == Choice::Defer || decided.propensity < 1.0 || self.epsilon == 0.0 {
            return decided;
        }
        let guarded = self.guarded(observation.candidates);
        let mut rng =
            generator(self.seed ^ decision.wrapping_mul(0x9e37_79b9_7f4a_7c15), Stream::Agent(EXPLORER));
        let share = self.epsilon / guarded.len() as f64;
        let is_guarded = |choice: Choice| guarded.iter().any(|provider| choice == Choice::Route(*provider));
        let probability = |choice: Choice| {
            let kept = if choice == decided.choice { 1.0 - self.epsilon } else { 0.0 };
            kept + if is_guarded(choice) { share } else { 0.0 }
        };
        if rng.random::<f64>() >= self.epsilon {
            return Decision { propensity: probability(decided.choice), ..decided };
        }
        let choice = Choice::Route(guarded[rng.random_range(0..guarded.len())]);
        let value = decided.value.filter(|_| choice == decided.choice);
        Decision { choice, explored: true, propensity: probability(choice), value }
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
