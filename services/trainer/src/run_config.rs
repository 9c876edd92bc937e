//! From a run as it was asked for to a run that can be played: every mistake is told.

use std::sync::Arc;

use api::{
    FIRST_HELD_OUT_SEED, FieldError, Hash,
    trainer::{EnvironmentSpec, NewRun},
};
use policy::{Algorithm, PolicyFile, SettingError, Swarm, SwarmConfig, SwarmError, Training};
use routing_env::{Document, Environment, InputError, Reward};
use serde_json::json;

use crate::digest::{environment_sha256, run_digest};

/// A validated run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The environment, with episodes as long as the run's.
    pub environment: Arc<Environment>,
    /// How the swarm is made.
    pub swarm: SwarmConfig,
    /// What is learned from.
    pub reward: Reward,
    /// Episodes to play, counted from the run's first: all of them, or those up to `stop_after`.
    pub last_episode: u32,
    /// SHA-256 of the environment's definition.
    pub environment_sha256: Hash,
    /// The run's digest.
    pub digest: Hash,
}

impl RunPlan {
    /// Validates a run.
    ///
    /// # Errors
    /// Every field that is wrong, by JSON pointer.
    pub fn new(run: &NewRun) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let reward = run.reward.parse::<Reward>();
        if let Err(error) = &reward {
            errors.push(field("/reward", error.to_string()));
        }
        if run.algorithm == "adaptive" && reward == Ok(Reward::Seed) {
            let detail = "expected excess-cost: adaptive plans with that reward; cem, afterstate and q-learning learn from \
                          the one that is given";
            errors.push(field("/reward", detail.into()));
        }
        if run.seed + u64::from(run.episodes) > FIRST_HELD_OUT_SEED {
            let detail = format!(
                "expected seed + episodes of at most 2^32, because seeds from there on are held out for evaluation; \
                 found {}",
                run.seed + u64::from(run.episodes)
            );
            errors.push(field("/seed", detail));
        }
        let swarm = swarm_config(run);
        if let Err(mistakes) = &swarm {
            errors.extend(mistakes.iter().cloned());
        }
        let environment = environment(&run.environment).map(|e| e.with_steps(run.steps_per_episode));
        match &environment {
            Ok(environment) => {
                let swarm = swarm.as_ref().ok().map(|swarm| Swarm::new(single_agent(swarm), environment));
                errors.extend(swarm.and_then(Result::err).map(|error| of_swarm(&error)));
            }
            Err(mistakes) => errors.extend(mistakes.iter().cloned()),
        }
        match (environment, reward, swarm) {
            (Ok(environment), Ok(reward), Ok(swarm)) if errors.is_empty() => {
                let environment_sha256 = environment_sha256(&environment);
                let digest = run_digest(run, environment_sha256)
                    .map_err(|error| vec![field(&error.pointer(), error.problem().to_owned())])?;
                Ok(Self {
                    environment: Arc::new(environment),
                    swarm,
                    reward,
                    last_episode: run.stop_after.unwrap_or(run.episodes).min(run.episodes),
                    environment_sha256,
                    digest,
                })
            }
            _ => Err(errors),
        }
    }

    /// What the swarm has learned in the run's first episodes.
    #[must_use]
    pub fn policy(&self, swarm: &Swarm, run: &NewRun, episodes: u32, decisions: u64) -> PolicyFile {
        let training = Training {
            preset: self.environment.preset().name().to_owned(),
            reward: self.reward.to_string(),
            first_seed: run.seed,
            episodes,
            decisions,
        };
        PolicyFile::new(swarm, &self.environment, training)
    }
}

/// The run's environment, before its own length of episodes is applied.
pub(crate) fn environment(spec: &EnvironmentSpec) -> Result<Environment, Vec<FieldError>> {
    let document = |part: &Option<serde_json::Value>| part.clone().map(Document::Value);
    let asked = routing_env::EnvironmentSpec {
        preset: spec.preset.clone(),
        providers: document(&spec.providers),
        workloads: document(&spec.workloads),
    };
    let field = |error: InputError| FieldError {
        pointer: format!("/environment/{}{}", error.file, error.pointer),
        detail: error.expected,
    };
    asked.build().map_err(|errors| errors.into_iter().map(field).collect())
}

fn swarm_config(run: &NewRun) -> Result<SwarmConfig, Vec<FieldError>> {
    let settings = json!({
        "learning_rate": run.learning_rate,
        "discount": run.discount,
        "epsilon": run.epsilon,
        "replay": {
            "enabled": run.replay.enabled,
            "capacity": run.replay.capacity,
            "batch_size": run.replay.batch_size,
            "kind": run.replay.kind,
        },
        "feasibility_mask": run.feasibility_mask,
        "merge_every": run.merge_every,
    });
    let settings = settings.as_object().cloned().unwrap_or_default();
    let algorithm = Algorithm::of_union(&run.algorithm, &settings).map_err(|errors| {
        let of_setting = |error: SettingError| {
            let expected = format!("expected {}", error.expected);
            match error.setting.as_str() {
                "name" => field("/algorithm", format!("unknown algorithm `{}`: {expected}", run.algorithm)),
                setting => field(&format!("/{}", setting.replace('.', "/")), expected),
            }
        };
        errors.into_iter().map(of_setting).collect::<Vec<_>>()
    })?;
    Ok(SwarmConfig { algorithm, agents: run.agents })
}

