//! What a swarm does, seen from outside.

use policy::{Command, PolicyFile, Rule, StepReport, Swarm, SwarmConfig, Training, registry::learners};
use routing_env::{Catalog, Environment, Episode, Fate, Preset, Workloads};
use serde_json::{Value, json};

/// A small swarm's, with these settings beside its own.
fn config_with(agents: u32, settings: &Value) -> SwarmConfig {
    let mut all = json!({"state": "specified", "discount": 0.9, "replay": {"capacity": 50, "batch_size": 8}});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    SwarmConfig::new("q-learning", &all, agents).unwrap()
}

use crate::support::REWARD;

fn config(agents: u32) -> SwarmConfig {
    config_with(agents, &json!({}))
}

fn environment() -> Environment {
    Environment::built_in(Preset::Contended).with_steps(6)
}

/// Plays episodes and gives the mean reward per request.
fn play(swarm: &mut Swarm, env: &Environment, seeds: std::ops::Range<u64>) -> f64 {
    crate::support::play(swarm, env, seeds).overall.avg_reward().unwrap()
}

fn bytes(swarm: &Swarm) -> String {
    serde_json::to_string(&swarm.state()).unwrap()
}

fn training() -> Training {
    Training {
        preset: "contended".into(),
        reward: "excess-cost".into(),
        preference: None,
        prior: None,
        first_seed: 7,
        episodes: 3,
        decisions: 1,
    }
}

#[test]
fn the_same_seeds_teach_the_same_bytes_and_other_seeds_do_not() {
    let env = environment();
    let train = |first: u64| {
        let mut swarm = Swarm::new(config(3), &env).unwrap();
        play(&mut swarm, &env, first..first + 4);
        bytes(&swarm)
    };
    assert_eq!(train(7), train(7));
    assert_ne!(train(7), train(8));
}

#[test]
fn training_that_goes_on_from_a_saved_state_ends_where_uninterrupted_training_ends() {
    let env = environment();
    let mut whole = Swarm::new(config(3), &env).unwrap();
    play(&mut whole, &env, 7..9);
    let saved = serde_json::from_str(&bytes(&whole)).unwrap();
    play(&mut whole, &env, 9..12);
    let mut resumed = Swarm::new(config(3), &env).unwrap();
    resumed.restore(&saved).unwrap();
    play(&mut resumed, &env, 9..12);
    assert_eq!(bytes(&resumed), bytes(&whole));
}

#[test]
fn agents_take_requests_in_turn() {
    let env = environment();
    let mut swarm = Swarm::new(config(4), &env).unwrap();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    swarm.begin_episode(7);
    let mut arrivals = 0..;
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        for decided in &report.decisions {
            assert_eq!(u64::from(decided.agent), arrivals.next().unwrap() % 4);
        }
        let counted: u64 = report.agents.iter().map(|a| a.decisions).sum();
        assert_eq!(counted, report.decisions.len() as u64);
    }
}

#[test]
fn nigredo_makes_only_its_targets_forget() {
    let env = environment();
    let mut swarm = Swarm::new(config(2), &env).unwrap();
    play(&mut swarm, &env, 7..8);
    let sizes =
        |swarm: &Swarm| -> Vec<u64> { (0..swarm.agents()).map(|agent| swarm.learning(agent).1).collect() };
    let before = sizes(&swarm);
    swarm.apply(Command::Nigredo { kept: 0.0 }, &[1, 99]);
    assert_eq!(sizes(&swarm), [before[0], 0]);
}

