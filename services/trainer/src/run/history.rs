//! A run's figures.

use std::collections::VecDeque;

use api::{
    psi_field::Intervention,
    trainer::{AgentState, EpisodeMetrics, WindowMetrics},
};

/// The newest windows that are kept of a run.
pub const WINDOWS_KEPT: usize = 100_000;

/// The newest interventions that are kept of a run.
pub const INTERVENTIONS_KEPT: usize = 1000;

/// A run's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// All episodes, the first first.
    pub episodes: Vec<EpisodeMetrics>,
    /// The newest windows, the oldest first.
    pub windows: VecDeque<WindowMetrics>,
    /// The agents.
    pub agents: Vec<AgentState>,
    /// The newest interventions, the oldest first.
    pub interventions: VecDeque<Intervention>,
}

impl History {
    /// Adds a window; the oldest goes when there are too many.
    pub fn add_window(&mut self, window: WindowMetrics) {
        if self.windows.len() == WINDOWS_KEPT {
            self.windows.pop_front();
        }
        self.windows.push_back(window);
    }

    /// Adds an intervention; the oldest goes when there are too many.
    pub fn add_intervention(&mut self, intervention: Intervention) {
        if self.interventions.len() == INTERVENTIONS_KEPT {
            self.interventions.pop_front();
        }
        self.interventions.push_back(intervention);
    }
}
