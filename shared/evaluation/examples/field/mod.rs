//! A swarm as the Ψ-field sees it, for examples that watch one.

use std::collections::BTreeMap;

use policy::{StepReport, Swarm};
use psi::window::{AgentWindow, SwarmWindow, Window};

/// The window of a step, as a trainer posts it.
pub(crate) fn window(number: u64, swarm: &Swarm, report: &StepReport) -> Window {
    let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
    let overall = &report.metrics.overall;
    Window {
        number,
        time: None,
        agents: (0..)
            .zip(&report.agents)
            .map(|(agent, step)| {
                let (epsilon, q_table_size) = swarm.learning(agent as usize);
                AgentWindow {
                    agent,
                    mean_reward: mean(step.reward, step.decisions),
                    mean_abs_td_error: mean(step.learning.abs_td_error, step.learning.updates),
                    epsilon,
                    q_table_size,
                    decisions: step.decisions,
                }
            })
            .collect(),
        swarm: SwarmWindow {
            fill_rate: overall.fill_rate(),
            gpu_hours_fill: overall.gpu_hours_fill(),
            avg_cost: overall.avg_cost_usd(),
            avg_latency_ms: overall.avg_latency_ms(),
            mean_reward: overall.avg_reward(),
            provider_shares: report.metrics.provider_shares(),
        },
        channels: BTreeMap::new(),
        acknowledged: Vec::new(),
        trials: Vec::new(),
    }
}
