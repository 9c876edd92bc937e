//! Small environments, and playing in whatever was accepted as one.

use std::{ops::ControlFlow, sync::LazyLock};

use policy::{Rule, StepReport, Swarm, SwarmConfig, registry::LEARNERS};
use routing_env::{Catalog, Environment, Episode, Preset, Reward, Workloads};
use serde_json::{Value, json};

/// Requests a step from which on an environment takes too long to play here.
const BUSY: f64 = 60.0;

/// Two providers.
pub const CATALOG: &str = r#"{"providers": [
    {"id": "a", "regions": ["eu", "us"], "gpu_types": ["A100", "H100"], "base_price_usd_per_hour": {"A100": 1.5, "H100": 3},
        "base_latency_ms": 40, "capacity_gpu_hours_per_step": 12, "reputation": 96},
    {"id": "b", "regions": ["global"], "gpu_types": ["A100"], "base_price_usd_per_hour": {"A100": 1.1},
        "base_latency_ms": 120, "capacity_gpu_hours_per_step": 6, "reputation": 80}]}"#;

/// Two tenants that want more than there is.
pub const WORKLOADS: &str = r#"{"tenants": [
    {"id": "t", "region": "eu", "budget_usd_per_step": 40, "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
        "min_reputation": 50, "max_latency_ms": 400, "mix": {"chat": 0.6, "train": 0.4}, "avg_requests_per_step": 4},
    {"id": "u", "region": "us", "budget_usd_per_step": 15, "weights": {"price": 2, "latency": 1, "reputation": 0, "availability": 1},
        "min_reputation": 0, "max_latency_ms": 900, "mix": {"train": 1}, "avg_requests_per_step": 2}],
    "workload_profiles": {"chat": {"gpu_type": "A100", "gpu_hours": [0.2, 2]}, "train": {"gpu_type": "H100", "gpu_hours": [1, 7]}},
    "simulation": {"steps": 3, "seed": 1}, "congestion": 0.5, "surge": 0.5, "random_events": 2,
    "actions": {"hold": true, "defer": true}}"#;

/// The environment of both.
pub static SMALL: LazyLock<Environment> = LazyLock::new(|| {
    let catalog = Catalog::parse("catalog", CATALOG).expect("a valid catalog");
    let workloads = Workloads::parse("workloads", WORKLOADS, &catalog).expect("valid workloads");
    Environment::new(catalog, workloads, Preset::Default).expect("an environment")
});

/// Every learner with its settings by default, and those that are another one by a setting.
pub fn learners() -> impl Iterator<Item = (&'static str, Value)> {
    let by_default = LEARNERS.iter().map(|learner| (learner.name, json!({})));
    by_default.chain([
        ("adaptive", json!({"regions": {"enabled": true}})),
        ("q-learning", json!({"replay": {"kind": "prioritized", "capacity": 100}, "merge_every": 2})),
    ])
}

/// Plays a few steps with every hand rule and one learner that the number chooses, where that does not take too long.
///
/// # Panics
/// When a figure is not one.
pub fn play_all(env: &Environment, chosen: usize) {
    if is_busy(env) {
        return;
    }
    let env = env.clone().with_steps(2);
    for rule in Rule::ALL {
        play(&env, &mut Swarm::of_rule(rule, &env));
    }
    let (learner, settings) = learners().nth(chosen % learners().count()).expect("there are learners");
    let config = SwarmConfig::new(learner, &settings, 2).expect("settings within their ranges");
    if let Ok(mut swarm) = Swarm::new(config, &env) {
        play(&env, &mut swarm);
    }
}

/// True when playing in it takes too long here.
#[must_use]
pub fn is_busy(env: &Environment) -> bool {
    let tenants = env.workloads().tenants.len();
    let requests: f64 = (0..tenants).map(|t| env.expected_requests(t)).sum();
    let spread = 2.0 * env.workloads().demand_multiplier.sqrt() * tenants as f64;
    requests + spread > BUSY || env.catalog().providers.len() > 40
}

/// Plays an episode and looks at every figure.
///
/// # Panics
/// When a figure is not one, or a provider gives more than it has.
pub fn play(env: &Environment, swarm: &mut Swarm) {
    let mut episode = Episode::new(env, 1, Reward::EXCESS_COST);
    play_in(env, &mut episode, swarm);
}

/// Plays an episode that was made before.
///
/// # Panics
/// As [`play`].
pub fn play_in(env: &Environment, episode: &mut Episode<'_>, swarm: &mut Swarm) {
    let name = swarm.config().algorithm.name().to_owned();
    let mut report = StepReport::new(env);
    swarm.begin_episode(1);
    while swarm.run_step(episode, Reward::EXCESS_COST, &mut report) {
        for provider in episode.market().providers() {
            assert!(
                provider.remaining >= 0.0 && provider.remaining <= provider.capacity,
                "{name}: {provider:?}"
            );
            assert!(provider.capacity.is_finite() && provider.latency_ms.is_finite(), "{name}: {provider:?}");
        }
        assert!(episode.market().budgets().iter().all(|left| left.is_finite()), "{name}");
        for decided in &report.decisions {
            let figures =
                [decided.reward, decided.wait_ms, decided.propensity, decided.value.unwrap_or_default()];
            assert!(figures.iter().all(|figure| figure.is_finite()), "{name}: {decided:?}");
            assert!((0.0..=1.0).contains(&decided.propensity), "{name}: {decided:?}");
        }
        let all = &report.metrics.overall;
        let figures =
            [all.fill_rate(), all.avg_cost_usd(), all.avg_latency_ms(), all.avg_reward(), all.cost_index()];
        assert!(figures.iter().flatten().all(|figure| figure.is_finite()), "{name}: {all:?}");
    }
    swarm.end_episode();
}

/// Trains a little.
pub fn train(swarm: &mut Swarm, env: &Environment) {
    for seed in 0..3 {
        let _ = swarm.play_watched(env, seed, Reward::EXCESS_COST, |_| ControlFlow::Continue(()));
    }
}

/// The place that an error names is there, or what is missing would stand in a place that is.
///
/// # Panics
/// When it is neither.
pub fn error_names_a_place(error: &routing_env::InputError, document: &Value) {
    let pointer = &error.pointer;
    assert!(!error.expected.is_empty(), "{error:?}");
    assert!(pointer.is_empty() || pointer.starts_with('/'), "{error:?}");
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    let found = [pointer.as_str(), parent].iter().any(|pointer| document.pointer(pointer).is_some());
    assert!(found, "{error} is in no place of {document}");
}
