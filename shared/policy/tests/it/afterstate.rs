//! What bid prices learn that are learned by temporal differences.

use policy::{PolicyFile, Rule, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Catalog, Environment, Episode, Fate, Metrics, Preset, Workloads};
use serde_json::json;

use crate::support::{REWARD, play};

fn swarm(env: &Environment, agents: u32, merge_every: u32) -> Swarm {
    let config = SwarmConfig::new("afterstate", &json!({"merge_every": merge_every}), agents).unwrap();
    Swarm::new(config, env).unwrap()
}

fn reward(metrics: &Metrics) -> f64 {
    metrics.overall.avg_reward().unwrap()
}

/// One provider with 20 GPU-hours a step; half of the jobs need 1 hour, half need 10, and each earns about 50.
/// Greedy spends its hours on the long jobs that come first. Whoever knows what an hour is worth holds them.
fn long_and_short_jobs() -> Environment {
    let catalog = json!({"providers": [{"id": "p", "regions": ["eu"], "gpu_types": ["A100"],
        "base_price_usd_per_hour": {"A100": 1.0}, "base_latency_ms": 100, "capacity_gpu_hours_per_step": 20,
        "reputation": 80}]});
    let catalog = Catalog::from_value("catalog", &catalog).unwrap();
    let workloads = json!({
        "tenants": [{"id": "t", "region": "eu", "budget_usd_per_step": 1e6,
            "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
            "min_reputation": 0, "max_latency_ms": 1000, "mix": {"short": 0.5, "long": 0.5},
            "avg_requests_per_step": 30}],
        "workload_profiles": {"short": {"gpu_type": "A100", "gpu_hours": [1, 1]},
            "long": {"gpu_type": "A100", "gpu_hours": [10, 10]}},
        "arrival_order": "shuffled", "actions": {"hold": true, "defer": false}
    });
    let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
    Environment::new(catalog, workloads, Preset::Default).unwrap().with_steps(50)
}

#[test]
fn an_hour_becomes_worth_what_short_jobs_would_earn_with_it() {
    let env = long_and_short_jobs();
    let mut swarm = swarm(&env, 1, 0);
    play(&mut swarm, &env, 0..20);
    swarm.freeze();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 1000, REWARD);
    let (mut short, mut long) = ((0, 0), (0, 0));
    swarm.begin_episode(1000);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        for decided in &report.decisions {
            let count = if decided.request.hours > 5.0 { &mut long } else { &mut short };
            count.0 += u32::from(matches!(decided.resolution.fate, Fate::Routed(_)));
            count.1 += 1;
        }
    }
    // about 15 short jobs a step have room in 20 hours, and beside them hardly one long job in two steps
    let share = |(routed, all): (u32, u32)| f64::from(routed) / f64::from(all);
    assert!(share(short) > 0.9 && share(long) < 0.06, "short {short:?}, long {long:?}");
}

#[test]
fn it_closes_most_of_the_gap_that_the_best_rule_closes_and_does_so_as_a_swarm() {
    let env = Environment::built_in(Preset::Contended).with_steps(40);
    let tests = 1000..1006;
    let of_rule = |rule| reward(&play(&mut Swarm::of_rule(rule, &env), &env, tests.clone()));
    let (baseline, bid_price) = (of_rule(Rule::BASELINE), of_rule(Rule::BidPrice));
    let gain = |agents, merge_every| {
        let mut swarm = swarm(&env, agents, merge_every);
        play(&mut swarm, &env, 0..20);
        swarm.freeze();
        reward(&play(&mut swarm, &env, tests.clone())) - baseline
    };
    let (one, fifty) = (gain(1, 0), gain(50, 10));
    assert!(one > 0.8 * (bid_price - baseline), "{one} of {}", bid_price - baseline);
    assert!(fifty > 0.9 * one, "{fifty} of {one}");
}

#[test]
fn a_policy_file_reads_back_to_a_policy_that_acts_the_same() {
    let env = Environment::built_in(Preset::Contended).with_steps(6);
    let mut swarm = swarm(&env, 3, 4);
    play(&mut swarm, &env, 7..10);
    let training = Training {
        preset: "contended".into(),
        reward: "excess-cost".into(),
        preference: None,
        prior: None,
        first_seed: 7,
        episodes: 3,
        decisions: 1,
    };
    let text = serde_json::to_string(&PolicyFile::new(&swarm, &env, training)).unwrap();
    let mut read = PolicyFile::parse(text.as_bytes()).unwrap().swarm(&env).unwrap();
    swarm.freeze();
    assert_eq!(play(&mut swarm, &env, 100..102), play(&mut read, &env, 100..102));
    assert_eq!(
        serde_json::to_value(read.state().knowledge).unwrap(),
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["agents"]
    );
}

#[test]
fn damaged_knowledge_is_refused() {
    let env = Environment::built_in(Preset::Contended).with_steps(4);
    let mut trained = swarm(&env, 1, 0);
    play(&mut trained, &env, 7..8);
    let state = serde_json::to_value(trained.state()).unwrap();
    for (pointer, value, part) in [
        ("/knowledge/0/learned/reward", json!("money"), "unknown reward `money`"),
        ("/knowledge/0/learned/values", json!([]), "expected the values of 13 coordinates"),
        ("/knowledge/0/learned/values/3/2", json!([1.0]), "expected the values of 13 coordinates"),
        ("/knowledge/0/learned/deferral", json!([]), "classes of requests"),
        ("/progress/0/tables/values", json!([1.0]), "of other tables than its values"),
        ("/progress/0/usual", json!([]), "of other tables than its values"),
        ("/progress/0/updates", json!(-1), "the agent's progress"),
    ] {
        let mut state = state.clone();
        *state.pointer_mut(pointer).unwrap() = value;
        let error = swarm(&env, 1, 0).restore(&serde_json::from_value(state).unwrap()).unwrap_err();
        assert!(error.to_string().contains(part), "{pointer}: {error}");
    }
}

/// With ε = 1 every choice is as likely as any other.
#[test]
fn the_probabilities_of_what_exploration_chooses_add_up() {
    let env = Environment::built_in(Preset::Contended).with_steps(3);
    let config = SwarmConfig::new("afterstate", &json!({"epsilon": 1.0}), 1).unwrap();
    let mut swarm = Swarm::new(config, &env).unwrap();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    swarm.begin_episode(7);
    assert!(swarm.run_step(&mut episode, REWARD, &mut report));
    let at_once = report.decisions.iter().filter(|d| !d.resolution.deferred && d.explored);
    let choices: Vec<f64> = at_once.map(|d| 1.0 / d.propensity).collect();
    assert!(choices.len() > 100 && choices.iter().all(|c| (c - c.round()).abs() < 1e-9), "{choices:?}");
}
