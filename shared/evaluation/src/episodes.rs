//! Playing the episodes: every policy meets the same ones.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
};

use policy::{Constrained, Rule, StepReport, Swarm, SwarmConfig, SwarmError};
use rayon::prelude::*;
use routing_env::{Constraint, Environment, Metrics, Preference, Reward, Tally};

use crate::{
    bounds::Sample,
    origin::{Learned, Origin, Training},
    progress::Progress,
};

/// As many parts of an episode are looked at on their own, or as it has steps.
const PARTS: u32 = 24;

/// A policy that takes part.
pub struct Contestant {
    /// The rule's or the algorithm's name.
    pub name: String,
    /// What it is.
    pub origin: Origin,
    /// What was learned in each of its trainings; of anything else, the one policy.
    policies: Vec<Policy>,
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
    /// The mean price of each constraint that it was played under.
    pub prices: Vec<f64>,
}

impl Achieved {
    /// Nothing yet.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        let parts = PARTS.min(env.steps()) as usize;
        Self {
            metrics: Metrics::new(env),
            on_limit_steps: Tally::default(),
            parts: vec![Tally::default(); parts],
            prices: Vec::new(),
        }
    }

    /// Adds a step that has ended. `limit_steps`, in ascending order, are those whose physical limit is wanted.
    pub fn add(&mut self, env: &Environment, step: u32, metrics: &Metrics, limit_steps: &[u32]) {
        self.metrics.merge(metrics);
        let part = u64::from(step) * self.parts.len() as u64 / u64::from(env.steps());
        self.parts[part as usize].merge(&metrics.overall);
        if limit_steps.binary_search(&step).is_ok() {
            self.on_limit_steps.merge(&metrics.overall);
        }
    }
}

/// Who plays: a frozen swarm, how it was made, and the copies that threads have made of it: an agent's table may be large,
/// so a copy is used for many episodes.
enum Policy {
    Swarm {
        config: SwarmConfig,
        swarms: Box<Mutex<Swarms>>,
        /// Under which constraints it plays, if under any.
        constrained: Option<Constrained>,
    },
    /// What somebody else has played, by seed.
    Played(BTreeMap<u64, Achieved>),
}

struct Swarms {
    original: Swarm,
    idle: Vec<Swarm>,
}

/// What a contestant achieved, `[training][seed]`.
pub type Played = Vec<Vec<Achieved>>;

impl Contestant {
    /// A hand rule.
    #[must_use]
    pub fn of_rule(rule: Rule, env: &Environment) -> Self {
        Self::of_rule_for(rule, env, Preference::EXCESS_COST)
    }

    /// A hand rule that decides for those who want this.
    #[must_use]
    pub fn of_rule_for(rule: Rule, env: &Environment, wanted: Preference) -> Self {
        let origin = if Rule::REFERENCES.contains(&rule) { Origin::Reference } else { Origin::Rule };
        Self::new(rule.name().into(), origin, vec![Swarm::of_rule_for(rule, env, wanted)])
    }

    /// Policies of one configuration after so many episodes of training, each on seeds of its own. They are frozen: they
    /// neither learn nor explore here.
    #[must_use]
    pub fn of_trainings(trained_episodes: u32, trainings: Vec<(Training, Swarm)>) -> Self {
        let (trainings, swarms) = trainings.into_iter().unzip();
        Self::of_learned(Learned { trained_episodes, trainings }, swarms)
    }

    /// The same without policy files.
    #[must_use]
    pub fn of_swarms(trained_episodes: u32, swarms: Vec<Swarm>) -> Self {
        Self::of_learned(Learned { trained_episodes, trainings: Vec::new() }, swarms)
    }

    /// A swarm of this configuration that was never trained, for those who want this. What a trained one is better by,
    /// training adds.
    ///
    /// # Errors
    /// A catalog that the algorithm cannot handle.
    pub fn never_trained(
        config: &SwarmConfig,
        env: &Environment,
        wanted: Preference,
    ) -> Result<Self, SwarmError> {
        let mut swarm = Swarm::new(config.clone(), env)?;
        swarm.prefer(wanted, env);
        Ok(Self::of_swarms(0, vec![swarm]))
    }

