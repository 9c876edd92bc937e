//! The physical limit of an evaluation's episodes: which steps are solved, and how.

use std::fmt;

use limit::{AllocationError, Best, Limit, StepProblem};
use rand::RngExt as _;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use routing_env::{Environment, Episode, Knowledge, Preference, Reward, Tally};
use sha2::{Digest as _, Sha256};

use crate::progress::Progress;

/// Steps that are solved when nobody says how many: all of 20 episodes of 120 steps. On one core a step of a built-in
/// preset takes 1 to 12 ms.
const AFFORDABLE_STEPS: u64 = 2400;

/// Providers of the built-in catalog. A step's program grows with theirs.
const BUILT_IN_PROVIDERS: u64 = 7;

/// A bound may miss what a policy attains by this share: rounding of sums.
const ROUNDING: f64 = 1e-9;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Which steps of each episode are solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    steps: u32,
    per_episode: u32,
    /// Whether the limits are expectations: where knowledge is hidden a policy may be better in a single episode, by luck.
    expected: bool,
}

impl Sample {
    /// As many steps of each episode as were asked for, or as are affordable; `None` where no limit is wanted.
    pub fn new(env: &Environment, episodes: u32, asked: Option<u32>) -> Option<Self> {
        let steps = env.steps();
        let affordable = || {
            let providers = (env.catalog().providers.len() as u64).max(BUILT_IN_PROVIDERS);
            let all = AFFORDABLE_STEPS * BUILT_IN_PROVIDERS.pow(2) / providers.pow(2);
            u32::try_from(all / u64::from(episodes.max(1))).unwrap_or(u32::MAX).max(1)
        };
        let per_episode = asked.unwrap_or_else(affordable).min(steps);
        (per_episode > 0).then_some(Self { per_episode, ..Self::all(env) })
    }

    /// Every step of every episode.
    pub fn all(env: &Environment) -> Self {
        let expected = env.workloads().knowledge == Knowledge::Hidden;
        Self { steps: env.steps(), per_episode: env.steps(), expected }
    }

    /// Steps of each episode that are solved.
    pub fn per_episode(&self) -> u32 {
        self.per_episode
    }

    /// True when every step is.
    pub fn is_all(&self) -> bool {
        self.per_episode == self.steps
    }

    /// The steps of the episode with this seed, in ascending order: one of each of as many equal parts, so that a
    /// sample meets an episode's events as often as the episode does.
    pub fn of(&self, seed: u64) -> Vec<u32> {
        // any constants do, as long as they never change
        let mut rng = Pcg64::new(u128::from(seed), 0x6c69_6d69_7473_7465);
        let end = |part: u32| (u64::from(self.steps) * u64::from(part) / u64::from(self.per_episode)) as u32;
        (0..self.per_episode).map(|part| rng.random_range(end(part)..end(part + 1))).collect()
    }

    /// The sampled steps' problems. What a policy does in a step does not reach into the next, so no policy is needed.
    pub(crate) fn problems<'a>(
        &self,
        env: &'a Environment,
        preference: Preference,
        seed: u64,
    ) -> impl Iterator<Item = StepProblem> + use<'a> {
        let mut episode = Episode::new(env, seed, Reward::Preference(preference));
        let mut played = 0;
        self.of(seed).into_iter().map_while(move |step| {
            while played <= step {
                if !episode.begin_step() {
                    return None;
                }
                played += 1;
            }
            Some(StepProblem::of_step(env, &episode).with_preference(preference))
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, per_episode, .. } = self;
        if self.is_all() {
            write!(f, "all {steps} steps of every episode")
        } else {
            write!(
                f,
                "{per_episode} of the {steps} steps of every episode, drawn one from each of {per_episode} equal parts"
            )
        }
    }
}

/// For each seed the name of its limit: SHA-256 over all that it depends on. `None` when it was cancelled.
pub fn keys(
    env: &Environment,
    preference: Preference,
    sample: &Sample,
    seeds: &[u64],
    progress: &Progress,
) -> Option<Vec<Digest>> {
    let key = |seed: &u64| {
        let mut hash = Sha256::new();
        hash.update(b"ai-mesh physical limit of an episode 1\n");
        for problem in sample.problems(env, preference, *seed) {
            if progress.is_cancelled() {
                return None;
            }
            hash.update(problem.key());
        }
        Some(hash.finalize().into())
    };
    seeds.par_iter().map(key).collect()
}

