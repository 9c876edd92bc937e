//! A swarm in an episode, from its first step to its last.

use std::ops::ControlFlow;

use routing_env::{Environment, Episode, Metrics, Reward};

use crate::{step_report::StepReport, swarm::Swarm};

impl Swarm {
    /// Plays the episode with this seed; its figures, summed over the steps.
    pub fn play(&mut self, env: &Environment, seed: u64, reward: Reward) -> Metrics {
        let mut metrics = Metrics::new(env);
        let _ = self.play_watched(env, seed, reward, |step| {
            metrics.merge(&step.metrics);
            ControlFlow::Continue(())
        });
        metrics
    }

    /// Plays the episode with this seed and shows every step to `watch`, which may break it off. A swarm whose episode
    /// was broken off is in the middle of it: it is of no further use.
    pub fn play_watched(
        &mut self,
        env: &Environment,
        seed: u64,
        reward: Reward,
        mut watch: impl FnMut(&StepReport) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut episode = Episode::new(env, seed, reward);
        let mut report = StepReport::new(env);
        self.begin_episode(seed);
        while self.run_step(&mut episode, reward, &mut report) {
            watch(&report)?;
        }
        self.end_episode();
        ControlFlow::Continue(())
    }
}