    fn of_learned(learned: Learned, swarms: Vec<Swarm>) -> Self {
        let name = swarms.first().map_or("", |swarm| swarm.config().algorithm.name()).to_owned();
        Self::new(name, Origin::Learned(learned), swarms)
    }

    /// A policy that was played elsewhere, once or in several trainings: of each, what it achieved by seed. An evaluation on
    /// seeds that one of them lacks has no result.
    #[must_use]
    pub fn of_plays(name: String, plays: Vec<BTreeMap<u64, Achieved>>) -> Self {
        let origin = Origin::Command { programs: plays.len() };
        Self { name, origin, policies: plays.into_iter().map(Policy::Played).collect() }
    }

    /// The same contestant under a name of the caller's choice.
    #[must_use]
    pub fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    fn new(name: String, origin: Origin, swarms: Vec<Swarm>) -> Self {
        let policy = |mut swarm: Swarm| {
            swarm.freeze();
            let config = swarm.config().clone();
            let swarms = Box::new(Mutex::new(Swarms { original: swarm, idle: Vec::new() }));
            Policy::Swarm { config, swarms, constrained: None }
        };
        Self { name, origin, policies: swarms.into_iter().map(policy).collect() }
    }

    /// The same contestant under constraints, whose prices it rehearses. Who heeds no price plays as ever, and what was
    /// played elsewhere stays as it is.
    #[must_use]
    pub fn under(mut self, constraints: &[Constraint], env: &Environment, wanted: Preference) -> Self {
        for policy in self.policies.iter_mut().filter(|_| !constraints.is_empty()) {
            if let Policy::Swarm { swarms, constrained, .. } = policy {
                let original = &mut swarms.get_mut().unwrap_or_else(PoisonError::into_inner).original;
                *constrained = original
                    .reprice(&wanted.into())
                    .then(|| Constrained::rehearsed(wanted, constraints.to_vec(), original, env));
            }
        }
        self
    }

    /// How its swarms were made; `None` when it has none.
    #[must_use]
    pub fn config(&self) -> Option<&SwarmConfig> {
        self.policies.first().and_then(|policy| match policy {
            Policy::Swarm { config, .. } => Some(config),
            Policy::Played(_) => None,
        })
    }

    /// How many trainings of it there are; 1 of what was not trained.
    #[must_use]
    pub fn trainings(&self) -> usize {
        self.policies.len()
    }

    /// The same as one that decides for those who want this; `None` where it decides for nobody else, because what it has
    /// learned are the values of what it was trained for, or because somebody else has played it.
    #[must_use]
    pub fn preferring(&self, wanted: Preference, env: &Environment) -> Option<Self> {
        let prefers = |policy: &Policy| {
            let Policy::Swarm { swarms, .. } = policy else { return None };
            let mut swarm = swarms.lock().unwrap_or_else(PoisonError::into_inner).original.clone();
            swarm.prefer(wanted, env).then_some(swarm)
        };
        let swarms = self.policies.iter().map(prefers).collect::<Option<Vec<Swarm>>>()?;
        Some(Self::new(self.name.clone(), self.origin.clone(), swarms))
    }

    fn is_never_trained(&self) -> bool {
        self.origin.learned().is_some_and(|learned| learned.trained_episodes == 0)
    }
}

/// Adds the never trained twin of every learned policy that does not take part already, behind the learned ones. Policies
/// of the same configuration share one.
///
/// # Errors
/// As [`Contestant::never_trained`].
pub fn with_never_trained(
    mut learned: Vec<Contestant>,
    env: &Environment,
    wanted: Preference,
) -> Result<Vec<Contestant>, SwarmError> {
    for i in 0..learned.len() {
        if never_trained_twin(&learned, i).is_none()
            && !learned[i].is_never_trained()
            && let Some(config) = learned[i].config()
        {
            let twin = Contestant::never_trained(config, env, wanted)?;
            learned.push(twin);
        }
    }
    Ok(learned)
}

