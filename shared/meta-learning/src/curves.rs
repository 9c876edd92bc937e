//! What a prior is worth: how a learner that begins with it learns in a world that nobody has seen, beside one that begins
//! from scratch.

use evaluation::{
    bounds::{Sample, solve},
    episodes::{Contestant, Played, play},
    progress::Progress,
};
use limit::AllocationError;
use policy::{Prior, Rule, StepReport, Swarm, SwarmConfig, SwarmError};
use routing_env::{Environment, Episode, Preference, Reward};

use crate::worlds::{Test, World};

/// Where a learner is looked at, and on which episodes.
#[derive(Clone, Debug)]
pub struct Look {
    /// After so many steps of training, in ascending order; 0 is before any.
    pub after_steps: Vec<u64>,
    /// The seed of the first episode of training; each training has its own.
    pub training_seeds: Vec<u64>,
    /// Episodes that no training plays.
    pub held_out: Vec<u64>,
    /// How many steps of each of them the limit is solved for; on these all are compared.
    pub limit_steps: u32,
    /// A learner that is judged beside them, never trained and without a prior.
    pub beside: SwarmConfig,
}

/// How a learner did.
#[derive(Clone, Debug)]
pub struct Curve {
    /// `[training][look]`: the share of the way from the baseline to the limit.
    pub gap_closed: Vec<Vec<f64>>,
    /// `[look]`: decisions made until then, a mean over trainings.
    pub decisions: Vec<f64>,
    /// `[training]`: whether it left its prior.
    pub left_prior: Vec<bool>,
}

/// How both did in a world.
#[derive(Clone, Debug)]
pub struct Curves {
    /// Without the prior.
    pub scratch: Curve,
    /// With it.
    pub prior: Curve,
    /// The hand rule `bid-price`.
    pub rule: f64,
    /// The learner beside them, never trained.
    pub beside: f64,
    /// The whole way, in points a request.
    pub gap: f64,
}

