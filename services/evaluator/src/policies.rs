//! Policy files as contestants.

use api::Hash;
use evaluation::{
    episodes::Contestant,
    origin::{Provenance, Training},
};
use policy::{Fingerprint, PolicyFile, Swarm};
use routing_env::{Environment, Preference};

use crate::error::EvaluationError;

/// A policy file, ready to be tested.
pub(crate) struct Trained {
    file: PolicyFile,
    training: Training,
    swarm: Swarm,
}

/// A policy file, ready to be tested on these seeds in this environment, under any of these preferences.
///
/// # Errors
/// It is no policy of a learner, was trained for another catalog, or on one of these seeds, or cannot decide
/// for those who want one of these.
pub(crate) fn read(
    sha256: Hash,
    bytes: &[u8],
    provenance: Provenance,
    environment: &Environment,
    wanted: &[Preference],
    is_constrained: bool,
    seeds: &[u64],
) -> Result<Trained, EvaluationError> {
    let invalid = |reason: &dyn ToString| EvaluationError::InvalidPolicy(sha256, reason.to_string());
    let file = PolicyFile::parse(bytes).map_err(|error| invalid(&error))?;
    if file.swarm.algorithm.learner().is_none() {
        return Err(invalid(&format!(
            "`{}` is a hand rule: name it in rules instead",
            file.swarm.algorithm.name()
        )));
    }
    let trained = file.training_seeds();
    if let (Some(&first), Some(&last)) = (seeds.first(), seeds.last())
        && trained.start <= last
        && first < trained.end
    {
        return Err(EvaluationError::SeedsOverlap {
            policy: sha256,
            trained_first: trained.start,
            trained_last: trained.end - 1,
            first,
            last,
        });
    }
    let swarms = wanted.iter().map(|wanted| file.swarm_for(*wanted, environment));
    let swarms = swarms.collect::<Result<Vec<Swarm>, _>>().map_err(|error| {
        if file.trained_for == Fingerprint::of(environment) {
            invalid(&error)
        } else {
            EvaluationError::PolicyMismatch(sha256, error.to_string())
        }
    })?;
    let mut swarm = swarms.into_iter().next().ok_or_else(|| invalid(&"nothing is wanted of it"))?;
    if is_constrained && !wanted.iter().all(|wanted| swarm.reprice(&(*wanted).into())) {
        return Err(invalid(&format!(
            "what {} learns are the values of what it was trained for, so that no price of a constraint changes what it does: \
             expected a policy of adaptive or cem, or no constraint",
            file.swarm.algorithm.name()
        )));
    }
    let training = Training { artifact: sha256.0, first_seed: trained.start, provenance };
    Ok(Trained { file, training, swarm })
}

/// One policy with all its trainings.
///
/// # Errors
/// They were not trained in the same way on seeds of their own.
pub(crate) fn contestant(trainings: Vec<Trained>) -> Result<Contestant, EvaluationError> {
    for (i, one) in trainings.iter().enumerate() {
        if let Some(other) = trainings[..i].iter().find(|other| !one.file.is_trained_like(&other.file)) {
            return Err(EvaluationError::InvalidPolicy(
                Hash(one.training.artifact),
                format!(
                    "it is no other training of the policy {}: expected the same algorithm, settings, agents, episodes, \
                     catalog, tenants, preset and reward, and other training seeds",
                    Hash(other.training.artifact)
                ),
            ));
        }
    }
    let episodes = trainings.first().map_or(0, |one| one.file.training.episodes);
    let trainings = trainings.into_iter().map(|one| (one.training, one.swarm)).collect();
    Ok(Contestant::of_trainings(episodes, trainings))
}