/// Who is this trained policy before its first episode, among these.
pub(crate) fn never_trained_twin(contestants: &[Contestant], trained: usize) -> Option<usize> {
    let contestant = &contestants[trained];
    if contestant.origin.learned().is_none() || contestant.is_never_trained() {
        return None;
    }
    contestants.iter().position(|other| other.is_never_trained() && other.config() == contestant.config())
}

impl Policy {
    /// Plays one episode whole; `None` when it was cancelled.
    fn play(
        &self,
        env: &Environment,
        reward: Reward,
        seed: u64,
        limit_steps: &[u32],
        progress: &Progress,
    ) -> Option<Achieved> {
        let (swarms, constrained) = match self {
            Self::Played(played) => return played.get(&seed).cloned(),
            Self::Swarm { swarms, constrained, .. } => (swarms, constrained),
        };
        let mut swarm = {
            let mut swarms = swarms.lock().unwrap_or_else(PoisonError::into_inner);
            swarms.idle.pop().unwrap_or_else(|| swarms.original.clone())
        };
        let mut achieved = Achieved::new(env);
        let watch = |step: &StepReport| {
            achieved.add(env, step.step, &step.metrics, limit_steps);
            if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match constrained {
            Some(constrained) => achieved.prices = constrained.play(&mut swarm, env, seed, watch)?,
            None if swarm.play_watched(env, seed, reward, watch).is_break() => return None,
            None => {}
        }
        swarms.lock().unwrap_or_else(PoisonError::into_inner).idle.push(swarm);
        Some(achieved)
    }
}

/// Episodes that these play on these seeds.
#[must_use]
pub fn episodes(contestants: &[Contestant], seeds: &[u64]) -> u64 {
    (contestants.iter().map(Contestant::trainings).sum::<usize>() * seeds.len()) as u64
}

/// What every contestant achieved in every training on every seed; `None` when it was cancelled.
/// The threads share the work, but no figure depends on which of them did what. `progress` counts episodes.
pub fn play(
    env: &Environment,
    reward: Reward,
    contestants: &[Contestant],
    seeds: &[u64],
    sample: Option<&Sample>,
    progress: &Progress,
) -> Option<Vec<Played>> {
    let policies = contestants.iter().flat_map(|contestant| &contestant.policies);
    let all: Vec<(&Policy, u64)> =
        policies.flat_map(|policy| seeds.iter().map(move |seed| (policy, *seed))).collect();
    let achieved: Vec<Achieved> = all
        .par_iter()
        .map(|(policy, seed)| {
            let limit_steps = sample.map(|sample| sample.of(*seed)).unwrap_or_default();
            let achieved = policy.play(env, reward, *seed, &limit_steps, progress);
            progress.played();
            achieved
        })
        .collect::<Option<_>>()?;
    let mut by_training = achieved.chunks(seeds.len()).map(<[Achieved]>::to_vec);
    Some(contestants.iter().map(|c| by_training.by_ref().take(c.policies.len()).collect()).collect())
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;
    use serde_json::json;

    use super::*;
    use crate::origin::Provenance;

    fn contestants(env: &Environment) -> Vec<Contestant> {
        let config = {
            let settings =
                json!({"learning_rate": 0.2, "discount": 0.9, "epsilon": 0.3, "replay": {"enabled": false}});
            policy::SwarmConfig::new("q-learning", &settings, 3).unwrap()
        };
        let mut swarm = Swarm::new(config, env).unwrap();
        swarm.play(env, 1, Reward::EXCESS_COST);
        vec![
            Contestant::of_trainings(1, vec![(training(), swarm.clone()), (training(), swarm)]),
            Contestant::of_rule(Rule::WeightedScore, env),
            Contestant::of_rule(Rule::Random, env),
        ]
    }

    fn training() -> Training {
        Training { artifact: [7; 32], first_seed: 1, provenance: Provenance::Unverified }
    }

    fn play_on(threads: usize) -> Vec<Played> {
        let env = Environment::built_in(Preset::Contended).with_steps(4);
        let contestants = contestants(&env);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let seeds: Vec<u64> = (0..6).map(|i| api::FIRST_HELD_OUT_SEED + i).collect();
        let progress = Progress::default();
        let sample = Sample::new(&env, 6, Some(2)).unwrap();
        let achieved =
            pool.install(|| play(&env, Reward::EXCESS_COST, &contestants, &seeds, Some(&sample), &progress));
        assert_eq!((progress.episodes(), episodes(&contestants, &seeds)), (24, 24));
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
            // sums in another order differ in their last bits
            let of = |tally: &Tally| (tally.requests, (tally.hours_requested * 1e6).round());
            (of(&a.metrics.overall), of(&a.on_limit_steps))
        };
        assert_eq!(achieved.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
        for contestant in achieved.iter().flatten() {
            let demands: Vec<_> = contestant.iter().map(demand).collect();
            assert_eq!(demands, achieved[0][0].iter().map(demand).collect::<Vec<_>>());
        }
        assert_ne!(demand(&achieved[0][0][0]), demand(&achieved[0][0][1]));
        assert_ne!(achieved[0][0], achieved[1][0]);
    }

    #[test]
    fn the_steps_of_the_limit_are_counted_apart() {
        let env = Environment::built_in(Preset::Contended).with_steps(4);
        let rule = [Contestant::of_rule(Rule::Cheapest, &env)];
        let on = |asked| {
            let sample = Sample::new(&env, 1, asked);
            let played = play(&env, Reward::EXCESS_COST, &rule, &[9], sample.as_ref(), &Progress::default());
            played.unwrap()[0][0][0].clone()
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
            let played = play(&env, Reward::EXCESS_COST, &rule, &[9], None, &Progress::default()).unwrap();
            let achieved = &played[0][0][0];
            assert_eq!(achieved.parts.len(), parts);
            assert!(achieved.parts.iter().all(|part| part.requests > 0));
            let requests: u64 = achieved.parts.iter().map(|part| part.requests).sum();
            assert_eq!(requests, achieved.metrics.overall.requests);
        }
    }

    #[test]
    fn policies_of_one_configuration_have_one_never_trained_twin() {
        let env = Environment::built_in(Preset::Contended).with_steps(4);
        let of = |agents, episodes| {
            let config = SwarmConfig::new("q-learning", &json!({}), agents).unwrap();
            Contestant::of_trainings(episodes, vec![(training(), Swarm::new(config, &env).unwrap())])
        };
        let twins = |learned| {
            let all = with_never_trained(learned, &env, Preference::EXCESS_COST).unwrap();
            (0..all.len()).map(|i| never_trained_twin(&all, i)).collect::<Vec<_>>()
        };
        assert_eq!(twins(vec![of(3, 10), of(3, 20), of(2, 10)]), [Some(3), Some(3), Some(4), None, None]);
        assert_eq!(twins(vec![of(3, 10), of(3, 0)]), [Some(1), None]);
    }

    #[test]
    fn what_was_played_elsewhere_counts_as_if_it_was_played_here() {
        let env = Environment::built_in(Preset::Contended).with_steps(4);
        let seeds = [1_u64 << 32, (1 << 32) + 1];
        let sample = Sample::new(&env, 2, Some(2)).unwrap();
        let rule = || Contestant::of_rule(Rule::Cheapest, &env);
        let played = |contestant: Contestant, seeds: &[u64]| {
            play(&env, Reward::EXCESS_COST, &[contestant], seeds, Some(&sample), &Progress::default())
                .map(|mut played| played.remove(0))
        };
        let here = played(rule(), &seeds).unwrap();
        let by_seed: BTreeMap<u64, Achieved> = seeds.into_iter().zip(here[0].clone()).collect();
        let elsewhere = || Contestant::of_plays("mine".into(), vec![by_seed.clone(), by_seed.clone()]);
        assert_eq!(played(elsewhere(), &seeds).unwrap(), [here[0].clone(), here[0].clone()]);
        assert_eq!(played(elsewhere(), &[7]), None, "nobody has played that seed");
    }

    #[test]
    fn a_cancelled_evaluation_stops_without_figures() {
        let env = Environment::built_in(Preset::Contended);
        let cancelled = Progress::default();
        cancelled.cancel();
        let rule = [Contestant::of_rule(Rule::Cheapest, &env)];
        assert!(play(&env, Reward::EXCESS_COST, &rule, &[1, 2], None, &cancelled).is_none());
    }
}
