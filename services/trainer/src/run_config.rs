//! From a run as it was asked for to a run that can be played: every mistake is told.

use std::sync::Arc;

use api::{
    FIRST_HELD_OUT_SEED, FieldError, Hash,
    trainer::{AssumedPrice, EnvironmentSpec, Interventions, NewRun, PsiFieldMode},
};
use garde::Validate as _;
use policy::{Algorithm, PolicyFile, Swarm, SwarmConfig, SwarmError, Training};
use routing_env::{
    Catalog, Document, Environment, InputError, Preference, Reward, UNLISTED_PRICE_USD_PER_HOUR,
};
use serde_json::json;

use crate::{
    algorithm,
    digest::{environment_sha256, is_over_flat_form, run_digest},
    federation::stream_of,
};

/// A validated run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The run as it is recorded: its algorithm with all settings. One that an earlier version recorded stays as it was
    /// written, where its digest is over that.
    pub run: NewRun,
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
    /// Validates a run that is asked for.
    ///
    /// # Errors
    /// Every field that is wrong, by JSON pointer.
    pub fn new(run: &NewRun) -> Result<Self, Vec<FieldError>> {
        let algorithm = algorithm::asked(run).and_then(|algorithm| algorithm::fitting(run, algorithm));
        let interventions = interventions(run, algorithm.as_ref().ok());
        let asked = NewRun { interventions: *interventions.as_ref().unwrap_or(&None), ..run.clone() };
        match (Self::of(&asked, algorithm), interventions) {
            (plan, Ok(_)) => plan,
            (Ok(_), Err(error)) => Err(vec![error]),
            (Err(errors), Err(error)) => Err([errors, vec![error]].concat()),
        }
    }

    /// The plan of a run that has been recorded, or that goes on from one that was: an earlier version may have written
    /// settings that decided nothing.
    ///
    /// # Errors
    /// Every field that this version cannot play.
    pub fn of_record(run: &NewRun) -> Result<Self, Vec<FieldError>> {
        Self::of(run, algorithm::recorded(run))
    }

    fn of(run: &NewRun, algorithm: Result<Algorithm, Vec<FieldError>>) -> Result<Self, Vec<FieldError>> {
        if let Err(report) = run.validate() {
            // It came from the ledger, where others can post: what callers ask is checked before.
            let error = |(path, error): &(garde::Path, garde::Error)| {
                field(&format!("/{}", path.to_string().replace('.', "/")), error.to_string())
            };
            return Err(report.iter().map(error).collect());
        }
        let mut errors = Vec::new();
        let reward = run.reward.parse::<Reward>();
        if let Err(error) = &reward {
            errors.push(field("/reward", error.to_string()));
        }
        let end = run.seed.saturating_add(run.episodes.into());
        if end > FIRST_HELD_OUT_SEED {
            let detail = format!(
                "expected seed + episodes of at most 2^32, because seeds from there on are held out for evaluation; \
                 found {end}"
            );
            errors.push(field("/seed", detail));
        }
        if let Err(mistakes) = &algorithm {
            errors.extend(mistakes.iter().cloned());
        }
        let environment = environment(&run.environment).map(|e| e.with_steps(run.steps_per_episode));
        if let Err(mistakes) = &environment {
            errors.extend(mistakes.iter().cloned());
        }
        if let (Ok(algorithm), Ok(environment)) = (&algorithm, &environment) {
            // one agent is enough to find every mistake
            let single = SwarmConfig { algorithm: algorithm.clone(), agents: 1 };
            errors.extend(Swarm::new(single, environment).err().map(|error| of_swarm(&error)));
        }
        if algorithm.as_ref().is_ok_and(|a| a.name() == "adaptive") && reward == Ok(Reward::Seed) {
            let detail = "expected excess-cost: adaptive plans with that reward; cem, afterstate and q-learning learn from \
                          the one that is given";
            errors.push(field("/reward", detail.into()));
        }
        let preference = environment.as_ref().ok().and_then(|environment| {
            let asked = Preference::asked(run.preference.as_ref()?, environment);
            asked.map_err(|error| errors.push(of_preference(error))).ok()
        });
        if run.preference.is_some() && reward == Ok(Reward::Seed) {
            let detail = "expected none, because the reward `seed` has no weights; expected the reward `excess-cost` with one";
            errors.push(field("/preference", detail.into()));
        }
        let (Ok(environment), Ok(reward), Ok(algorithm), true) =
            (environment, reward, algorithm, errors.is_empty())
        else {
            return Err(errors);
        };
        let mut run = if is_over_flat_form(run) { run.clone() } else { algorithm::written(run, &algorithm) };
        let reward = preference.map_or(reward, Reward::Preference);
        // equal weights are the same run, whatever they were called
        let preference = preference.filter(|_| reward != Reward::EXCESS_COST);
        run.preference = preference.map(|preference| json!(preference));
        let environment_sha256 = environment_sha256(&environment);
        let digest = run_digest(&run, environment_sha256)
            .map_err(|error| vec![field(&error.pointer(), error.problem().to_owned())])?;
        let plan = Self {
            environment: Arc::new(environment),
            swarm: SwarmConfig { algorithm, agents: run.agents },
            reward,
            last_episode: run.stop_after.unwrap_or(run.episodes).min(run.episodes),
            environment_sha256,
            digest,
            run,
        };
        if plan.run.federate.is_some() {
            stream_of(&plan).map_err(|detail| vec![field("/federate", detail)])?;
        }
        Ok(plan)
    }

    /// What the swarm has learned in the run's first episodes.
    #[must_use]
    pub fn policy(&self, swarm: &Swarm, episodes: u32, decisions: u64) -> PolicyFile {
        let training = Training {
            preset: self.environment.preset().name().to_owned(),
            reward: self.run.reward.clone(),
            preference: self.reward.preference().filter(|_| self.run.preference.is_some()),
            prior: self.run.prior.map(|name| name.to_string()),
            first_seed: self.run.seed,
            episodes,
            decisions,
        };
        PolicyFile::new(swarm, &self.environment, training)
    }
}