/// The limits of these seeds, each summed over its sampled steps; `None` when it was cancelled. `progress` counts steps.
///
/// # Errors
/// When the solver fails.
pub fn solve(
    env: &Environment,
    preference: Preference,
    sample: &Sample,
    seeds: &[u64],
    progress: &Progress,
) -> Option<Result<Vec<Limit>, AllocationError>> {
    summed((env, preference), sample, seeds, progress, StepProblem::limit, Limit::merge)
}

/// The best that is possible for those who want this, by seed, each summed over its sampled steps; `None` when it was
/// cancelled. `progress` counts steps.
///
/// # Errors
/// When the solver fails.
pub fn best(
    env: &Environment,
    preference: Preference,
    sample: &Sample,
    seeds: &[u64],
    progress: &Progress,
) -> Option<Result<Vec<Best>, AllocationError>> {
    summed((env, preference), sample, seeds, progress, StepProblem::best, Best::merge)
}

fn summed<T: Default + Send>(
    (env, preference): (&Environment, Preference),
    sample: &Sample,
    seeds: &[u64],
    progress: &Progress,
    solve: fn(&StepProblem) -> Result<T, AllocationError>,
    merge: fn(&mut T, &T),
) -> Option<Result<Vec<T>, AllocationError>> {
    let of_seed = |seed: &u64| {
        let mut sum = T::default();
        for problem in sample.problems(env, preference, *seed) {
            if progress.is_cancelled() {
                return None;
            }
            match solve(&problem) {
                Ok(solved) => merge(&mut sum, &solved),
                Err(error) => return Some(Err(error)),
            }
            progress.solved(1);
        }
        Some(Ok(sum))
    };
    let solved: Vec<Option<Result<T, AllocationError>>> = seeds.par_iter().map(of_seed).collect();
    // a failure is told although others were cancelled or failed: the first in the seeds' order
    solved.into_iter().collect::<Option<Vec<_>>>().map(|sums| sums.into_iter().collect())
}

