//! What the agents of a team tell each other of a step: what it began with, and what it came to.

use routing_env::{Observation, Reward, StepOutcome};
use serde_json::Value;

use crate::{
    policy::Shared,
    q_learning::request::{
        losses::{Losses, Seen},
        start::Start,
    },
};

/// How much of a level is the last step's.
const LEVEL_RATE: f64 = 0.5;

/// A step as all agents see it, and what the episode's steps before it told.
pub(crate) struct Step {
    /// How many requests come for one that the catalog tells of: an exponential mean of counts where demand is hidden.
    level: f64,
    start: Option<Start>,
    /// The turns, where they are learned from.
    seen: Vec<Seen>,
    has_ended: bool,
    /// What was lost, once the step has ended.
    pub(crate) losses: Option<Losses>,
}

impl Default for Step {
    fn default() -> Self {
        Self { level: 1.0, start: None, seen: Vec::new(), has_ended: false, losses: None }
    }
}

impl Shared for Step {
    fn begin_step(&mut self) {
        *self = Self { level: self.level, ..Self::default() };
    }

    fn kept(&self) -> Value {
        self.level.into()
    }

    fn keep(&mut self, kept: Value) -> Result<(), String> {
        self.level = kept.as_f64().ok_or_else(|| format!("level: expected a number, found {kept}"))?;
        Ok(())
    }
}

impl Step {
    /// The step's start, which is found when its first request is seen.
    pub(crate) fn start(&mut self, observation: &Observation<'_>, reward: Reward) -> &Start {
        let Observation { env, market, .. } = *observation;
        self.start.get_or_insert_with(|| Start::new(env, market, reward, self.level))
    }

    /// Remembers a turn, at which the best offer promised so much; gives its number in the step.
    pub(crate) fn see(&mut self, observation: &Observation<'_>, promise: f64) -> usize {
        let budgets = observation.market.budgets().into();
        self.seen.push(Seen { index: observation.index, budgets, promise });
        self.seen.len() - 1
    }

    /// Counts what has come, and reckons up what was lost where that is learned from. Once a step: it is all agents'.
    pub(crate) fn end(&mut self, outcome: &StepOutcome<'_>) {
        let Some(start) = self.start.as_ref().filter(|_| !self.has_ended) else { return };
        if start.is_demand_hidden {
            let now = outcome.requests.len() as f64 / start.told_requests;
            self.level += LEVEL_RATE * (now - self.level);
        }
        if !self.seen.is_empty() {
            self.losses = Some(Losses::new(outcome, start, &self.seen));
        }
        self.has_ended = true;
    }
}
