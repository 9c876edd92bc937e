//! A run's digest: what its decisions are a function of, and nothing else.

use api::{
    Hash,
    trainer::{AlgorithmSpec, Federate, Fork, Interventions, NewRun, PsiFieldMode},
};
use merkle_log::{CanonicalError, canonical_json};
use routing_env::Environment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::algorithm;

/// The format and version of what is hashed: what q-learning is told is beside its name. In this form earlier versions
/// hashed all runs, whose decisions are in ledgers under that digest.
const RUN_FORMAT_1: &str = "ai-mesh-run/1";

/// The format for all other algorithms: each with its own settings and no others.
const RUN_FORMAT_2: &str = "ai-mesh-run/2";

/// The algorithm that keeps the first format, where its state is the specified one: that was the only one then.
const OF_FORMAT_1: &str = "q-learning";

/// Whether the run's digest is over the settings in the flat form, as an earlier version recorded them.
#[must_use]
pub fn is_over_flat_form(run: &NewRun) -> bool {
    algorithm::is_flat_record(run) && run.algorithm_name() != OF_FORMAT_1
}

/// SHA-256 of an environment's definition.
#[must_use]
pub fn environment_sha256(environment: &Environment) -> Hash {
    sha256(environment.definition().as_bytes())
}

/// SHA-256 over the canonical JSON (RFC 8785) of what determines the run's decisions. How often it is
/// checkpointed, where it is cut, what it went on from and whether it is recorded do not enter. The run's algorithm has
/// all its settings.
///
/// # Errors
/// When a figure has no canonical JSON, which validated runs do not have.
pub fn run_digest(run: &NewRun, environment_sha256: Hash) -> Result<Hash, CanonicalError> {
    canonical_json(&Identity::of(run, environment_sha256)).map(|json| sha256(&json))
}

/// Names of the fields and settings in which two runs differ so that one cannot go on from the other's checkpoint.
#[must_use]
pub fn differences(one: (&NewRun, Hash), other: (&NewRun, Hash)) -> Vec<String> {
    let (one, other) = (compared(one.0, one.1), compared(other.0, other.1));
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// What a digest is over, with all settings of the algorithm and none that it does not have, each under its own name.
fn compared(run: &NewRun, environment_sha256: Hash) -> Map<String, Value> {
    let run = algorithm::shown(run);
    let algorithm = AlgorithmIdentity::Own { algorithm: run.algorithm.as_ref() };
    let identity = Identity { algorithm, ..Identity::of(&run, environment_sha256) };
    let Ok(Value::Object(fields)) = serde_json::to_value(identity) else {
        return Map::new(); // an identity is always an object
    };
    let mut compared = Map::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("format", _) => {}
            ("environment_sha256", value) => drop(compared.insert("environment".into(), value)),
            ("algorithm", Value::Object(settings)) => {
                let own = settings.into_iter().map(|(name, value)| match name.as_str() {
                    "name" => ("algorithm".to_owned(), value),
                    _ => (name, value),
                });
                compared.extend(own);
            }
            (_, value) => drop(compared.insert(name, value)),
        }
    }
    compared
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
    #[serde(flatten)]
    algorithm: AlgorithmIdentity<'a>,
    /// The algorithm's, where it has decided otherwise before.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    reward: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preference: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prior: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    federate: Option<Federate>,
    seed: u64,
    psi_field: PsiFieldMode,
    /// What is obeyed was obeyed before there was a choice, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    interventions: Option<Interventions>,
    environment_sha256: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<Fork>,
}

/// The order of the fields does not matter: canonical JSON sorts them.
#[derive(Serialize)]
#[serde(untagged)]
enum AlgorithmIdentity<'a> {
    Flat {
        algorithm: &'a str,
        #[serde(flatten)]
        settings: FlatSettings,
    },
    Own {
        algorithm: Option<&'a AlgorithmSpec>,
    },
}

