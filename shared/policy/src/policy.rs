//! What every learner and every hand rule is to the simulator, the trainer and the evaluator.

use std::any::Any;

use routing_env::{Candidate, Choice, Market, Observation, Request, StepOutcome};
use serde::{Deserialize, Serialize};

use crate::board::Board;

/// A policy's answer to an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub choice: Choice,
    /// True when exploration chose it.
    pub explored: bool,
    /// The probability with which the policy takes this choice here, for off-policy evaluation.
    pub propensity: f64,
    /// The estimated value of the choice, where the policy has one.
    pub value: Option<f64>,
}

impl Decision {
    /// A choice that the policy always makes here.
    #[must_use]
    pub fn certain(choice: Choice) -> Self {
        Self { choice, explored: false, propensity: 1.0, value: None }
    }
}

/// What a learner did since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearningWindow {
    /// Sum of the absolute temporal-difference errors of its updates from fresh experience.
    pub abs_td_error: f64,
    /// How many updates.
    pub updates: u64,
}

/// One agent: it decides requests, and may learn from what the team earned.
///
/// Order of calls: `begin_episode`, then for each step `lead_step` if it leads it, `decide` for each of its
/// turns, and `observe_step` and `end_step` once, then `end_episode`.
pub trait Policy: Send {
    /// Its name on the wire.
    fn name(&self) -> &'static str;

    /// Starts an episode; all randomness of the episode comes from its seed.
    fn begin_episode(&mut self, _seed: u64, _agent: u32) {}

    /// Begins a step that this agent leads: what it tells the board, the others may follow.
    fn lead_step(&mut self, _board: &mut Board) {}

    /// Decides one request.
    fn decide(&mut self, observation: &Observation<'_>, board: &mut Board) -> Decision;

    /// What the policy thinks of a candidate, on a scale of its own on which higher is better; `None` where it
    /// has no figure for it. It changes nothing that is decided.
    fn score(&mut self, _observation: &Observation<'_>, _candidate: &Candidate) -> Option<f64> {
        None
    }

    /// Puts the waiting requests (positions in `requests`) in the order in which they shall be decided.
    fn order_waiting(
        &mut self,
        _market: &Market,
        _requests: &[Request],
        _waiting: &mut [usize],
        _board: &mut Board,
    ) {
    }

    /// Shows what a step came to, whoever decided it, before [`Policy::end_step`].
    fn observe_step(&mut self, _outcome: &StepOutcome<'_>, _board: &mut Board) {}

    /// Ends a step. `rewards` are the team's, one for each of this agent's turns of the step in order.
    fn end_step(&mut self, _rewards: &[f64], _board: &Board) {}

    /// Ends an episode.
    fn end_episode(&mut self) {}

    /// A copy, for acting on several threads.
    fn boxed_clone(&self) -> Box<dyn Policy>;

    /// The learner in it; hand rules have none.
    fn learner(&self) -> Option<&dyn Learner> {
        None
    }

    /// The learner in it, to be changed.
    fn learner_mut(&mut self) -> Option<&mut dyn Learner> {
        None
    }
}

/// What a policy that learns can tell and be told.
pub trait Learner: Any {
    /// States in its table.
    fn table_size(&self) -> u64;

    /// Its exploration rate now.
    fn epsilon(&self) -> f64;

    /// What it did since the last call.
    fn take_window(&mut self) -> LearningWindow;

    /// Stops learning and exploring: what it has learned is acted on.
    fn freeze(&mut self);

    /// Nigredo: forgets everything learned.
    fn forget(&mut self);

    /// Albedo: ε becomes min(`max`, `factor`·ε) for so many windows, then goes back.
    fn explore(&mut self, factor: f64, max: f64, windows: u64);

    /// What it has learned: all that acting needs.
    fn knowledge(&self) -> serde_json::Value;

    /// What going on needs beside its knowledge. Only between episodes.
    fn progress(&self) -> serde_json::Value;

    /// Takes knowledge, and progress where there is some.
    ///
    /// # Errors
    /// Says what does not fit.
    fn restore(
        &mut self,
        knowledge: &serde_json::Value,
        progress: Option<&serde_json::Value>,
    ) -> Result<(), String>;

    /// What the team, all of it learners of this kind, has learned together since its last merge: the mean of what
    /// each has learned, weighted by how often it did. `None` where there is nothing to merge.
    fn pool(&self, _team: &[&dyn Learner]) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// Takes over what [`Learner::pool`] gave.
    fn adopt(&mut self, _pooled: &dyn Any) {}
}

/// Exploration rate with a raise for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exploration {
    /// The configured rate.
    pub epsilon: f64,
    /// The raised rate and for how many more windows it holds.
    pub raised: Option<(f64, u64)>,
}

impl Exploration {
    /// The rate now.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.raised.map_or(self.epsilon, |(epsilon, _)| epsilon)
    }

    /// Raises the rate for some windows. A raise on top of a raise starts from the configured rate, so
    /// that repeated commands cannot pile up.
    pub fn raise(&mut self, factor: f64, max: f64, windows: u64) {
        let raised = (self.epsilon * factor).min(max).max(self.epsilon);
        self.raised = (windows > 0).then_some((raised, windows));
    }

    /// The same at another configured rate: one that leaves another's path may have its own.
    #[must_use]
    pub fn at_rate(self, epsilon: f64) -> Self {
        Self { epsilon, raised: self.raised.map(|(raised, windows)| (raised.max(epsilon), windows)) }
    }

    /// Counts a window.
    pub fn end_window(&mut self) {
        self.raised = self.raised.and_then(|(epsilon, left)| (left > 1).then(|| (epsilon, left - 1)));
    }
}
