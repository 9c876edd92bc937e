//! What a hand rule is: an agent that learns nothing.

use routing_env::{Candidate, Observation, Preferences, StepOutcome};
use serde_json::Value;

use crate::{
    learning::Learning,
    policy::{Agent, Decision, Informed, Order, Shared},
};

/// A rule that decides requests; every rule is an [`Agent`] that has nothing to learn and nothing to tell.
pub(crate) trait HandRule: Clone + Send + 'static {
    /// See [`Agent::Shared`].
    type Shared: Shared;

    /// See [`Agent::ORDER`].
    const ORDER: Order;

    /// See [`Agent::begin_episode`].
    fn begin_episode(&mut self, _seed: u64, _agent: u32) {}

    /// See [`Agent::informed`].
    fn informed(&mut self) -> Option<&mut dyn Informed> {
        None
    }

    /// See [`Agent::observe_step`].
    fn observe_step(&mut self, _outcome: &StepOutcome<'_>) {}

    /// See [`Agent::seen`].
    fn seen(&self) -> Option<Value> {
        Some(Value::Null)
    }

    /// See [`Agent::go_on`].
    fn go_on(&mut self, _seen: Value) -> Result<(), String> {
        Ok(())
    }

    /// See [`Agent::prefer`].
    fn prefer(&mut self, _wanted: &Preferences) -> bool {
        false
    }

    /// See [`Agent::decide`].
    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Self::Shared) -> Decision;

    /// See [`Agent::score`].
    fn score(&mut self, _observation: &Observation<'_>, _candidate: &Candidate) -> Option<f64> {
        None
    }
}

impl<R: HandRule> Agent for R {
    type Shared = R::Shared;
    type Knowledge = ();
    type Progress = ();

    const ORDER: Order = R::ORDER;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        HandRule::begin_episode(self, seed, agent);
    }

    fn informed(&mut self) -> Option<&mut dyn Informed> {
        HandRule::informed(self)
    }

    fn decide(&mut self, observation: &Observation<'_>, shared: &mut R::Shared) -> Decision {
        HandRule::decide(self, observation, shared)
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, _shared: &mut R::Shared) {
        HandRule::observe_step(self, outcome);
    }

    fn seen(&self) -> Option<Value> {
        HandRule::seen(self)
    }

    fn go_on(&mut self, seen: Value) -> Result<(), String> {
        HandRule::go_on(self, seen)
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        HandRule::prefer(self, wanted)
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        HandRule::score(self, observation, candidate)
    }

    fn learning(&self) -> Option<&Learning> {
        None
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        None
    }

    fn size(&self) -> u64 {
        0
    }

    fn forget(&mut self, _kept: f64) {}

    fn knowledge(&self) {}

    fn heed(&mut self, _others: Option<()>) -> Result<(), String> {
        Ok(())
    }

    fn absorb(&mut self, (): ()) -> Result<(), String> {
        Ok(())
    }

    fn progress(&self) {}

    fn resume(&mut self, (): ()) -> Result<(), String> {
        Ok(())
    }
}