/// The settings of the first format, as it writes them.
#[derive(Serialize, Deserialize)]
struct FlatSettings {
    learning_rate: f64,
    discount: f64,
    epsilon: f64,
    replay: FlatReplay,
    feasibility_mask: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    merge_every: u32,
}

#[derive(Serialize, Deserialize)]
struct FlatReplay {
    enabled: bool,
    capacity: u32,
    batch_size: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    kind: ReplayKind,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReplayKind {
    #[default]
    Uniform,
    Prioritized,
}

/// True for what a field is when it is absent: it was added later, and what was written before keeps its bytes.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'a> Identity<'a> {
    fn of(run: &'a NewRun, environment_sha256: Hash) -> Self {
        let name = run.algorithm_name();
        let nothing = Map::new();
        let told = run.algorithm.as_ref().map_or(&nothing, |algorithm| &algorithm.settings);
        let revision = policy::registry::revision(name, told);
        let settings = if algorithm::is_flat_record(run) {
            Some(algorithm::flat(run))
        } else {
            let is_first = |algorithm: &&AlgorithmSpec| {
                let state = algorithm.settings.get("state");
                name == OF_FORMAT_1 && state.is_none_or(|state| state == "specified")
            };
            run.algorithm.as_ref().filter(is_first).map(|algorithm| algorithm.settings.clone())
        };
        let flat = settings.and_then(|settings| serde_json::from_value(Value::Object(settings)).ok());
        let (format, algorithm) = match flat {
            Some(settings) => (RUN_FORMAT_1, AlgorithmIdentity::Flat { algorithm: name, settings }),
            None => (RUN_FORMAT_2, AlgorithmIdentity::Own { algorithm: run.algorithm.as_ref() }),
        };
        Self {
            format,
            agents: run.agents,
            episodes: run.episodes,
            steps_per_episode: run.steps_per_episode,
            algorithm,
            revision: Some(revision).filter(|revision| *revision > 1),
            reward: &run.reward,
            preference: run.preference.as_ref(),
            prior: run.prior,
            federate: run.federate,
            seed: run.seed,
            psi_field: run.psi_field,
            interventions: run.interventions.filter(|interventions| *interventions != Interventions::Obeyed),
            environment_sha256,
            fork: run.fork,
        }
    }
}

#[cfg(test)]
mod tests {
    use api::trainer::Recording;
    use serde_json::json;

    use super::*;

    const ENVIRONMENT: Hash = Hash([0xab; 32]);

    /// A run as it is recorded: of q-learning, with all its settings.
    fn recorded() -> NewRun {
        asked(json!({"algorithm": {"name": "q-learning", "state": "specified"}}))
    }

    fn asked(body: Value) -> NewRun {
        let run: NewRun = serde_json::from_value(body).unwrap();
        algorithm::written(&run, &algorithm::asked(&run).unwrap())
    }

    fn digest(run: &NewRun) -> String {
        run_digest(run, ENVIRONMENT).unwrap().to_string()
    }

    /// Computed with Python 3:
    /// `hashlib.sha256(json.dumps({"format": "ai-mesh-run/1", "agents": 10, "episodes": 50,
    /// "steps_per_episode": 120, "algorithm": "q-learning", "learning_rate": 0.1, "discount": 0.99,
    /// "epsilon": 0.1, "replay": {"enabled": True, "capacity": 2000, "batch_size": 32},
    /// "feasibility_mask": True, "reward": "excess-cost", "seed": 1, "psi_field": "required",
    /// "environment_sha256": "ab" * 32}, sort_keys=True, separators=(",", ":")).encode()).hexdigest()`
    #[test]
    fn a_run_of_q_learning_has_the_digest_that_another_program_computes() {
        assert_eq!(digest(&recorded()), "d0b895ba0f6761a90f7808e6828acc19f86e23b96827170d494d9adea5346cd2");
    }