#[test]
fn albedo_raises_exploration_for_its_windows_and_no_longer() {
    let env = environment();
    let mut swarm = Swarm::new(config(2), &env).unwrap();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    let epsilon = |swarm: &Swarm, agent: usize| swarm.learning(agent).0;
    swarm.begin_episode(7);
    swarm.apply(Command::Albedo { factor: 1.5, max: 0.3, windows: 2 }, &[0]);
    // again at once: commands do not pile up
    swarm.apply(Command::Albedo { factor: 1.5, max: 0.3, windows: 2 }, &[0]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(epsilon(&swarm, 0));
        assert!(swarm.run_step(&mut episode, REWARD, &mut report));
    }
    assert!((seen[0] - 0.15).abs() < 1e-12 && (seen[1] - 0.15).abs() < 1e-12, "{seen:?}");
    assert_eq!(seen[2], 0.1);
    assert_eq!(epsilon(&swarm, 1), 0.1);
    swarm.apply(Command::Albedo { factor: 10.0, max: 0.3, windows: 2 }, &[0]);
    assert_eq!(epsilon(&swarm, 0), 0.3);
}

#[test]
fn a_policy_file_reads_back_to_a_policy_that_acts_the_same() {
    let env = environment();
    let mut swarm = Swarm::new(config(2), &env).unwrap();
    play(&mut swarm, &env, 7..10);
    let text = serde_json::to_string(&PolicyFile::new(&swarm, &env, training())).unwrap();
    let mut read = PolicyFile::parse(text.as_bytes()).unwrap().swarm(&env).unwrap();
    swarm.freeze();
    assert_eq!(play(&mut swarm, &env, 100..102), play(&mut read, &env, 100..102));
    assert_eq!(PolicyFile::parse(text.as_bytes()).unwrap().training_seeds(), 7..10);
}

#[test]
fn a_policy_for_other_providers_is_refused_with_both_lists() {
    let env = environment();
    let swarm = Swarm::new(config(2), &env).unwrap();
    let file = PolicyFile::new(&swarm, &env, training());
    let mut catalog = Catalog::built_in();
    catalog.providers[0].id = "nimbus".into();
    let mut workloads = Workloads::built_in();
    workloads.scenarios.clear();
    let other = Environment::new(catalog, workloads, Preset::Contended).unwrap();
    let error = file.swarm(&other).err().unwrap().to_string();
    assert!(error.contains("akash, ionet") && error.contains("nimbus, ionet"), "{error}");
}

#[test]
fn a_damaged_policy_file_is_refused() {
    let env = environment();
    let mut swarm = Swarm::new(config(1), &env).unwrap();
    play(&mut swarm, &env, 7..8);
    let file = serde_json::to_value(PolicyFile::new(&swarm, &env, training())).unwrap();
    let damage = |pointer: &str, value: serde_json::Value| {
        let mut file = file.clone();
        *file.pointer_mut(pointer).unwrap() = value;
        let parsed = PolicyFile::parse(file.to_string().as_bytes());
        parsed.and_then(|file| file.swarm(&env).map(|_| ())).unwrap_err().to_string()
    };
    for (pointer, value, part) in [
        ("/format", json!("ai-mesh-policy/9"), "expected the format ai-mesh-policy/2"),
        ("/swarm/agents", json!(2), "knowledge of 2 agents, found 1"),
        ("/swarm/algorithm/name", json!("magic"), "name: expected a learner (adaptive,"),
        ("/agents/0/learned/states/0/bins", json!("9"), "groups of three digits"),
        ("/agents/0/learned/states/0/values", json!([1.0]), "expected 1 groups of three digits"),
        ("/agents/0/learned/states/0/visits", json!(-1), "agent 0"),
        ("/agents/0/learned/states/0/visits", json!([1]), "expected 7 visits"),
        ("/agents/0/version", json!(9), "expected version 1, 2 or 4, found 9"),
        ("/agents/0/algorithm", json!("cem"), "expected what q-learning has learned, found that of cem"),
    ] {
        let error = damage(pointer, value);
        assert!(error.contains(part), "{pointer}: {error}");
    }
    assert!(PolicyFile::parse(b"{}").is_err());
    assert!(PolicyFile::parse(b"not json").is_err());
}

