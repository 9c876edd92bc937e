//! What the field answers to a window.

use crate::{intervention::Intervention, state::FieldState};

/// The answer to a window. The same window again gets the same answer.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowAnswer {
    /// The swarm.
    pub swarm: String,
    /// The window that this answers.
    pub window: u64,
    /// The field after it.
    pub state: FieldState,
    /// The anomaly that this window completes, if any.
    pub anomaly: Option<Anomaly>,
    /// What the swarm is to do before the next window.
    pub interventions: Vec<Intervention>,
}

/// An anomaly and what caused it.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The memory that the window contradicts most: `innovation`, `range`, `mean`, `order` or `time_of_day`.
    pub detector: String,
    /// The channels that deviate, the worst first.
    pub channels: Vec<ChannelDeviation>,
    /// The agents that deviate, the worst first.
    pub agents: Vec<AgentDeviation>,
}

/// A channel's part in an anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelDeviation {
    /// The channel: a figure (`fill_rate`), a provider's share (`provider_shares[3]`) or an open channel's name.
    pub channel: String,
    /// By how many standard deviations it was off its forecast.
    pub z_score: f64,
    /// What was observed.
    pub observed: f64,
    /// What the field expected.
    pub expected: f64,
}

/// An agent's part in an anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentDeviation {
    /// The agent.
    pub agent: u32,
    /// How far its mean reward is from its own past, in its own scales.
    pub z_score: f64,
}
