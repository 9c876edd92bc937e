//! Swarms at play.

use policy::{StepReport, Swarm};
use routing_env::{Environment, Episode, Metrics, Reward};

/// What the swarms are taught and judged by.
pub(crate) const REWARD: Reward = Reward::EXCESS_COST;

/// Plays an episode of each seed.
pub(crate) fn play(swarm: &mut Swarm, env: &Environment, seeds: std::ops::Range<u64>) -> Metrics {
    let mut report = StepReport::new(env);
    let mut metrics = Metrics::new(env);
    for seed in seeds {
        let mut episode = Episode::new(env, seed, REWARD);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, REWARD, &mut report) {
            metrics.merge(&report.metrics);
        }
        swarm.end_episode();
    }
    metrics
}
