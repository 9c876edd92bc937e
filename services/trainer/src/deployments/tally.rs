//! What the decisions of an arm came to.

use api::deployments::ArmFigures;

/// Sums over the decisions of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    decisions: u64,
    succeeded: u64,
    failed: u64,
    latency_ms: f64,
    cost_usd: f64,
    rewards: f64,
    rewarded: u64,
}

impl Tally {
    pub(crate) fn decide(&mut self) {
        self.decisions += 1;
    }

    /// A job that was told of: its latency and cost where it was done.
    pub(crate) fn hear(&mut self, done: Option<(f64, f64)>) {
        match done {
            Some((latency_ms, cost_usd)) => {
                self.succeeded += 1;
                self.latency_ms += latency_ms;
                self.cost_usd += cost_usd;
            }
            None => self.failed += 1,
        }
    }

    /// What is known to have been earned by a decision, in points.
    pub(crate) fn earn(&mut self, reward: f64) {
        self.rewards += reward;
        self.rewarded += 1;
    }

    pub(crate) fn figures(&self) -> ArmFigures {
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        ArmFigures {
            decisions: self.decisions,
            succeeded: self.succeeded,
            failed: self.failed,
            mean_latency_ms: mean(self.latency_ms, self.succeeded),
            mean_cost_usd: mean(self.cost_usd, self.succeeded),
            mean_reward: mean(self.rewards, self.rewarded),
        }
    }
}
