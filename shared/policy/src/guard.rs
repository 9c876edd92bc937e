//! Never worse than from scratch: a swarm that began with a prior has a twin beside it that did not.
//!
//! The twin learns in thought: it plays each step again, with the same requests in the same market, as if it were alone.
//! What both would then earn, neither exploring, is compared on the same steps, so that the steps' own difficulty cancels
//! out. Once the twin earns more than luck explains, the swarm goes on as the twin: a prior can cost a few steps, and
//! nothing in the end. What is hidden in a step nobody can rehearse, so that the twin learns by the catalog's word.

use routing_env::{Environment, Market, Request, Reward};
use serde::{Deserialize, Serialize};

/// One step in so many is judged: what is learned in one step changes little.
const JUDGED_EVERY: u64 = 4;

/// What a judged step keeps of those before it: about fifty count.
const KEPT: f64 = 0.98;

/// As many judged steps are needed before anything is concluded.
const LEAST_JUDGED: u64 = 20;

/// How many standard errors the twin has to be ahead.
const STANDARD_ERRORS: f64 = 2.0;

/// A step that was played, as it began.
pub(crate) struct Step<'a> {
    pub(crate) env: &'a Environment,
    pub(crate) market: &'a Market,
    pub(crate) requests: &'a [Request],
    /// Its place in the episode.
    pub(crate) number: u32,
    pub(crate) reward: Reward,
}

/// Who can play a step again in thought.
pub(crate) trait Rehearses {
    /// What it would earn, neither learning nor exploring, in points a request.
    fn would_earn(&self, step: &Step<'_>) -> Option<f64>;

    /// Learns from it.
    fn learn_from(&mut self, step: &Step<'_>);
}

/// The twin, and how it does.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    twin: Box<S>,
    lead: Lead,
    steps: u64,
}

/// How far the twin is ahead: a mean over judged steps of which older ones count less, in points a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lead {
    judged: u64,
    weight: f64,
    weight_squared: f64,
    mean: f64,
    /// Σ weight · (difference − mean)².
    squares: f64,
}

/// What going on needs of it, with the state of the twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardState<T> {
    twin: T,
    lead: Lead,
    steps: u64,
}

impl Lead {
    /// Takes account of a step (West 1979, with weights that decay).
    fn count(&mut self, difference: f64) {
        self.judged += 1;
        self.weight = KEPT * self.weight + 1.0;
        self.weight_squared = KEPT * KEPT * self.weight_squared + 1.0;
        self.squares *= KEPT;
        let from_mean = difference - self.mean;
        self.mean += from_mean / self.weight;
        self.squares += from_mean * (difference - self.mean);
    }

    /// Whether it is more than luck explains.
    fn is_certain(&self) -> bool {
        let variance = self.squares / self.weight.max(1.0);
        let error = (variance * self.weight_squared).sqrt() / self.weight.max(1.0);
        self.judged >= LEAST_JUDGED && self.mean > STANDARD_ERRORS * error
    }
}

impl<S: Rehearses> Guard<S> {
    pub(crate) fn new(twin: S) -> Self {
        Self { twin: Box::new(twin), lead: Lead::default(), steps: 0 }
    }

    pub(crate) fn twin(&mut self) -> &mut S {
        &mut self.twin
    }

    pub(crate) fn into_twin(self) -> S {
        *self.twin
    }

    /// Lets the twin learn from a step that the swarm has played, and says whether it should take the swarm's place.
    pub(crate) fn watch(&mut self, swarm: &S, step: &Step<'_>) -> bool {
        if self.steps.is_multiple_of(JUDGED_EVERY)
            && let Some((twin, own)) = self.twin.would_earn(step).zip(swarm.would_earn(step))
        {
            self.lead.count(twin - own);
        }
        self.steps += 1;
        self.twin.learn_from(step);
        self.lead.is_certain()
    }

    /// What going on needs, where this tells the twin's state.
    pub(crate) fn state<T>(&self, of: impl FnOnce(&S) -> T) -> GuardState<T> {
        GuardState { twin: of(&self.twin), lead: self.lead, steps: self.steps }
    }

    /// Goes on from there, where this restores the twin.
    pub(crate) fn restore<T, E>(
        &mut self,
        state: &GuardState<T>,
        with: impl FnOnce(&mut S, &T) -> Result<(), E>,
    ) -> Result<(), E> {
        with(&mut self.twin, &state.twin)?;
        (self.lead, self.steps) = (state.lead, state.steps);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_certain_once_it_is_more_than_luck() {
        let judged = |differences: &[f64]| {
            let mut lead = Lead::default();
            (0..30).for_each(|i| lead.count(differences[i % differences.len()]));
            lead.is_certain()
        };
        assert!(judged(&[1.0, 1.2, 0.8]));
        assert!(!judged(&[-1.0, -1.2]));
        assert!(!judged(&[4.0, -4.0, 3.0, -3.0, 0.1]));
        let mut lead = Lead::default();
        (0..LEAST_JUDGED - 1).for_each(|_| lead.count(5.0));
        assert!(!lead.is_certain(), "too few were judged");
    }

    #[test]
    fn old_steps_are_forgotten() {
        let mut lead = Lead::default();
        (0..200).for_each(|i| lead.count(-3.0 - f64::from(i % 2)));
        (0..200).for_each(|i| lead.count(1.0 + 0.1 * f64::from(i % 2)));
        assert!((lead.mean - 1.05).abs() < 0.15, "{}", lead.mean);
        assert!(lead.is_certain());
    }
}
