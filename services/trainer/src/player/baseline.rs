//! What the hand rule that all are compared with earns in the run's own episodes.

use std::sync::Arc;

use policy::{Rule, StepReport, Swarm};
use routing_env::{Environment, Episode, Metrics, Preference, Reward};

use crate::run_waiter::{Halt, RunWaiter};

/// The hand rule `weighted-score` in a run's environment. It remembers nothing from one episode to the next, so that a run
/// that is resumed has the figures of one that nobody disturbed.
pub(super) struct Baseline {
    environment: Arc<Environment>,
    reward: Reward,
    swarm: Swarm,
    report: StepReport,
}

impl Baseline {
    /// For those who want what the run's reward says.
    pub(super) fn new(environment: &Arc<Environment>, reward: Reward) -> Self {
        let wanted = reward.preference().unwrap_or(Preference::EXCESS_COST);
        Self {
            environment: Arc::clone(environment),
            reward,
            swarm: Swarm::of_rule_for(Rule::WeightedScore, environment, wanted),
            report: StepReport::new(environment),
        }
    }

    /// Its mean reward per request in the episode of this seed. A learner's own episode varies with its demand far more than
    /// with what was learned: only beside this is it seen whether it learns.
    ///
    /// # Errors
    /// The trainer shuts down, or another one has the run.
    pub(super) fn play(&mut self, seed: u64, waiter: &RunWaiter) -> Result<Option<f64>, Halt> {
        self.swarm.begin_episode(seed);
        let mut episode = Episode::new(&self.environment, seed, self.reward);
        let mut metrics = Metrics::new(&self.environment);
        while self.swarm.run_step(&mut episode, self.reward, &mut self.report) {
            waiter.check()?;
            metrics.merge(&self.report.metrics);
        }
        self.swarm.end_episode();
        Ok(metrics.overall.avg_reward())
    }
}
