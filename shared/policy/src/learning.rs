//! What all learners have in common: how much they explore, whether they still learn, and what they learned lately.

use serde::{Deserialize, Serialize};

/// What a learner did since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearningWindow {
    /// Sum of the absolute temporal-difference errors of its updates from fresh experience.
    pub abs_td_error: f64,
    /// How many updates.
    pub updates: u64,
}

/// A learner's state beside what it knows.
#[derive(Clone, Debug)]
pub(crate) struct Learning {
    pub(crate) exploration: Exploration,
    /// True when it neither learns nor explores: what it has learned is acted on.
    pub(crate) frozen: bool,
    pub(crate) window: LearningWindow,
}

impl Learning {
    /// One that explores at this rate.
    pub(crate) fn at_rate(epsilon: f64) -> Self {
        Self {
            exploration: Exploration { epsilon, raised: None },
            frozen: false,
            window: LearningWindow::default(),
        }
    }

    /// ε now.
    pub(crate) fn epsilon(&self) -> f64 {
        if self.frozen { 0.0 } else { self.exploration.now() }
    }

    /// Counts an update that was off by so much.
    pub(crate) fn count(&mut self, error: f64) {
        self.window.abs_td_error += error.abs();
        self.window.updates += 1;
    }
}

/// Exploration rate with a raise for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exploration {
    /// The rate without a raise.
    pub(crate) epsilon: f64,
    /// The raised rate and for how many more windows it holds.
    pub(crate) raised: Option<(f64, u64)>,
}

impl Exploration {
    /// The rate now.
    pub(crate) fn now(&self) -> f64 {
        self.raised.map_or(self.epsilon, |(raised, _)| raised.max(self.epsilon))
    }

    /// Raises the rate to min(`max`, `factor`·ε) for some windows. A raise on top of a raise starts from the rate
    /// without it, so that repeated commands cannot pile up.
    pub(crate) fn raise(&mut self, factor: f64, max: f64, windows: u64) {
        let raised = (self.epsilon * factor).min(max).max(self.epsilon);
        self.raised = (windows > 0).then_some((raised, windows));
    }

    /// The same at another configured rate: one that leaves another's path may have its own.
    pub(crate) fn at_rate(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// Counts a window.
    pub(crate) fn end_window(&mut self) {
        self.raised = self.raised.and_then(|(epsilon, left)| (left > 1).then(|| (epsilon, left - 1)));
    }
}
