//! Playing the episodes: every policy meets the same ones.

use std::{
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
};

use policy::{Rule, Swarm};
use rayon::prelude::*;
use routing_env::{Environment, Metrics, Reward, Tally};

use crate::{
    bounds::{Digest, Sample},
    progress::Progress,
};

/// As many parts of an episode are looked at on their own, or as it has steps.
const PARTS: u32 = 24;

/// A policy that takes part.
pub struct Contestant {
    /// The rule's or the algorithm's name.
    pub name: String,
    /// The policy's artifact, when it was trained.
    pub artifact: Option<Digest>,
    /// Episodes that it was trained for.
    pub trained_episodes: Option<u32>,
    /// Told what is hidden from the others.
    pub reference: bool,
    swarms: Mutex<Swarms>,
}

/// What a contestant achieved in an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Achieved {
    /// The episode's figures.
    pub metrics: Metrics,
    /// Sums over the steps whose physical limit is wanted.
    pub on_limit_steps: Tally,
    /// Sums over equal parts of the episode, from its beginning to its end.
    pub parts: Vec<Tally>,
}

/// A frozen swarm and the copies that threads have made of it: an agent's table may be large, so a copy
/// is used for many episodes.
struct Swarms {
    original: Swarm,
    idle: Vec<Swarm>,
}

impl Contestant {
    /// A hand rule.
    pub fn of_rule(rule: Rule, env: &Environment) -> Self {
        let mut contestant = Self::of_swarm(rule.name().into(), Swarm::of_rule(rule, env));
        contestant.reference = Rule::REFERENCES.contains(&rule);
        contestant
    }

    /// A swarm by a name of the caller's choice. It is frozen: it neither learns nor explores here.
    #[must_use]
    pub fn of_swarm(name: String, mut swarm: Swarm) -> Self {
        swarm.freeze();
        let swarms = Mutex::new(Swarms { original: swarm, idle: Vec::new() });
        Self { name, artifact: None, trained_episodes: None, reference: false, swarms }
    }

    /// A policy after so many episodes of training. It is frozen: it neither learns nor explores here.
    pub fn of_policy(artifact: Digest, trained_episodes: u32, swarm: Swarm) -> Self {
        let mut contestant = Self::of_swarm(swarm.config().algorithm.name().to_owned(), swarm);
        contestant.artifact = Some(artifact);
        contestant.trained_episodes = Some(trained_episodes);
        contestant
    }