/// Whether a limit that was read can be that of an episode in which these were achieved: it counts the same requests,
/// and nobody was better, where nobody can be.
pub fn is_possible<'a>(
    limit: &Limit,
    sample: &Sample,
    achieved: impl IntoIterator<Item = &'a Tally>,
) -> bool {
    let sums = [limit.routed, limit.cost_usd, limit.latency_ms, limit.reward];
    sums.iter().all(|sum| sum.is_finite() && *sum >= 0.0)
        && limit.steps == u64::from(sample.per_episode)
        && limit.routed <= limit.requests as f64 * (1.0 + ROUNDING)
        && achieved.into_iter().all(|tally| {
            let is_no_better = tally.routed as f64 <= limit.routed * (1.0 + ROUNDING)
                && tally.reward <= limit.reward * (1.0 + ROUNDING);
            limit.requests == tally.requests && (sample.expected || is_no_better)
        })
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    const WANTED: Preference = Preference::EXCESS_COST;

    fn contended(steps: u32) -> Environment {
        Environment::built_in(Preset::Contended).with_steps(steps)
    }

    #[test]
    fn every_step_of_the_default_evaluation_is_affordable_and_of_longer_ones_a_sample() {
        let per_episode = |steps, episodes, asked| {
            Sample::new(&contended(steps), episodes, asked).map(|sample| sample.per_episode())
        };
        assert_eq!(per_episode(120, 20, None), Some(120));
        assert_eq!(per_episode(1000, 20, None), Some(120));
        assert_eq!(per_episode(120, 1000, None), Some(2));
        assert_eq!(per_episode(120, 20, Some(7)), Some(7));
        assert_eq!(per_episode(5, 20, Some(7)), Some(5));
        assert_eq!(per_episode(120, 20, Some(0)), None);
    }

    #[test]
    fn luck_may_pass_the_limit_of_what_is_hidden() {
        let env = Environment::built_in(Preset::Drifting).with_steps(2);
        let sample = Sample::new(&env, 1, None).unwrap();
        let limit =
            Limit { steps: 2, requests: 10, routed: 8.7, cost_usd: 20.0, latency_ms: 900.0, reward: 400.0 };
        let lucky = Tally { requests: 10, routed: 9, reward: 410.0, ..Tally::default() };
        assert!(is_possible(&limit, &sample, [&lucky]));
        assert!(!is_possible(&limit, &sample, [&Tally { requests: 9, ..lucky }]));
    }

    #[test]
    fn a_sample_takes_one_step_of_every_part_and_another_one_on_another_seed() {
        let sample = Sample::new(&contended(100), 20, Some(10)).unwrap();
        let steps = sample.of(1 << 32);
        assert_eq!(steps.iter().map(|step| step / 10).collect::<Vec<_>>(), (0..10).collect::<Vec<u32>>());
        assert_eq!(steps, sample.of(1 << 32));
        assert_ne!(steps, sample.of((1 << 32) + 1));
        let all = Sample::new(&contended(100), 20, Some(100)).unwrap();
        assert_eq!(all.of(3), (0..100).collect::<Vec<u32>>());
    }

    #[test]
    fn the_limit_of_a_sample_is_the_sum_over_its_steps() {
        let env = contended(8);
        let sample = Sample::new(&env, 1, Some(3)).unwrap();
        let mut expected = Limit::default();
        for (problem, step) in StepProblem::of_episode(&env, 5).zip(0..) {
            if sample.of(5).contains(&step) {
                expected.merge(&problem.limit().unwrap());
            }
        }
        let progress = Progress::default();
        let solved = solve(&env, WANTED, &sample, &[5], &progress).unwrap().unwrap();
        assert_eq!(solved, [expected]);
        assert_eq!(progress.limit_steps(), 3);
    }

    #[test]
    fn neither_keys_nor_limits_depend_on_the_number_of_threads() {
        let env = contended(3);
        let sample = Sample::new(&env, 4, None).unwrap();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let progress = Progress::default();
            let seeds = [1, 2, 3, 4];
            pool.install(|| {
                let limits = solve(&env, WANTED, &sample, &seeds, &progress).unwrap().unwrap();
                (keys(&env, WANTED, &sample, &seeds, &progress).unwrap(), limits)
            })
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn another_sample_or_seed_has_another_key() {
        let key = |steps, asked, seed| {
            let env = contended(steps);
            let sample = Sample::new(&env, 1, asked).unwrap();
            keys(&env, WANTED, &sample, &[seed], &Progress::default()).unwrap()[0]
        };
        assert_eq!(key(4, None, 1), key(4, Some(4), 1));
        assert_ne!(key(4, None, 1), key(4, Some(2), 1));
        assert_ne!(key(4, None, 1), key(4, None, 2));
    }

    #[test]
    fn a_cancelled_limit_is_none() {
        let env = contended(3);
        let sample = Sample::new(&env, 1, None).unwrap();
        let cancelled = Progress::default();
        cancelled.cancel();
        assert!(keys(&env, WANTED, &sample, &[1], &cancelled).is_none());
        assert!(solve(&env, WANTED, &sample, &[1], &cancelled).is_none());
    }

    #[test]
    fn a_limit_that_a_policy_beats_or_that_counts_other_requests_is_not_possible() {
        let env = contended(2);
        let sample = Sample::new(&env, 1, None).unwrap();
        let limit =
            Limit { steps: 2, requests: 10, routed: 9.0, cost_usd: 20.0, latency_ms: 900.0, reward: 400.0 };
        let achieved = Tally { requests: 10, routed: 9, reward: 400.0, ..Tally::default() };
        let possible = |limit: Limit| is_possible(&limit, &sample, [&achieved]);
        assert!(possible(limit));
        assert!(!possible(Limit { requests: 11, ..limit }));
        assert!(!possible(Limit { steps: 3, ..limit }));
        assert!(!possible(Limit { reward: 399.0, ..limit }));
        assert!(!possible(Limit { routed: 8.0, ..limit }));
        assert!(!possible(Limit { routed: 10.5, ..limit }));
        assert!(!possible(Limit { cost_usd: f64::NAN, ..limit }));
    }
}
