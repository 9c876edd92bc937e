//! The limit's figures, summed over steps.

use routing_env::{ExcessCost, Outcome};

/// What is possible at best, summed over the steps that were solved. All averages are `None` where
/// nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    /// Steps solved.
    pub steps: u64,
    /// Requests in them.
    pub requests: u64,
    /// The most requests that can be routed (a fraction of one counts as that fraction).
    pub routed: f64,
    /// The least that routing so many costs, in USD.
    pub cost_usd: f64,
    /// The lowest sum of latencies at which so many can be routed, in ms.
    pub latency_ms: f64,
    /// The highest sum of rewards by the problem's preference, whatever is routed for it.
    pub reward: f64,
}

/// The best that is possible for those who want something, summed over the steps that were solved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Best {
    /// Requests in them.
    pub requests: u64,
    /// The highest sum of rewards.
    pub reward: f64,
    /// What comes of the requests where that is attained.
    pub outcome: Outcome,
    /// The GPU-hours of it by tenant, in file order.
    pub tenant_gpu_hours: Vec<f64>,
    /// What is paid for it in all, in USD.
    pub cost_usd: f64,
}

impl Best {
    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        let (own, others) = (&mut self.outcome, &other.outcome);
        self.requests += other.requests;
        self.reward += other.reward;
        own.served += others.served;
        own.gpu_hours += others.gpu_hours;
        own.excess_cost = ExcessCost::of_bill(own.excess_cost.usd() + others.excess_cost.usd(), 0.0);
        own.latency_ms += others.latency_ms;
        self.cost_usd += other.cost_usd;
        self.tenant_gpu_hours.resize(other.tenant_gpu_hours.len(), 0.0);
        self.tenant_gpu_hours.iter_mut().zip(&other.tenant_gpu_hours).for_each(|(own, other)| *own += other);
    }
}

impl Limit {
    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        self.steps += other.steps;
        self.requests += other.requests;
        self.routed += other.routed;
        self.cost_usd += other.cost_usd;
        self.latency_ms += other.latency_ms;
        self.reward += other.reward;
    }

    /// The highest share of requests routed.
    #[must_use]
    pub fn fill_rate(&self) -> Option<f64> {
        ratio(self.routed, self.requests as f64)
    }

    /// The lowest mean cost of a routed request at the highest fill, in USD.
    #[must_use]
    pub fn avg_cost_usd(&self) -> Option<f64> {
        ratio(self.cost_usd, self.routed)
    }

    /// The lowest mean latency of a routed request at the highest fill, in ms.
    #[must_use]
    pub fn avg_latency_ms(&self) -> Option<f64> {
        ratio(self.latency_ms, self.routed)
    }

    /// The highest mean reward per request.
    #[must_use]
    pub fn avg_reward(&self) -> Option<f64> {
        ratio(self.reward, self.requests as f64)
    }
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator > 0.0).then(|| numerator / denominator)
}