#[test]
fn the_probabilities_of_a_random_agents_choices_add_up() {
    // with ε = 1 every allowed action is equally likely; the greedy one keeps no more than its share
    let env = environment();
    let mut swarm =
        Swarm::new(config_with(1, &json!({"epsilon": 1.0, "replay": {"enabled": false}})), &env).unwrap();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    swarm.begin_episode(7);
    assert!(swarm.run_step(&mut episode, REWARD, &mut report));
    let mut routed_at_once = 0;
    for decided in &report.decisions {
        let actions = 1.0 / decided.propensity;
        if !decided.resolution.deferred && decided.resolution.fate != Fate::NoViableProvider {
            assert!(decided.explored && (actions - actions.round()).abs() < 1e-9, "{}", decided.propensity);
            routed_at_once += 1;
        }
    }
    assert!(routed_at_once > 100);
}

#[test]
fn without_the_mask_an_agent_can_choose_what_is_not_feasible() {
    let env = environment();
    let infeasible = |mask: bool| {
        let mut swarm =
            Swarm::new(config_with(1, &json!({"feasibility_mask": mask, "epsilon": 1.0})), &env).unwrap();
        let mut report = StepReport::new(&env);
        let mut episode = Episode::new(&env, 7, REWARD);
        swarm.begin_episode(7);
        assert!(swarm.run_step(&mut episode, REWARD, &mut report));
        report.decisions.iter().filter(|d| d.resolution.fate == Fate::InfeasibleChoice).count()
    };
    assert_eq!(infeasible(true), 0);
    assert!(infeasible(false) > 10);
}

/// Two providers with capacity for all: one is 200 ms faster at the same price. Nothing else matters,
/// so an agent that learns must come to prefer it, although the slow one stands first in the catalog.
#[test]
fn q_learning_finds_the_better_of_two_providers() {
    let provider = |id: &str, latency: f64| {
        json!({"id": id, "regions": ["eu"], "gpu_types": ["A100"], "base_price_usd_per_hour": {"A100": 1.0},
            "base_latency_ms": latency, "capacity_gpu_hours_per_step": 1000, "reputation": 80})
    };
    let catalog = json!({"providers": [provider("slow", 300.0), provider("fast", 100.0)]});
    let catalog = Catalog::from_value("catalog", &catalog).unwrap();
    let workloads = json!({
        "tenants": [{"id": "t", "region": "eu", "budget_usd_per_step": 1e6,
            "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
            "min_reputation": 0, "max_latency_ms": 1000, "mix": {"w": 1.0}, "avg_requests_per_step": 10}],
        "workload_profiles": {"w": {"gpu_type": "A100", "gpu_hours": [1, 1]}}
    });
    let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
    let env = Environment::new(catalog, workloads, Preset::Default).unwrap();
    let mut swarm = Swarm::new(config_with(2, &json!({"discount": 0.0, "epsilon": 0.3})), &env).unwrap();
    play(&mut swarm, &env, 0..5);
    swarm.freeze();
    let learned = play(&mut swarm, &env, 1000..1003);
    let fastest = play(&mut Swarm::of_rule(Rule::Fastest, &env), &env, 1000..1003);
    assert!((learned - fastest).abs() < 1e-9, "learned {learned}, best {fastest}");
}

/// A job that fails and is tried again is two decisions, and both are learned from.
#[test]
fn every_turn_has_its_reward_where_jobs_fail() {
    let env = Environment::built_in(Preset::Drifting).with_steps(20);
    let mut swarm = Swarm::new(config_with(3, &json!({"replay": {"enabled": false}})), &env).unwrap();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    let (mut decided, mut failed, mut updates) = (0, 0, 0);
    swarm.begin_episode(7);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        let fates = || report.decisions.iter().map(|d| d.resolution.fate);
        decided += fates().filter(|fate| *fate != Fate::NoViableProvider).count() as u64;
        failed += fates().filter(|fate| *fate == Fate::Failed).count() as u64;
        updates += report.agents.iter().map(|a| a.learning.updates).sum::<u64>();
    }
    // each agent's last turn waits for what follows it
    assert!(failed > 0 && updates + 3 > decided + decided / 50, "{decided} decided, {updates} updates");
}