/// What a run that is asked for does with interventions, where there can be any.
fn interventions(run: &NewRun, algorithm: Option<&Algorithm>) -> Result<Option<Interventions>, FieldError> {
    let refused = |detail: &str| Err(field("/interventions", detail.to_owned()));
    let learns = algorithm.is_none_or(|algorithm| algorithm.learner().is_some());
    let is_off = run.psi_field == PsiFieldMode::Off;
    match run.interventions {
        Some(Interventions::Tried) if is_off => refused("expected none, because psi_field is `off`"),
        Some(Interventions::Tried) if !learns => {
            refused("expected none, because a hand rule has nothing to forget or to explore")
        }
        _ if is_off || !learns => Ok(None),
        told => Ok(Some(told.unwrap_or_default())),
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

/// What a catalog lists without a price.
pub(crate) fn assumed_prices(catalog: &Catalog) -> Vec<AssumedPrice> {
    let assumed = catalog.assumed_prices().map(|(provider, gpu_type)| AssumedPrice {
        provider: provider.to_owned(),
        gpu_type: gpu_type.to_owned(),
        price_usd_per_hour: UNLISTED_PRICE_USD_PER_HOUR,
    });
    assumed.collect()
}

/// The same of the catalog that a run brings; the built-in one has all prices.
pub(crate) fn assumed_prices_of(spec: &EnvironmentSpec) -> Vec<AssumedPrice> {
    let own = spec.providers.as_ref().and_then(|value| Catalog::from_value("providers", value).ok());
    own.as_ref().map(assumed_prices).unwrap_or_default()
}

/// A mistake in what is wanted.
pub(crate) fn of_preference(error: InputError) -> FieldError {
    FieldError { pointer: format!("/{}{}", error.file, error.pointer), detail: error.expected }
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
    use api::trainer::AlgorithmSpec;
    use routing_env::Workloads;
    use serde_json::json;

    use super::*;

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
        assert_eq!(plan.swarm, SwarmConfig::new("adaptive", &json!({}), 10).unwrap());
        assert_eq!(plan.environment.preset().name(), "contended");
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let run = NewRun {
            algorithm: Some("magic".into()),
            reward: "money".into(),
            seed: FIRST_HELD_OUT_SEED - 50 + 1,
            ..NewRun::default()
        };
        assert_eq!(pointers(&run), ["/reward", "/seed", "/algorithm"]);
    }

    #[test]
    fn equal_weights_are_the_same_run_and_the_usual_ones_change_nothing() {
        let run = |preference: serde_json::Value| {
            RunPlan::new(&NewRun { preference: Some(preference), ..on(json!({})) })
        };
        let usual = RunPlan::new(&on(json!({}))).unwrap();
        let balanced = run(json!("balanced")).unwrap();
        assert_eq!((balanced.digest, balanced.run), (usual.digest, usual.run));
        let [named, told] = [json!("cheap"), json!({"cost": 8})].map(|wanted| run(wanted).unwrap());
        assert_eq!((named.digest, &named.run), (told.digest, &told.run));
        assert_ne!(named.digest, usual.digest);
        assert_eq!(
            named.run.preference,
            Some(json!({"request": 50.0, "gpu_hour": 0.0, "cost": 8.0, "latency": 0.02}))
        );
        assert_eq!(RunPlan::of_record(&named.run).unwrap().digest, named.digest);
        assert_eq!(run(json!({"latency": true})).unwrap_err()[0].pointer, "/preference/latency");
    }

    #[test]
    fn adaptive_is_refused_a_reward_that_it_would_not_heed() {
        let run = NewRun { algorithm: Some("adaptive".into()), reward: "seed".into(), ..NewRun::default() };
        assert_eq!(pointers(&run), ["/reward"]);
        assert!(RunPlan::new(&NewRun { reward: "excess-cost".into(), ..run.clone() }).is_ok());
        assert!(RunPlan::new(&NewRun { algorithm: Some("cem".into()), ..run }).is_ok());
    }

    #[test]
    fn a_swarm_that_would_keep_more_turns_than_memory_holds_is_refused_by_the_setting_that_asks_for_it() {
        let run = |agents, capacity: u32| {
            let replay = json!({"replay": {"capacity": capacity, "enabled": true}});
            NewRun { agents, algorithm: Some(AlgorithmSpec::new("q-learning", replay)), ..NewRun::default() }
        };
        assert!(RunPlan::new(&run(10, 1_000_000)).is_ok());
        let error = RunPlan::new(&run(11, 1_000_000)).unwrap_err().remove(0);
        assert_eq!(error.pointer, "/algorithm/replay/capacity");
        assert!(error.detail.contains("at most 909090 with 11 agents"), "{}", error.detail);
        assert!(
            RunPlan::of_record(&run(11, 1_000_000)).is_ok(),
            "a run that was accepted once can be played"
        );
        let flat = NewRun {
            agents: 1000,
            algorithm: Some("q-learning".into()),
            replay: Some(json!({"capacity": 10_001, "enabled": true})),
            ..NewRun::default()
        };
        assert_eq!(pointers(&flat), ["/replay/capacity"]);
        let off = Some(json!({"capacity": 10_001, "enabled": false}));
        assert!(RunPlan::new(&NewRun { replay: off, ..flat }).is_ok());
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
        let environment = on(json!({"providers": {"providers": providers}, "workloads": workloads}));
        let run = NewRun { algorithm: Some("q-learning".into()), ..environment };
        assert_eq!(pointers(&run), ["/environment/providers"]);
        assert!(RunPlan::new(&NewRun { algorithm: Some("cheapest".into()), ..run }).is_ok());
    }

    #[test]
    fn the_preset_and_the_length_of_episodes_enter_the_digest_but_the_files_own_length_does_not() {
        let digest = |run: &NewRun| RunPlan::new(run).unwrap().digest;
        let plain = digest(&on(json!({})));
        assert_ne!(digest(&on(json!({"preset": "contended"}))), plain);
        assert_eq!(digest(&on(json!({"preset": "contended"}))), digest(&NewRun::default()));
        assert_ne!(digest(&NewRun { steps_per_episode: 60, ..on(json!({})) }), plain);
        let mut workloads: serde_json::Value = serde_json::to_value(Workloads::built_in()).unwrap();
        workloads["simulation"]["steps"] = json!(7);
        assert_eq!(digest(&on(json!({"workloads": workloads}))), plain);
        assert_eq!(digest(&on(json!({"preset": "default"}))), plain);
    }
}
