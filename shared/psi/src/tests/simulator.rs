use crate::window::{AgentWindow, SwarmWindow, Window};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Poisson, StandardNormal};
use rand_pcg::Pcg64Mcg;

/// A swarm that routes to five providers: Poisson demand, lognormal costs, each request one draw, so that
/// the windows' figures move together as real ones do.
pub(super) struct Simulator {
    generator: Pcg64Mcg,
    agents: u32,
    number: u64,
    /// The main provider is out.
    pub(super) outage: bool,
}

const SHARES: [f64; 5] = [0.34, 0.22, 0.18, 0.16, 0.10];
const COSTS: [f64; 5] = [2.6, 3.0, 3.2, 3.5, 3.9];
const LATENCIES: [f64; 5] = [290.0, 320.0, 300.0, 340.0, 380.0];

impl Simulator {
    pub(super) fn new(seed: u64, agents: u32) -> Self {
        Self { generator: Pcg64Mcg::seed_from_u64(seed), agents, number: 0, outage: false }
    }

    pub(super) fn window(&mut self) -> Window {
        let requests = Poisson::new(286.0).unwrap().sample(&mut self.generator) as usize;
        let spread = LogNormal::new(-0.125, 0.5).unwrap();
        let (mut routed, mut hours, mut hours_routed, mut cost, mut latency) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut shares = [0.0; 5];
        let mut rewards = vec![(0.0, 0u64); self.agents as usize];
        for request in 0..requests {
            let size: f64 = spread.sample(&mut self.generator);
            hours += size;
            let mut provider = self.pick();
            let mut filled = self.generator.random::<f64>() < 0.965;
            if self.outage && provider == 0 {
                // Half of what it took finds no other place.
                filled &= self.generator.random::<f64>() < 0.5;
                while provider == 0 {
                    provider = self.pick();
                }
            }
            let mut reward = 0.0;
            if filled {
                let noise: f64 = StandardNormal.sample(&mut self.generator);
                let millis = LATENCIES[provider] * (1.0 + 0.1 * noise);
                reward = 50.0 - 3.0 * (COSTS[provider] - 2.6) * size - 0.02 * millis;
                routed += 1.0;
                hours_routed += size;
                cost += COSTS[provider] * size;
                latency += millis;
                shares[provider] += 1.0;
            }
            let agent = &mut rewards[request % self.agents as usize];
            *agent = (agent.0 + reward, agent.1 + 1);
        }
        let total: f64 = rewards.iter().map(|r| r.0).sum();
        let number = self.number;
        self.number += 1;
        Window {
            number,
            agents: (0..)
                .zip(rewards)
                .map(|(agent, (sum, decisions))| AgentWindow {
                    agent,
                    mean_reward: (decisions > 0).then(|| sum / decisions as f64),
                    mean_abs_td_error: Some(
                        if self.outage { 9.0 } else { 3.0 } + self.generator.random::<f64>(),
                    ),
                    epsilon: 0.1,
                    q_table_size: 100,
                    decisions,
                })
                .collect(),
            swarm: SwarmWindow {
                fill_rate: Some(routed / requests as f64),
                gpu_hours_fill: Some(hours_routed / hours),
                avg_cost: Some(cost / routed),
                avg_latency_ms: Some(latency / routed),
                mean_reward: Some(total / requests as f64),
                provider_shares: shares.iter().map(|s| s / routed).collect(),
            },
            ..other_than_that()
        }
    }

    fn pick(&mut self) -> usize {
        let mut left: f64 = self.generator.random();
        for (provider, share) in SHARES.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return provider;
            }
        }
        SHARES.len() - 1
    }
}

/// A window in which nothing ever happens.
pub(super) fn quiet(number: u64, agents: &[u32]) -> Window {
    Window {
        number,
        agents: agents
            .iter()
            .map(|agent| AgentWindow {
                agent: *agent,
                mean_reward: Some(40.0),
                mean_abs_td_error: None,
                epsilon: 0.1,
                q_table_size: 1,
                decisions: 5,
            })
            .collect(),
        swarm: SwarmWindow {
            fill_rate: Some(1.0),
            gpu_hours_fill: None,
            avg_cost: Some(3.0),
            avg_latency_ms: None,
            mean_reward: Some(40.0),
            provider_shares: Vec::new(),
        },
        ..other_than_that()
    }
}

/// What the windows here say nothing of.
fn other_than_that() -> Window {
    Window {
        number: 0,
        time: None,
        agents: Vec::new(),
        swarm: SwarmWindow::default(),
        channels: std::collections::BTreeMap::new(),
        acknowledged: Vec::new(),
        trials: Vec::new(),
    }
}