#[test]
fn an_unknown_algorithm_is_refused_with_the_names_that_there_are() {
    let errors = SwarmConfig::new("sarsa", &json!({}), 1).unwrap_err();
    let error = errors[0].to_string();
    assert!(error.starts_with(&format!("name: expected a learner ({})", learners())), "{error}");
    assert!(error.contains("hand rule (weighted-score, cheapest,"), "{error}");
}

#[test]
fn settings_that_decide_nothing_or_are_out_of_range_are_refused_by_name() {
    let refused = |algorithm: &str, settings: Value| -> Vec<String> {
        let errors = SwarmConfig::new(algorithm, &settings, 1).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        refused("adaptive", json!({"learning_rate": 0.9, "epsilon": 2})),
        [
            "learning_rate: expected one of epsilon, estimators, regions",
            "epsilon: expected a number from 0 to 1"
        ]
    );
    assert_eq!(
        refused("adaptive", json!({"estimators": {"speed": true, "mix": "off"}})),
        [
            "estimators.speed: expected one of estimators.level, estimators.mix, estimators.failures, \
             estimators.latencies",
            "estimators.mix: expected true or false"
        ]
    );
    assert_eq!(refused("cem", json!({"estimators": {"mix": true}})), ["estimators: expected one of epsilon"]);
    assert_eq!(
        refused(
            "q-learning",
            json!({"learning_rate": 0, "replay": {"kind": "last", "size": 5}, "merge_every": -1})
        ),
        [
            "learning_rate: expected a number above 0 and at most 1",
            "replay.kind: expected uniform or prioritized",
            "replay.size: expected one of replay.enabled, replay.capacity, replay.batch_size, replay.kind",
            "merge_every: expected a whole number from 0 to 1000000",
        ]
    );
    assert_eq!(
        refused("cheapest", json!({"epsilon": 0.5})),
        ["epsilon: expected no setting: the hand rule cheapest has none"]
    );
}

#[test]
fn a_configuration_is_written_with_all_settings_and_read_again() {
    let config = config_with(2, &json!({"replay": {"batch_size": 9}}));
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(
        written,
        json!({"algorithm": {"name": "q-learning", "state": "specified", "learning_rate": 0.1, "discount": 0.9, "epsilon": 0.1,
            "replay": {"enabled": true, "capacity": 2000, "batch_size": 9, "kind": "uniform"},
            "feasibility_mask": true, "merge_every": 0}, "agents": 2})
    );
    assert_eq!(serde_json::from_value::<SwarmConfig>(written).unwrap(), config);
}

#[test]
fn a_policy_file_of_version_1_is_read() {
    let env = environment();
    let mut swarm = Swarm::new(config(2), &env).unwrap();
    play(&mut swarm, &env, 7..9);
    let now = PolicyFile::new(&swarm, &env, training());
    let mut file = serde_json::to_value(&now).unwrap();
    file["format"] = json!("ai-mesh-policy/1");
    file["swarm"] = json!({"algorithm": "q-learning", "agents": 2, "learning_rate": 0.1, "discount": 0.9, "epsilon": 0.1,
        "replay": {"capacity": 50, "batch_size": 8}, "feasibility_mask": true});
    assert_eq!(PolicyFile::parse(file.to_string().as_bytes()).unwrap(), now);
    // no algorithm used them all, and those that did nothing are no longer there
    file["swarm"]["algorithm"] = json!("adaptive");
    let adaptive = PolicyFile::parse(file.to_string().as_bytes()).unwrap().swarm;
    assert_eq!(adaptive, SwarmConfig::new("adaptive", &json!({"epsilon": 0.1}), 2).unwrap());
}
