//! A command tried before it is carried out: the swarm goes on in pairs of forks of the episode, one with it and one
//! without, and what it is worth is the difference of what they earn.
//!
//! Before and after measure the event that called for the command; two forks that differ in nothing but the command
//! measure the command. The futures of the forks are drawn from seeds of their own: nothing of the run's own future is
//! known to them (see [`Episode::fork`]).

use rand::Rng as _;
use routing_env::{Episode, Stream, generator};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::{
    step_report::StepReport,
    swarm::{Command, Swarm},
};

/// So many pairs are played first. Where the command earns nothing in them, that is all.
const FIRST_FORKS: u32 = 3;

/// So many pairs are played where it does.
const FORKS: u32 = 8;

/// So many windows are played in each fork.
const WINDOWS: u32 = 40;

/// A run may play one window in forks for each so many of its own: trials are not to take more time than the run.
const WINDOWS_PER_TRIED: u64 = 8;

/// Whether a run that has played `done` windows, and `tried` in forks, may try one more command.
#[must_use]
pub fn is_affordable(tried: u64, done: u64) -> bool {
    tried <= done / WINDOWS_PER_TRIED
}

/// What a command was worth in the forks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// Pairs of forks.
    pub forks: u32,
    /// Windows that each fork played.
    pub windows: u32,
    /// Mean reward of a request without it.
    pub reward_without: f64,
    /// Mean reward of a request with it.
    pub reward_with: f64,
    /// 95 % interval of the paired difference (Student's t).
    pub difference: (f64, f64),
}

impl Effect {
    /// Whether it earns more beyond doubt: the interval is above 0.
    #[must_use]
    pub fn is_gain(&self) -> bool {
        self.difference.0 > 0.0
    }

    /// How many windows were played to find out.
    #[must_use]
    pub fn windows_played(&self) -> u64 {
        2 * u64::from(self.forks) * u64::from(self.windows)
    }
}

/// Tries a command for these agents, between two windows of the run with this seed. `None` where the episode has no other
/// future than the one that is given.
#[must_use]
pub fn trial(
    swarm: &Swarm,
    episode: &Episode<'_>,
    (command, targets): (Command, &[u32]),
    (run_seed, window): (u64, u64),
) -> Option<Effect> {
    let mut commanded = swarm.clone();
    commanded.apply(command, targets);
    let mut pairs = Vec::with_capacity(FORKS as usize);
    for fork in 0..FORKS {
        if fork == FIRST_FORKS && mean(&differences(&pairs)) <= 0.0 {
            break;
        }
        let seed = generator(run_seed, Stream::Fork { window, fork }).next_u64();
        let earned = |swarm: &Swarm| Some(play(swarm.fork(seed), episode.fork(seed)?, seed));
        pairs.push((earned(swarm)?, earned(&commanded)?));
    }
    let differences = differences(&pairs);
    let half = half_width(&differences);
    let (without, with): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    Some(Effect {
        forks: differences.len() as u32, // at most FORKS
        windows: WINDOWS,
        reward_without: mean(&without),
        reward_with: mean(&with),
        difference: (mean(&differences) - half, mean(&differences) + half),
    })
}

/// What a swarm earns a request from here on. After the episode's end comes another one.
fn play(mut swarm: Swarm, mut episode: Episode<'_>, mut seed: u64) -> f64 {
    let (env, reward) = (episode.env(), episode.reward());
    let mut report = StepReport::new(env);
    let (mut earned, mut requests) = (0.0, 0.0);
    for _ in 0..WINDOWS {
        if !swarm.run_step(&mut episode, reward, &mut report) {
            swarm.end_episode();
            seed = seed.wrapping_add(1);
            swarm.begin_episode(seed);
            episode = Episode::new(env, seed, reward);
            swarm.run_step(&mut episode, reward, &mut report);
        }
        earned += report.decisions.iter().map(|decided| decided.reward).sum::<f64>();
        requests += report.decisions.len() as f64;
    }
    if requests > 0.0 { earned / requests } else { 0.0 }
}

fn differences(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs.iter().map(|(without, with)| with - without).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Half of the 95 % interval of their mean.
fn half_width(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let variance = values.iter().map(|value| (value - mean(values)).powi(2)).sum::<f64>() / (n - 1.0);
    let quantile = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975));
    quantile * (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // by hand: mean 3, variance 2.5, n = 5; t(.975; 4) = 2.7764; half width 2.7764 · √.5 = 1.9632
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!((half_width(&values) - 1.9632).abs() < 1e-4, "{}", half_width(&values));
    }
}
