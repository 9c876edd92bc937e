//! Meta-training: a prior is learned from worlds, in rounds, and how to learn from it is chosen in others.
//!
//! In each round a swarm begins in every world with the prior so far, learns there for some episodes, and what all came to
//! is pooled by the learner's law into the next start. That moves the start towards what each world's learning leads to, as
//! Reptile does (Nichol, Achiam and Schulman 2018), and for a distribution it is empirical Bayes (Robbins 1956): the pool is
//! what is known of a world before any of it is seen. Then each way of learning that the learner has is tried in worlds that
//! the start was not learned from, and the one that earned most *while* it learned is kept.

use policy::{
    MetaTraining as Provenance, PRIOR_FORMAT, Prior, Rule, Swarm, SwarmConfig, SwarmError, WorldRange,
};
use rayon::prelude::*;
use routing_env::{Environment, Reward};
use serde_json::Value;

use crate::worlds::{MetaTraining, MetaValidation, Purpose, World};

/// The least gap that a world's rewards are measured by, in points a request: where there is next to nothing to gain, luck
/// would decide.
const LEAST_GAP: f64 = 0.3;

/// What is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The learner, as one agent: it learns from every request.
    pub swarm: SwarmConfig,
    /// Rounds.
    pub rounds: u32,
    /// Episodes of a round in each world, and in each of validation.
    pub episodes: u32,
    /// The seed of the first episode; each episode of the meta-training has one of its own.
    pub seed: u64,
}