/// One agent is enough to find every mistake.
fn single_agent(config: &SwarmConfig) -> SwarmConfig {
    SwarmConfig { agents: 1, ..config.clone() }
}

fn of_swarm(error: &SwarmError) -> FieldError {
    let pointer = match error {
        SwarmError::TooManyProviders { .. } => "/environment/providers",
        SwarmError::Mismatch(_) => "/algorithm",
    };
    field(pointer, error.to_string())
}

fn field(pointer: &str, detail: String) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing_env::Workloads;

    fn pointers(run: &NewRun) -> Vec<String> {
        RunPlan::new(run).unwrap_err().into_iter().map(|error| error.pointer).collect()
    }

    fn on(environment: serde_json::Value) -> NewRun {
        NewRun { environment: serde_json::from_value(environment).unwrap(), ..NewRun::default() }
    }

    #[test]
    fn the_default_run_is_valid() {
        let plan = RunPlan::new(&NewRun::default()).unwrap();
        assert_eq!(plan.environment.steps(), 120);
        assert_eq!(plan.last_episode, 50);
        assert_eq!(plan.swarm, SwarmConfig::new("q-learning", &json!({}), 10).unwrap());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let run = NewRun {
            algorithm: "magic".into(),
            reward: "money".into(),
            seed: FIRST_HELD_OUT_SEED - 50 + 1,
            ..NewRun::default()
        };
        assert_eq!(pointers(&run), ["/reward", "/seed", "/algorithm"]);
    }

    #[test]
    fn adaptive_is_refused_a_reward_that_it_would_not_heed() {
        let run = NewRun { algorithm: "adaptive".into(), reward: "seed".into(), ..NewRun::default() };
        assert_eq!(pointers(&run), ["/reward"]);
        assert!(RunPlan::new(&NewRun { reward: "excess-cost".into(), ..run.clone() }).is_ok());
        assert!(RunPlan::new(&NewRun { algorithm: "cem".into(), ..run }).is_ok());
    }

    #[test]
    fn the_last_training_seed_may_lie_just_below_the_held_out_ones() {
        let run = NewRun { seed: FIRST_HELD_OUT_SEED - 50, ..NewRun::default() };
        assert!(RunPlan::new(&run).is_ok());
    }

    #[test]
    fn mistakes_in_the_environment_are_pointed_at_inside_the_body() {
        assert_eq!(pointers(&on(json!({"preset": "easy"}))), ["/environment/preset"]);
        let catalog = json!({"preset": "easy", "providers": {"providers": [{"id": "a", "regions": ["global"],
            "gpu_types": ["A100"], "base_latency_ms": 0.5, "capacity_gpu_hours_per_step": 1, "reputation": 1}]}});
        assert_eq!(
            pointers(&on(catalog)),
            ["/environment/preset", "/environment/providers/providers/0/base_latency_ms"]
        );
        assert_eq!(
            pointers(&on(json!({"workloads": {"tenants": [], "tennants": 1}}))),
            ["/environment/workloads/tennants"]
        );
    }

    #[test]
    fn a_catalog_that_is_too_large_for_the_learner_is_pointed_at() {
        let provider = |i: usize| {
            json!({"id": format!("p{i}"), "regions": ["global"], "gpu_types": ["A100"], "base_latency_ms": 5,
                "capacity_gpu_hours_per_step": 1, "reputation": 1})
        };
        let providers: Vec<_> = (0..200).map(provider).collect();
        let mut workloads: serde_json::Value = serde_json::to_value(Workloads::built_in()).unwrap();
        workloads["scenarios"] = json!([]);
        let run = on(json!({"providers": {"providers": providers}, "workloads": workloads}));
        assert_eq!(pointers(&run), ["/environment/providers"]);
        assert!(RunPlan::new(&NewRun { algorithm: "cheapest".into(), ..run }).is_ok());
    }

    #[test]
    fn the_preset_and_the_length_of_episodes_enter_the_digest_but_the_files_own_length_does_not() {
        let digest = |run: &NewRun| RunPlan::new(run).unwrap().digest;
        let plain = digest(&NewRun::default());
        assert_ne!(digest(&on(json!({"preset": "contended"}))), plain);
        assert_ne!(digest(&NewRun { steps_per_episode: 60, ..NewRun::default() }), plain);
        let mut workloads: serde_json::Value = serde_json::to_value(Workloads::built_in()).unwrap();
        workloads["simulation"]["steps"] = json!(7);
        assert_eq!(digest(&on(json!({"workloads": workloads}))), plain);
        assert_eq!(digest(&on(json!({"preset": "default"}))), plain);
    }
}