    /// As above, with the values below, as the first version recorded them.
    #[test]
    fn a_run_that_the_first_version_recorded_keeps_the_digest_that_another_program_computes() {
        let run: NewRun = serde_json::from_value(json!({
            "agents": 3, "episodes": 5000, "steps_per_episode": 7, "algorithm": "weighted-score", "learning_rate": 0.25,
            "discount": 0.5, "epsilon": 0.001, "replay": {"enabled": false, "capacity": 1, "batch_size": 2},
            "feasibility_mask": false, "reward": "seed", "seed": 4_000_000_000_u32, "psi_field": "best_effort"
        }))
        .unwrap();
        assert_eq!(digest(&run), "fcbc665ecbec2ba67b98c947690d83552fbb419be4b0a81346945336ca041cc3");
    }

    /// As above, with `"kind": "prioritized"` in the replay and `"merge_every": 10` beside the first run's fields.
    #[test]
    fn a_run_that_replays_by_priority_and_merges_has_the_digest_that_another_program_computes() {
        let told = json!({"name": "q-learning", "state": "specified", "replay": {"kind": "prioritized"}, "merge_every": 10});
        let run = asked(json!({"algorithm": told}));
        assert_eq!(digest(&run), "5d363c1c613cbb59aae91041ef2f1954131fe8c7aaaf9a996f21ec541af004c2");
    }

    /// As above, with `"fork": {"checkpoint": "cd" * 32, "branch": 2}` beside the first run's fields.
    #[test]
    fn a_run_that_leaves_anothers_path_has_the_digest_that_another_program_computes() {
        let fork = Some(Fork { checkpoint: Hash([0xcd; 32]), branch: 2 });
        let run = NewRun { fork, ..recorded() };
        assert_eq!(digest(&run), "0007b98b8d34726e3f392a471c2ea994b6e8927531d9a638485865bcc9975ac2");
    }

    /// Computed with Python 3:
    /// `hashlib.sha256(json.dumps({"format": "ai-mesh-run/2", "agents": 10, "episodes": 50,
    /// "steps_per_episode": 120, "algorithm": {"name": "adaptive", "epsilon": 0.01}, "revision": 3, "reward": "excess-cost",
    /// "seed": 1, "psi_field": "required", "environment_sha256": "ab" * 32}, sort_keys=True,
    /// separators=(",", ":")).encode()).hexdigest()`, and the same with `{"name": "cheapest"}` and no revision.
    #[test]
    fn runs_of_other_algorithms_have_the_digests_that_another_program_computes() {
        for (body, expected) in [
            (json!({}), "c6a67b84fe512ca7fdc061f587678d41350e9f5fbdb1f2b76d70fa019bb88a5b"),
            (
                json!({"algorithm": "cheapest"}),
                "5b03c5226541cf6ef33f56a605c3fc189b0d31f0712f7d840deb3364fb29774e",
            ),
        ] {
            assert_eq!(digest(&asked(body)), expected);
        }
    }

    #[test]
    fn what_changes_no_decision_changes_no_digest() {
        let run = NewRun {
            checkpoint_every: 3,
            stop_after: Some(4),
            resume_from: Some(ENVIRONMENT),
            recording: Recording::None,
            ..recorded()
        };
        assert_eq!(digest(&run), digest(&recorded()));
    }

    #[test]
    fn differences_are_named_as_the_caller_knows_them() {
        let told = json!({"name": "q-learning", "state": "specified", "epsilon": 0.2, "merge_every": 3});
        let run = NewRun { seed: 2, agents: 11, ..asked(json!({"algorithm": told})) };
        let names = differences((&run, Hash([0; 32])), (&recorded(), ENVIRONMENT));
        assert_eq!(names, ["agents", "epsilon", "merge_every", "seed", "environment"]);
        assert!(differences((&run, ENVIRONMENT), (&run, ENVIRONMENT)).is_empty());
    }
}
