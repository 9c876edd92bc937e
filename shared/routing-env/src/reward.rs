//! Rewards: what a request earns, and what the team earns over the rest of a step.

use std::{fmt, str::FromStr};

use crate::metrics::Resolution;

/// What is learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RewardKind {
    /// Per request: routed → `50 − 3·(cost − cheapest list price · hours) − 0.02·latency_ms`, else 0.
    #[default]
    ExcessCost,
    /// Per window: `0.5·(100·fill) − 0.3·(10·avg_cost_usd) − 0.2·(avg_latency_ms/10)`. It pays for
    /// dropping expensive jobs.
    Seed,
}

impl RewardKind {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ExcessCost => "excess-cost",
            Self::Seed => "seed",
        }
    }

    /// A request's own reward. For `seed` it is the request's share where all are routed.
    #[must_use]
    pub fn of_request(self, resolution: &Resolution) -> f64 {
        match (self, resolution.routed()) {
            (_, None) => 0.0,
            (Self::ExcessCost, Some(r)) => 50.0 - 3.0 * (r.cost - r.list_cost) - 0.02 * r.latency_ms,
            (Self::Seed, Some(r)) => 50.0 - 3.0 * r.cost - 0.02 * r.latency_ms,
        }
    }

    /// The team's reward of each turn: the swarm's over the rest of the step, its own included.
    ///
    /// `turns` are those of [`crate::StepOutcome`]: `None` where a turn deferred its request (which is
    /// then resolved at a later turn). The answer has one reward a turn.
    pub fn of_team(self, turns: &[(usize, Option<Resolution>)], into: &mut Vec<f64>) {
        into.clear();
        into.resize(turns.len(), 0.0);
        let mut rest = Rest::default();
        for ((_, turn), reward) in turns.iter().zip(into.iter_mut()).rev() {
            if let Some(resolution) = turn {
                rest.add(self, resolution);
            }
            *reward = rest.reward(self);
        }
    }

    /// The `seed` formula over a window.
    #[must_use]
    pub fn seed_formula(fill: f64, avg_cost_usd: f64, avg_latency_ms: f64) -> f64 {
        0.5 * (100.0 * fill) - 0.3 * (10.0 * avg_cost_usd) - 0.2 * (avg_latency_ms / 10.0)
    }
}

/// Sums over the rest of a step.
#[derive(Default)]
struct Rest {
    requests: f64,
    routed: f64,
    rewards: f64,
    cost: f64,
    latency_ms: f64,
}

impl Rest {
    fn add(&mut self, kind: RewardKind, resolution: &Resolution) {
        self.requests += 1.0;
        self.rewards += kind.of_request(resolution);
        if let Some(routed) = resolution.routed() {
            self.routed += 1.0;
            self.cost += routed.cost;
            self.latency_ms += routed.latency_ms;
        }
    }

    fn reward(&self, kind: RewardKind) -> f64 {
        if self.requests == 0.0 {
            return 0.0;
        }
        match kind {
            RewardKind::ExcessCost => self.rewards / self.requests,
            RewardKind::Seed => {
                let routed = self.routed.max(1.0);
                RewardKind::seed_formula(
                    self.routed / self.requests,
                    self.cost / routed,
                    self.latency_ms / routed,
                )
            }
        }
    }
}

impl fmt::Display for RewardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No reward has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reward `{0}`: expected excess-cost or seed")]
pub struct UnknownReward(pub String);

impl FromStr for RewardKind {
    type Err = UnknownReward;

    fn from_str(name: &str) -> Result<Self, UnknownReward> {
        [Self::ExcessCost, Self::Seed]
            .into_iter()
            .find(|k| k.name() == name)
            .ok_or_else(|| UnknownReward(name.into()))
    }
}