/// Why there is no prior.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// A hand rule.
    #[error("{0} does not learn: expected {learners}", learners = policy::registry::learners())]
    NoLearner(&'static str),
    /// A world that the learner cannot handle, or a prior to go on from that does not fit.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// What was learned in the worlds cannot be pooled.
    #[error(transparent)]
    Knowledge(#[from] policy::KnowledgeError),
}

/// Learns a prior. `go_on_from` is what an earlier meta-training of this plan left after some rounds: it ends with the same
/// bytes as one that was never broken off. After each round the prior so far is shown.
///
/// # Errors
/// As [`MetaError`] says.
pub fn meta_train(
    plan: &Plan,
    worlds: &[World<MetaTraining>],
    validation: &[World<MetaValidation>],
    go_on_from: Option<Prior>,
    mut show: impl FnMut(&Prior),
) -> Result<Prior, MetaError> {
    let algorithm = &plan.swarm.algorithm;
    let learner = algorithm.learner().ok_or(MetaError::NoLearner(algorithm.name()))?;
    let ways = learner.ways();
    let first_way = ways.first().cloned().unwrap_or_default();
    let mut prior = go_on_from;
    let done = prior.as_ref().map_or(0, |prior| prior.meta_training.rounds);
    for round in done..plan.rounds {
        let met = worlds.par_iter().map(|world| plan.learned(world, prior.as_ref(), round));
        let met = met.collect::<Result<Vec<Swarm>, SwarmError>>()?;
        let known: Vec<_> = met.iter().map(|swarm| swarm.knowledge().remove(0)).collect();
        let pooled: Vec<_> = worlds.iter().map(World::env).zip(&known).collect();
        let next = Prior {
            format: PRIOR_FORMAT.into(),
            algorithm: learner.name.into(),
            start: learner.pool(&pooled)?,
            learning: first_way.clone(),
            meta_training: plan.provenance(worlds, validation, round + 1),
        };
        show(&next);
        prior = Some(next);
    }
    let Some(mut prior) = prior else {
        return Err(MetaError::Swarm(SwarmError::Mismatch("no round was played".into())));
    };
    if ways.len() > 1 {
        let gaps: Vec<f64> = validation.par_iter().map(|world| plan.gap(world.env())).collect();
        let mut best: Option<(f64, Value)> = None;
        for way in ways {
            let tried = Prior { learning: way.clone(), ..prior.clone() };
            let earned = validation
                .par_iter()
                .zip(&gaps)
                .map(|(world, gap)| Ok(plan.earned(world.env(), &tried)? / gap));
            let earned: f64 = earned.collect::<Result<Vec<f64>, SwarmError>>()?.iter().sum();
            if best.as_ref().is_none_or(|(most, _)| earned > *most) {
                best = Some((earned, way));
            }
        }
        prior.learning = best.map_or(first_way, |(_, way)| way);
    }
    Ok(prior)
}

impl Plan {
    /// What a swarm comes to in a world, in a round.
    fn learned(
        &self,
        world: &World<MetaTraining>,
        prior: Option<&Prior>,
        round: u32,
    ) -> Result<Swarm, SwarmError> {
        let mut swarm = self.begun(world.env(), prior)?;
        let first = self.seed + u64::from(round) * u64::from(self.episodes);
        for seed in first..first + u64::from(self.episodes) {
            swarm.play(world.env(), seed, Reward::EXCESS_COST);
        }
        Ok(swarm)
    }

    fn begun(&self, env: &Environment, prior: Option<&Prior>) -> Result<Swarm, SwarmError> {
        let Some(prior) = prior else { return Swarm::new(self.swarm.clone(), env) };
        let mut swarm = Swarm::with_prior(self.swarm.clone(), env, prior)?;
        swarm.trust_prior(); // it is what is to be judged
        Ok(swarm)
    }

    /// What a swarm earns while it learns, in points a request.
    fn earned(&self, env: &Environment, prior: &Prior) -> Result<f64, SwarmError> {
        let mut swarm = self.begun(env, Some(prior))?;
        Ok(self.mean_reward(|seed| swarm.play(env, seed, Reward::EXCESS_COST)))
    }

    /// The way from the baseline to bid prices, in points a request: what a world has to give, as far as that is known
    /// without solving its limit.
    fn gap(&self, env: &Environment) -> f64 {
        let of =
            |rule| self.mean_reward(|seed| Swarm::of_rule(rule, env).play(env, seed, Reward::EXCESS_COST));
        (of(Rule::BidPrice) - of(Rule::WeightedScore)).max(LEAST_GAP)
    }

    fn mean_reward(&self, play: impl FnMut(u64) -> routing_env::Metrics) -> f64 {
        let seeds = self.seed..self.seed + u64::from(self.episodes);
        let rewards = seeds.map(play).map(|metrics| metrics.overall.avg_reward().unwrap_or_default());
        rewards.sum::<f64>() / f64::from(self.episodes)
    }

    /// What a prior of this plan says of itself after so many rounds.
    #[must_use]
    pub fn provenance(
        &self,
        worlds: &[World<MetaTraining>],
        validation: &[World<MetaValidation>],
        rounds: u32,
    ) -> Provenance {
        Provenance {
            worlds: range(worlds),
            validation: range(validation),
            seed: self.seed,
            rounds,
            episodes: self.episodes,
            steps_per_episode: worlds.first().map_or(0, |world| world.env().steps()),
        }
    }
}

fn range<P: Purpose>(worlds: &[World<P>]) -> WorldRange {
    let first_seed = worlds.first().map_or(P::FIRST_SEED, World::seed);
    WorldRange { first_seed, count: u32::try_from(worlds.len()).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(algorithm: &str, rounds: u32) -> Plan {
        let swarm = SwarmConfig::new(algorithm, &json!({}), 1).unwrap();
        Plan { swarm, rounds, episodes: 1, seed: 1 }
    }

    fn worlds() -> (Vec<World<MetaTraining>>, Vec<World<MetaValidation>>) {
        (World::first(3).unwrap(), World::first(1).unwrap())
    }

    #[test]
    fn the_same_meta_training_ends_with_the_same_bytes_on_any_number_of_threads_and_when_it_was_broken_off() {
        let (worlds, validation) = worlds();
        let on = |threads: usize, plan: &Plan, go_on_from: Option<Prior>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let prior = pool.install(|| meta_train(plan, &worlds, &validation, go_on_from, |_| {})).unwrap();
            serde_json::to_string(&prior).unwrap()
        };
        let whole = on(1, &plan("cem", 2), None);
        assert_eq!(on(3, &plan("cem", 2), None), whole);
        let mut first = None;
        meta_train(&plan("cem", 1), &worlds, &validation, None, |prior| first = Some(prior.clone())).unwrap();
        assert_eq!(on(2, &plan("cem", 2), first), whole);
    }

    #[test]
    fn what_has_to_be_of_one_catalog_or_learns_nothing_is_refused() {
        let (worlds, validation) = worlds();
        let refused = |algorithm| {
            meta_train(&plan(algorithm, 1), &worlds, &validation, None, |_| {}).unwrap_err().to_string()
        };
        assert!(refused("q-learning").contains("one catalog"));
        assert!(refused("cheapest").contains("does not learn: expected adaptive"));
        let home = Environment::built_in(routing_env::Preset::Default);
        let (worlds, validation) = (World::first_in(&home, 2).unwrap(), World::first_in(&home, 1).unwrap());
        let prior = meta_train(&plan("q-learning", 1), &worlds, &validation, None, |_| {}).unwrap();
        assert_eq!(prior.start["learned_for"]["providers"].as_array().unwrap().len(), 7);
    }
}
