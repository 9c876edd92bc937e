//! A run's digest: what its decisions are a function of, and nothing else.

use api::{
    Hash,
    trainer::{Fork, NewRun, PsiFieldMode, ReplaySpec, is_default},
};
use merkle_log::{CanonicalError, canonical_json};
use routing_env::Environment;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The format and version of what is hashed.
pub const RUN_FORMAT: &str = "ai-mesh-run/1";

/// SHA-256 of an environment's definition.
#[must_use]
pub fn environment_sha256(environment: &Environment) -> Hash {
    sha256(environment.definition().as_bytes())
}

/// SHA-256 over the canonical JSON (RFC 8785) of what determines the run's decisions. How often it is
/// checkpointed, where it is cut, what it went on from and whether it is recorded do not enter.
///
/// # Errors
/// When a figure has no canonical JSON, which validated runs do not have.
pub fn run_digest(run: &NewRun, environment_sha256: Hash) -> Result<Hash, CanonicalError> {
    canonical_json(&Identity::of(run, environment_sha256)).map(|json| sha256(&json))
}

/// Names of the fields in which two runs differ so that one cannot go on from the other's checkpoint.
#[must_use]
pub fn differences(one: (&NewRun, Hash), other: (&NewRun, Hash)) -> Vec<String> {
    let fields = |(run, environment)| match serde_json::to_value(Identity::of(run, environment)) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (one, other) = (fields(one), fields(other));
    let differing = one.iter().filter(|(name, value)| other.get(*name) != Some(value));
    differing
        .map(|(name, _)| if name == "environment_sha256" { "environment".into() } else { name.clone() })
        .collect()
}

/// SHA-256 of some bytes: an artifact's name.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

#[derive(Serialize)]
struct Identity<'a> {
    format: &'a str,
    agents: u32,
    episodes: u32,
    steps_per_episode: u32,
    algorithm: &'a str,
    learning_rate: f64,
    discount: f64,
    epsilon: f64,
    replay: ReplaySpec,
    feasibility_mask: bool,
    #[serde(skip_serializing_if = "is_default")]
    merge_every: u32,
    reward: &'a str,
    seed: u64,
    psi_field: PsiFieldMode,
    environment_sha256: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<Fork>,
}

impl<'a> Identity<'a> {
    fn of(run: &'a NewRun, environment_sha256: Hash) -> Self {
        Self {
            format: RUN_FORMAT,
            agents: run.agents,
            episodes: run.episodes,
            steps_per_episode: run.steps_per_episode,
            algorithm: &run.algorithm,
            learning_rate: run.learning_rate,
            discount: run.discount,
            epsilon: run.epsilon,
            replay: run.replay,
            feasibility_mask: run.feasibility_mask,
            merge_every: run.merge_every,
            reward: &run.reward,
            seed: run.seed,
            psi_field: run.psi_field,
            environment_sha256,
            fork: run.fork,
        }
    }
}

#[cfg(test)]
mod tests {
    use api::trainer::{Recording, ReplayKind};

    use super::*;

    const ENVIRONMENT: Hash = Hash([0xab; 32]);

    /// Computed with Python 3:
    /// `hashlib.sha256(json.dumps({"format": "ai-mesh-run/1", "agents": 10, "episodes": 50,
    /// "steps_per_episode": 120, "algorithm": "q-learning", "learning_rate": 0.1, "discount": 0.99,
    /// "epsilon": 0.1, "replay": {"enabled": True, "capacity": 2000, "batch_size": 32},
    /// "feasibility_mask": True, "reward": "excess-cost", "seed": 1, "psi_field": "required",
    /// "environment_sha256": "ab" * 32}, sort_keys=True, separators=(",", ":")).encode()).hexdigest()`
    #[test]
    fn the_default_run_has_the_digest_that_another_program_computes() {
        let digest = run_digest(&NewRun::default(), ENVIRONMENT).unwrap();
        assert_eq!(digest.to_string(), "d0b895ba0f6761a90f7808e6828acc19f86e23b96827170d494d9adea5346cd2");
    }

    /// As above, with the values below.
    #[test]
    fn a_run_with_other_figures_has_the_digest_that_another_program_computes() {
        let run = NewRun {
            agents: 3,
            episodes: 5000,
            steps_per_episode: 7,
            algorithm: "weighted-score".into(),
            learning_rate: 0.25,
            discount: 0.5,
            epsilon: 0.001,
            replay: ReplaySpec { enabled: false, capacity: 1, batch_size: 2, kind: ReplayKind::Uniform },
            feasibility_mask: false,
            reward: "seed".into(),
            seed: 4_000_000_000,
            psi_field: PsiFieldMode::BestEffort,
            ..NewRun::default()
        };
        let digest = run_digest(&run, ENVIRONMENT).unwrap();
        assert_eq!(digest.to_string(), "fcbc665ecbec2ba67b98c947690d83552fbb419be4b0a81346945336ca041cc3");
    }

    /// As above, with `"kind": "prioritized"` in the replay and `"merge_every": 10` beside the default run's fields.
    #[test]
    fn a_run_that_replays_by_priority_and_merges_has_the_digest_that_another_program_computes() {
        let replay = ReplaySpec { kind: ReplayKind::Prioritized, ..ReplaySpec::default() };
        let run = NewRun { replay, merge_every: 10, ..NewRun::default() };
        let digest = run_digest(&run, ENVIRONMENT).unwrap();
        assert_eq!(digest.to_string(), "5d363c1c613cbb59aae91041ef2f1954131fe8c7aaaf9a996f21ec541af004c2");
    }

    /// As above, with `"fork": {"checkpoint": "cd" * 32, "branch": 2}` beside the default run's fields.
    #[test]
    fn a_run_that_leaves_anothers_path_has_the_digest_that_another_program_computes() {
        let fork = Some(Fork { checkpoint: Hash([0xcd; 32]), branch: 2 });
        let digest = run_digest(&NewRun { fork, ..NewRun::default() }, ENVIRONMENT).unwrap();
        assert_eq!(digest.to_string(), "0007b98b8d34726e3f392a471c2ea994b6e8927531d9a638485865bcc9975ac2");
    }

    #[test]
    fn what_changes_no_decision_changes_no_digest() {
        let run = NewRun {
            checkpoint_every: 3,
            stop_after: Some(4),
            resume_from: Some(ENVIRONMENT),
            recording: Recording::None,
            ..NewRun::default()
        };
        assert_eq!(
            run_digest(&run, ENVIRONMENT).unwrap(),
            run_digest(&NewRun::default(), ENVIRONMENT).unwrap()
        );
    }

    #[test]
    fn differences_are_named_as_the_caller_knows_them() {
        let run = NewRun { seed: 2, agents: 11, ..NewRun::default() };
        let names = differences((&run, Hash([0; 32])), (&NewRun::default(), ENVIRONMENT));
        assert_eq!(names, ["agents", "seed", "environment"]);
        assert!(differences((&run, ENVIRONMENT), (&run, ENVIRONMENT)).is_empty());
    }
}
