//! What the hand rule that all are compared with earns in the run's own episodes.

use std::{ops::ControlFlow, sync::Arc};

use policy::{Rule, Swarm};
use routing_env::{Environment, Metrics, Preference, Reward};

use crate::run_waiter::{Halt, RunWaiter};

/// The hand rule `weighted-score` in a run's environment. It remembers nothing from one episode to the next, so that a run
/// that is resumed has the figures of one that nobody disturbed.
pub(super) struct Baseline {
    environment: Arc<Environment>,
    reward: Reward,
    swarm: Swarm,
}

impl Baseline {
    /// For those who want what the run's reward says.
    pub(super) fn new(environment: &Arc<Environment>, reward: Reward) -> Self {
        let wanted = reward.preference().unwrap_or(Preference::EXCESS_COST);
        Self {
            environment: Arc::clone(environment),
            reward,
            swarm: Swarm::of_rule_for(Rule::WeightedScore, environment, wanted),
        }
    }

    /// Its mean reward per request in the episode of this seed. A learner's own episode varies with its demand far more than
    /// with what was learned: only beside this is it seen whether it learns.
    ///
    /// # Errors
    /// The trainer shuts down, or another one has the run.
    pub(super) fn play(&mut self, seed: u64, waiter: &RunWaiter) -> Result<Option<f64>, Halt> {
        let (mut metrics, mut checked) = (Metrics::new(&self.environment), Ok(()));
        let _ = self.swarm.play_watched(&self.environment, seed, self.reward, |step| {
            metrics.merge(&step.metrics);
            checked = waiter.check();
            if checked.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        checked?;
        Ok(metrics.overall.avg_reward())
    }
}
