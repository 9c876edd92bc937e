use std::collections::BTreeMap;

use strum::IntoStaticStr;

use crate::{
    numbers::{mean, normalised_entropy, tame},
    window::Window,
};

/// What the field watches of every swarm, in the order of every vector of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Channel {
    /// Requests routed / requested.
    FillRate,
    /// GPU-hours served / requested.
    GpuHoursFill,
    /// Mean cost of a routed request, in USD.
    AvgCost,
    /// Mean latency of a routed request, in ms.
    #[strum(serialize = "avg_latency_ms")]
    AvgLatency,
    /// The swarm's mean reward.
    MeanReward,
    /// Mean of the agents' mean absolute temporal-difference errors.
    MeanAbsTdError,
    /// Normalised entropy of the providers' shares.
    RoutingEntropy,
    /// Mean distance of the agents' rewards from their own past, in their own scales.
    AgentDeviation,
    /// ln(1 + the largest such distance of any agent).
    AgentExtreme,
}

/// How many channels there are.
pub const CHANNELS: usize = 9;

/// One value a channel; `None` where the window says nothing about it.
pub type Channels = [Option<f64>; CHANNELS];

impl Channel {
    /// All of them, in order.
    pub const ALL: [Self; CHANNELS] = [
        Self::FillRate,
        Self::GpuHoursFill,
        Self::AvgCost,
        Self::AvgLatency,
        Self::MeanReward,
        Self::MeanAbsTdError,
        Self::RoutingEntropy,
        Self::AgentDeviation,
        Self::AgentExtreme,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A window as the field sees it: agents in order, every number small enough to square.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The mean reward of each agent, `None` for those that decided nothing.
    pub agents: BTreeMap<u32, Option<f64>>,
    /// The swarm's figures; those that the agents' past is needed for are filled in when it is known.
    pub channels: Channels,
    /// The providers' shares, in catalog order.
    pub shares: Vec<f64>,
    /// The open channels.
    pub open: BTreeMap<String, f64>,
    /// Normalised entropy of the providers' shares.
    pub routing_entropy: Option<f64>,
}

/// The same agent number twice in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent} is in the window twice (entry {index}); every agent may be there once")]
pub struct DuplicateAgent {
    /// The agent.
    pub agent: u32,
    /// The entry that repeats it.
    pub index: usize,
}

impl Observation {
    /// The field's view of a window.
    ///
    /// # Errors
    /// [`DuplicateAgent`] when an agent's number occurs twice.
    pub fn new(window: &Window) -> Result<Self, DuplicateAgent> {
        let mut agents = BTreeMap::new();
        for (index, agent) in window.agents.iter().enumerate() {
            if agents.insert(agent.agent, agent.mean_reward.map(tame)).is_some() {
                return Err(DuplicateAgent { agent: agent.agent, index });
            }
        }
        // Ordered by agent, so that the order of the entries changes no rounding.
        let td_errors: BTreeMap<u32, f64> =
            window.agents.iter().filter_map(|a| Some((a.agent, tame(a.mean_abs_td_error?)))).collect();
        let swarm = &window.swarm;
        let routing_entropy = normalised_entropy(&swarm.provider_shares);
        let mean_reward = swarm.mean_reward.map(tame).or_else(|| mean(agents.values().flatten().copied()));
        Ok(Self {
            channels: [
                swarm.fill_rate.map(tame),
                swarm.gpu_hours_fill.map(tame),
                swarm.avg_cost.map(tame),
                swarm.avg_latency_ms.map(tame),
                mean_reward,
                mean(td_errors.into_values()),
                routing_entropy,
                None,
                None,
            ],
            shares: swarm.provider_shares.iter().copied().map(tame).collect(),
            open: window.channels.iter().map(|(name, value)| (name.clone(), tame(*value))).collect(),
            agents,
            routing_entropy,
        })
    }

    /// The swarm's mean reward: as reported, else the mean of the agents'.
    #[must_use]
    pub fn mean_reward(&self) -> Option<f64> {
        self.channels[Channel::MeanReward as usize]
    }
}