    /// Plays one episode whole; `None` when it was cancelled.
    fn play(
        &self,
        env: &Environment,
        seed: u64,
        limit_steps: &[u32],
        progress: &Progress,
    ) -> Option<Achieved> {
        let mut swarm = {
            let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
            swarms.idle.pop().unwrap_or_else(|| swarms.original.clone())
        };
        let parts = u64::from(PARTS.min(env.steps()));
        let mut achieved = Achieved {
            metrics: Metrics::new(env),
            on_limit_steps: Tally::default(),
            parts: vec![Tally::default(); parts as usize],
        };
        let played = swarm.play_watched(env, seed, Reward::EXCESS_COST, |step| {
            achieved.metrics.merge(&step.metrics);
            let part = u64::from(step.step) * parts / u64::from(env.steps());
            achieved.parts[part as usize].merge(&step.metrics.overall);
            if limit_steps.binary_search(&step.step).is_ok() {
                achieved.on_limit_steps.merge(&step.metrics.overall);
            }
            if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if played.is_break() {
            return None;
        }
        self.swarms.lock().unwrap_or_else(PoisonError::into_inner).idle.push(swarm);
        Some(achieved)
    }
}

/// What every contestant achieved on every seed, `[contestant][seed]`; `None` when it was cancelled.
/// The threads share the work, but no figure depends on which of them did what. `progress` counts episodes.
pub fn play(
    env: &Environment,
    contestants: &[Contestant],
    seeds: &[u64],
    sample: Option<&Sample>,
    progress: &Progress,
) -> Option<Vec<Vec<Achieved>>> {
    let episodes: Vec<(&Contestant, u64)> =
        contestants.iter().flat_map(|c| seeds.iter().map(move |seed| (c, *seed))).collect();
    let achieved: Vec<Achieved> = episodes
        .par_iter()
        .map(|(contestant, seed)| {
            let limit_steps = sample.map(|sample| sample.of(*seed)).unwrap_or_default();
            let achieved = contestant.play(env, *seed, &limit_steps, progress);
            progress.played();
            achieved
        })
        .collect::<Option<_>>()?;
    Some(achieved.chunks(seeds.len()).map(<[Achieved]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;
    use serde_json::json;

    use super::*;

    fn contestants(env: &Environment) -> Vec<Contestant> {
        let config = {
            let settings =
                json!({"learning_rate": 0.2, "discount": 0.9, "epsilon": 0.3, "replay": {"enabled": false}});
            policy::SwarmConfig::new("q-learning", &settings, 3).unwrap()
        };
        let mut swarm = Swarm::new(config, env).unwrap();
        swarm.play(env, 1, Reward::EXCESS_COST);
        vec![
            Contestant::of_policy([7; 32], 1, swarm),
            Contestant::of_rule(Rule::WeightedScore, env),
            Contestant::of_rule(Rule::Random, env),
        ]
    }

    fn play_on(threads: usize) -> Vec<Vec<Achieved>> {
        let env = Environment::built_in(Preset::Contended).with_steps(4);
        let contestants = contestants(&env);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let seeds: Vec<u64> = (0..6).map(|i| api::FIRST_HELD_OUT_SEED + i).collect();
        let progress = Progress::default();
        let sample = Sample::new(&env, 6, Some(2)).unwrap();
        let achieved = pool.install(|| play(&env, &contestants, &seeds, Some(&sample), &progress));
        assert_eq!(progress.episodes(), 18);
        achieved.unwrap()
    }

    #[test]
    fn the_figures_do_not_depend_on_the_number_of_threads() {
        assert_eq!(play_on(1), play_on(4));
    }

    #[test]
    fn every_policy_meets_the_same_requests_and_seeds_differ() {
        let achieved = play_on(2);
        let demand = |a: &Achieved| {
            let of = |tally: &Tally| (tally.requests, tally.hours_requested);
            (of(&a.metrics.overall), of(&a.on_limit_steps))
        };
        for contestant in &achieved {
            let demands: Vec<_> = contestant.iter().map(demand).collect();
            assert_eq!(demands, achieved[0].iter().map(demand).collect::<Vec<_>>());
        }
        assert_ne!(demand(&achieved[0][0]), demand(&achieved[0][1]));
        assert_ne!(achieved[0], achieved[1]);
    }

    #[test]
    fn the_steps_of_the_limit_are_counted_apart() {
        let env = Environment::built_in(Preset::Contended).with_steps(4);
        let rule = [Contestant::of_rule(Rule::Cheapest, &env)];
        let on = |asked| {
            let sample = Sample::new(&env, 1, asked);
            let played = play(&env, &rule, &[9], sample.as_ref(), &Progress::default());
            played.unwrap()[0][0].clone()
        };
        let (all, half, none) = (on(Some(4)), on(Some(2)), on(Some(0)));
        assert_eq!(all.on_limit_steps, all.metrics.overall);
        assert!(half.on_limit_steps.requests > 0);
        assert!(half.on_limit_steps.requests < half.metrics.overall.requests);
        assert_eq!(none.on_limit_steps, Tally::default());
        assert_eq!(all.metrics, none.metrics);
    }

    #[test]
    fn the_parts_of_an_episode_are_counted_apart_and_make_up_the_whole() {
        for (steps, parts) in [(4, 4), (24, 24), (50, 24)] {
            let env = Environment::built_in(Preset::Contended).with_steps(steps);
            let rule = [Contestant::of_rule(Rule::Cheapest, &env)];
            let played = play(&env, &rule, &[9], None, &Progress::default()).unwrap();
            let achieved = &played[0][0];
            assert_eq!(achieved.parts.len(), parts);
            assert!(achieved.parts.iter().all(|part| part.requests > 0));
            let requests: u64 = achieved.parts.iter().map(|part| part.requests).sum();
            assert_eq!(requests, achieved.metrics.overall.requests);
        }
    }

    #[test]
    fn a_cancelled_evaluation_stops_without_figures() {
        let env = Environment::built_in(Preset::Contended);
        let cancelled = Progress::default();
        cancelled.cancel();
        let rule = [Contestant::of_rule(Rule::Cheapest, &env)];
        assert!(play(&env, &rule, &[1, 2], None, &cancelled).is_none());
    }
}
