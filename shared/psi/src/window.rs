//! What a swarm did in a window, as the field takes it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::intervention::Effect;

/// One window of a swarm's life.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The window's number, from 0 without gaps.
    pub number: u64,
    /// When it was, in seconds of a calendar whose days have 86,400 of them; absent where the time of day means nothing.
    pub time: Option<i64>,
    /// Up to 10,000 agents with distinct numbers; none where only open channels are watched.
    pub agents: Vec<AgentWindow>,
    /// The swarm.
    pub swarm: SwarmWindow,
    /// Whatever else is to be watched, by name.
    pub channels: BTreeMap<String, f64>,
    /// Interventions that were applied since the last window, untried.
    pub acknowledged: Vec<Uuid>,
    /// Interventions that were tried first, in forks of the swarm, and then applied or declined.
    pub trials: Vec<Trial>,
}

/// What trying an intervention came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Which one.
    pub intervention: Uuid,
    /// Whether it was applied.
    pub adopted: bool,
    /// What it was worth in the forks; absent where it could not be tried.
    pub effect: Option<Effect>,
}

/// What one agent did in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentWindow {
    /// The agent's number; agents may join and leave between windows.
    pub agent: u32,
    /// Mean reward of its decisions; absent when it made none.
    pub mean_reward: Option<f64>,
    /// Mean absolute temporal-difference error; absent when it learned nothing.
    pub mean_abs_td_error: Option<f64>,
    /// Its exploration rate.
    pub epsilon: f64,
    /// States in its table.
    pub q_table_size: u64,
    /// Decisions it made.
    pub decisions: u64,
}

/// What the whole swarm did in a window. A figure without data is absent, not 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SwarmWindow {
    /// Requests routed / requested.
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested.
    pub gpu_hours_fill: Option<f64>,
    /// Mean cost of a routed request, in USD.
    pub avg_cost: Option<f64>,
    /// Mean latency of a routed request, in ms.
    pub avg_latency_ms: Option<f64>,
    /// Mean reward per request.
    pub mean_reward: Option<f64>,
    /// Share of the routed requests that each provider got, in catalog order; empty when none was routed.
    pub provider_shares: Vec<f64>,
}