/// Why there is no curve.
#[derive(Debug, thiserror::Error)]
pub enum CurveError {
    /// A world that the learner cannot handle, or a prior that does not fit.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// The limit cannot be solved.
    #[error(transparent)]
    Limit(#[from] AllocationError),
}

/// Trains with and without the prior in a world, and judges both on the way.
///
/// # Errors
/// As [`CurveError`] says.
pub fn curves(
    world: &World<Test>,
    config: &SwarmConfig,
    prior: &Prior,
    look: &Look,
) -> Result<Curves, CurveError> {
    in_environment(world.env(), config, prior, look)
}

/// The same in an environment of the caller's, which is for nobody to learn a prior from.
///
/// # Errors
/// As [`CurveError`] says.
pub fn in_environment(
    env: &Environment,
    config: &SwarmConfig,
    prior: &Prior,
    look: &Look,
) -> Result<Curves, CurveError> {
    let trained = |prior: Option<&Prior>| {
        let trainings = look.training_seeds.iter().map(|seed| {
            let swarm = match prior {
                None => Swarm::new(config.clone(), env)?,
                Some(prior) => Swarm::with_prior(config.clone(), env, prior)?,
            };
            Ok(training(swarm, env, *seed, &look.after_steps))
        });
        trainings.collect::<Result<Vec<Training>, SwarmError>>()
    };
    let (scratch, with_prior) = (trained(None)?, trained(Some(prior))?);
    // all frozen policies meet the same episodes in one go
    let [baseline, rule] = [Rule::WeightedScore, Rule::BidPrice].map(|rule| Contestant::of_rule(rule, env));
    let untrained = Contestant::never_trained(&look.beside, env, Preference::EXCESS_COST)?;
    let looks = scratch.iter().chain(&with_prior).flat_map(|training| training.looks.clone());
    let contestants: Vec<Contestant> = [baseline, rule, untrained]
        .into_iter()
        .chain(looks.map(|swarm| Contestant::of_swarms(0, vec![swarm])))
        .collect();
    let sample = Sample::new(env, 1, Some(look.limit_steps));
    let progress = Progress::default();
    let played = play(env, Reward::EXCESS_COST, &contestants, &look.held_out, sample.as_ref(), &progress);
    let solved = sample.map(|sample| solve(env, Preference::EXCESS_COST, &sample, &look.held_out, &progress));
    // nobody cancels it
    let (played, limits) = (played.unwrap_or_default(), solved.flatten().transpose()?.unwrap_or_default());
    let mean = |of: &Played| {
        let tallies = of.iter().flatten().map(|achieved| &achieved.on_limit_steps);
        let (reward, requests) =
            tallies.fold((0.0, 0), |sum, tally| (sum.0 + tally.reward, sum.1 + tally.requests));
        reward / requests.max(1) as f64
    };
    let (most, requests) =
        limits.iter().fold((0.0, 0), |sum, limit| (sum.0 + limit.reward, sum.1 + limit.requests));
    let rewards: Vec<f64> = played.iter().map(mean).collect();
    let baseline = rewards[0];
    let gap = most / requests.max(1) as f64 - baseline;
    let closed: Vec<f64> = rewards.iter().map(|reward| (reward - baseline) / gap).collect();
    let (of_scratch, of_prior) = closed[3..].split_at(look.training_seeds.len() * look.after_steps.len());
    Ok(Curves {
        scratch: curve(&scratch, of_scratch, look),
        prior: curve(&with_prior, of_prior, look),
        rule: closed[1],
        beside: closed[2],
        gap,
    })
}

/// What a swarm that learns no more earns a request in the first steps of each of these episodes.
#[must_use]
pub fn first_steps(env: &Environment, mut swarm: Swarm, held_out: &[u64], steps: u32) -> Vec<f64> {
    swarm.freeze();
    let mut report = StepReport::new(env);
    let mut of_episode = |seed: u64| {
        let mut swarm = swarm.clone();
        let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
        swarm.begin_episode(seed);
        let (mut reward, mut requests) = (0.0, 0);
        for _ in 0..steps {
            if swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {
                reward += report.decisions.iter().map(|decision| decision.reward).sum::<f64>();
                requests += report.decisions.len();
            }
        }
        reward / requests.max(1) as f64
    };
    held_out.iter().map(|seed| of_episode(*seed)).collect()
}

/// A training, as it was looked at.
struct Training {
    looks: Vec<Swarm>,
    decisions: Vec<u64>,
    left_prior: bool,
}

fn training(mut swarm: Swarm, env: &Environment, seed: u64, after_steps: &[u64]) -> Training {
    let mut training = Training { looks: Vec::new(), decisions: Vec::new(), left_prior: false };
    let (mut steps, mut decisions, mut number) = (0, 0, 0);
    let mut report = StepReport::new(env);
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    swarm.begin_episode(seed);
    for look in after_steps {
        while steps < *look {
            if swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {
                steps += 1;
                decisions += report.decisions.len() as u64;
                continue;
            }
            swarm.end_episode();
            number += 1;
            episode = Episode::new(env, seed + number, Reward::EXCESS_COST);
            swarm.begin_episode(seed + number);
        }
        training.looks.push(swarm.clone());
        training.decisions.push(decisions);
    }
    training.left_prior = swarm.trusts_prior() == Some(false);
    training
}

fn curve(trainings: &[Training], closed: &[f64], look: &Look) -> Curve {
    let looks = look.after_steps.len();
    let decisions = (0..looks).map(|i| {
        trainings.iter().map(|training| training.decisions[i] as f64).sum::<f64>() / trainings.len() as f64
    });
    Curve {
        gap_closed: closed.chunks(looks).map(<[f64]>::to_vec).collect(),
        decisions: decisions.collect(),
        left_prior: trainings.iter().map(|training| training.left_prior).collect(),
    }
}

impl Curve {
    /// At each look, the mean over trainings.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        let trainings = self.gap_closed.len() as f64;
        (0..self.decisions.len())
            .map(|look| self.gap_closed.iter().map(|training| training[look]).sum::<f64>() / trainings)
            .collect()
    }

    /// Decisions until the mean has come so far for the first time; `None` where it never does.
    #[must_use]
    pub fn decisions_until(&self, gap_closed: f64) -> Option<f64> {
        let reached = self.mean().iter().position(|closed| *closed >= gap_closed)?;
        Some(self.decisions[reached])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_first_counts_and_what_never_was_does_not() {
        let curve = Curve {
            gap_closed: vec![vec![0.0, 0.6, 0.9], vec![0.2, 1.0, 0.7]],
            decisions: vec![0.0, 50.0, 100.0],
            left_prior: vec![false; 2],
        };
        assert_eq!(curve.mean(), [0.1, 0.8, 0.8]);
        assert_eq!(curve.decisions_until(0.8), Some(50.0));
        assert_eq!(curve.decisions_until(0.05), Some(0.0));
        assert_eq!(curve.decisions_until(0.9), None);
    }
}
