use routing_env::{Catalog, Fate, Preset, Workloads};
use serde_json::{Value, json};

use super::{score::WEIGHTS, *};
use crate::{
    rules::rule::Rule,
    step_report::StepReport,
    swarm::{Command, Swarm, SwarmConfig},
};

const REWARD: Reward = Reward::EXCESS_COST;

fn swarm(agents: u32, env: &Environment) -> Swarm {
    let config = SwarmConfig::new("cem", &json!({}), agents).unwrap();
    Swarm::new(config, env).unwrap()
}

/// Plays episodes and gives the mean reward per request.
fn play(swarm: &mut Swarm, env: &Environment, seeds: std::ops::Range<u64>) -> f64 {
    let mut report = StepReport::new(env);
    let (mut reward, mut requests) = (0.0, 0);
    for seed in seeds {
        let mut episode = Episode::new(env, seed, REWARD);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, REWARD, &mut report) {
            reward += report.metrics.overall.reward;
            requests += report.metrics.overall.requests;
            assert!(report.decisions.iter().all(|d| d.resolution.fate != Fate::InfeasibleChoice));
        }
        swarm.end_episode();
    }
    reward / requests as f64
}

fn steps_of_members(swarm: &Swarm) -> Vec<Vec<u64>> {
    let members = |progress: &Value| -> Vec<u64> {
        let members = progress["members"].as_array().unwrap();
        members.iter().map(|member| member["steps"].as_u64().unwrap()).collect()
    };
    swarm.state().progress.iter().map(members).collect()
}

fn written(distribution: &Distribution) -> crate::Knowledge {
    crate::Knowledge::of("cem", &Knowledge::from(distribution))
}

fn epsilon(swarm: &Swarm, agent: usize) -> f64 {
    swarm.learning(agent).0
}

#[test]
fn a_step_is_credited_to_the_member_of_the_agent_that_led_it() {
    let env = Environment::built_in(Preset::Contended).with_steps(2);
    let mut swarm = swarm(50, &env);
    play(&mut swarm, &env, 7..8);
    let led: Vec<u64> = steps_of_members(&swarm).into_iter().map(|steps| steps.iter().sum()).collect();
    assert_eq!(led.iter().sum::<u64>(), 2);
    assert_eq!(led.iter().filter(|steps| **steps == 1).count(), 2);
}

#[test]
fn all_requests_of_a_step_are_decided_by_the_leaders_member() {
    // a member that charges far more for a request than it earns holds everything, whoever's turn it is
    let env = Environment::built_in(Preset::Contended).with_steps(1);
    let mut swarm = swarm(50, &env);
    let mut state = swarm.state();
    let mut weights = vec![0.0; WEIGHTS];
    weights[0] = 1e3;
    weights[24] = -1e6; // and lets nothing wait
    for progress in &mut state.progress {
        progress["members"] = json!([Member::new(weights.clone())]);
    }
    swarm.restore(&state).unwrap();
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    swarm.begin_episode(7);
    assert!(swarm.run_step(&mut episode, REWARD, &mut report));
    assert!(report.decisions.len() > 200);
    assert!(
        report.decisions.iter().all(|d| matches!(d.resolution.fate, Fate::Held | Fate::NoViableProvider))
    );
}

#[test]
fn a_lone_agent_tries_its_members_in_turn() {
    let env = Environment::built_in(Preset::Contended).with_steps(60);
    let mut swarm = swarm(1, &env);
    play(&mut swarm, &env, 7..8);
    let steps = &steps_of_members(&swarm)[0];
    assert_eq!(steps.len(), POPULATION);
    assert_eq!(steps.iter().filter(|n| **n == 2).count(), 10);
    assert_eq!(steps.iter().filter(|n| **n == 1).count(), 40);
}

#[test]
fn a_generation_leaves_all_agents_with_the_same_distribution_and_new_members() {
    let env = Environment::built_in(Preset::Contended).with_steps(151);
    let mut swarm = swarm(10, &env);
    play(&mut swarm, &env, 7..8);
    let knowledge = swarm.state().knowledge;
    assert_eq!(knowledge[0].learned["generation"], 1);
    assert!(knowledge.iter().all(|k| *k == knowledge[0]));
    assert_eq!(steps_of_members(&swarm).iter().flatten().sum::<u64>(), 1);
    assert!(epsilon(&swarm, 3) < 1.0);
}

#[test]
fn what_is_expected_of_a_step_takes_most_of_its_difficulty_out() {
    let env = Environment::built_in(Preset::Contended);
    let mut swarm = swarm(1, &env);
    play(&mut swarm, &env, 0..8);
    let mut report = StepReport::new(&env);
    let (mut rewards, mut errors) = (Vec::new(), 0.0);
    for seed in 8..14 {
        let mut episode = Episode::new(&env, seed, REWARD);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, REWARD, &mut report) {
            rewards.push(report.metrics.overall.avg_reward().unwrap());
            errors += report.agents[0].learning.abs_td_error.powi(2);
        }
        swarm.end_episode();
    }
    let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
    let deviations: f64 = rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
    assert!(errors < 0.4 * deviations, "{errors} of {deviations}");
}

#[test]
fn what_it_learns_beats_random_weights_and_the_plain_reward_by_far() {
    let env = Environment::built_in(Preset::Contended);
    let mut trained = swarm(10, &env);
    play(&mut trained, &env, 0..12);
    trained.freeze();
    let tests = 1000..1003;
    let learned = play(&mut trained, &env, tests.clone());
    let greedy = play(&mut Swarm::of_rule(Rule::GreedyReward, &env), &env, tests.clone());
    assert!(learned > greedy + 0.8, "learned {learned}, greedy {greedy}");
    let mut rng = generator(3, Stream::Agent(0));
    let random = (0..5).map(|_| {
        let mut random = swarm(1, &env);
        let mut state = random.state();
        let mean = Distribution::first().draw(1.0, &mut rng);
        state.knowledge[0] = written(&Distribution { mean, ..Distribution::first() });
        random.restore(&state).unwrap();
        random.freeze();
        play(&mut random, &env, tests.clone())
    });
    let random = random.sum::<f64>() / 5.0;
    assert!(learned > random + 0.5, "learned {learned}, random {random}");
}

#[test]
fn nigredo_draws_anew_the_members_that_earned_less_than_was_expected() {
    let env = Environment::built_in(Preset::Contended).with_steps(60);
    let mut swarm = swarm(2, &env);
    play(&mut swarm, &env, 7..8);
    let credits = |swarm: &Swarm, agent: usize| -> Vec<f64> {
        let progress = &swarm.state().progress[agent];
        progress["members"].as_array().unwrap().iter().map(|m| m["credit"].as_f64().unwrap()).collect()
    };
    let before = [credits(&swarm, 0), credits(&swarm, 1)];
    swarm.apply(Command::Nigredo { kept: 0.0 }, &[1]);
    let good: Vec<f64> = before[1].iter().copied().filter(|credit| *credit >= 0.0).collect();
    assert!(!good.is_empty() && good.len() < before[1].len());
    assert_eq!([credits(&swarm, 0), credits(&swarm, 1)], [before[0].clone(), good]);
    play(&mut swarm, &env, 8..9);
    assert_eq!(steps_of_members(&swarm)[1].len(), 25);
}

#[test]
fn albedo_widens_the_spread_of_what_is_tried_for_its_windows() {
    let env = Environment::built_in(Preset::Contended).with_steps(3);
    let mut swarm = swarm(1, &env);
    let mut state = swarm.state();
    let mut narrow = Distribution::first();
    narrow.spread.iter_mut().for_each(|spread| *spread *= 0.01);
    state.knowledge[0] = written(&narrow);
    swarm.restore(&state).unwrap();
    assert!((epsilon(&swarm, 0) - 0.01).abs() < 1e-12);
    swarm.apply(Command::Albedo { factor: 40.0, max: 0.3, windows: 2 }, &[0]);
    let mut report = StepReport::new(&env);
    let mut episode = Episode::new(&env, 7, REWARD);
    swarm.begin_episode(7);
    let mut seen = Vec::new();
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        seen.push(epsilon(&swarm, 0));
    }
    assert!((seen[0] - 0.3).abs() < 1e-12 && (seen[1] - 0.01).abs() < 1e-12, "{seen:?}");
    // how far members lie from the mean, in first spreads
    let width = |member: &Value| {
        let weights = member["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap());
        let shares = weights.enumerate().map(|(i, weight)| (weight / score::first_spread(i)).abs());
        shares.sum::<f64>() / WEIGHTS as f64
    };
    let members = swarm.state().progress[0]["members"].as_array().unwrap().clone();
    assert!(width(&members[0]) > 0.1 && width(&members[1]) > 0.1);
    assert!(members[2..].iter().all(|member| width(member) < 0.02));
}

#[test]
fn frozen_it_neither_learns_nor_tries() {
    let env = Environment::built_in(Preset::Contended).with_steps(4);
    let mut swarm = swarm(3, &env);
    play(&mut swarm, &env, 7..9);
    let before = swarm.state();
    swarm.freeze();
    let first = play(&mut swarm, &env, 20..21);
    assert_eq!(first, play(&mut swarm, &env, 20..21));
    let after = swarm.state();
    assert_eq!((after.knowledge, after.progress), (before.knowledge, before.progress));
    assert_eq!(epsilon(&swarm, 0), 0.0);
}

#[test]
fn training_that_goes_on_within_a_generation_ends_with_the_same_bytes() {
    let env = Environment::built_in(Preset::Drifting).with_steps(70);
    for agents in [1, 4] {
        let bytes = |swarm: &Swarm| serde_json::to_string(&swarm.state()).unwrap();
        let mut whole = swarm(agents, &env);
        play(&mut whole, &env, 7..8);
        let saved = serde_json::from_str(&bytes(&whole)).unwrap();
        play(&mut whole, &env, 8..11);
        let mut resumed = swarm(agents, &env);
        resumed.restore(&saved).unwrap();
        play(&mut resumed, &env, 8..11);
        assert_eq!(bytes(&resumed), bytes(&whole));
        assert_eq!(resumed.state().knowledge[0].learned["generation"], 1);
    }
}

#[test]
fn it_learns_in_any_catalog() {
    for (providers, tenants) in [(1, 1), (3, 2), (30, 12)] {
        let gpus = ["H100", "A100", "L4"];
        let providers: Vec<Value> = (0..providers)
            .map(|i| {
                let (region, gpu) = (["eu", "us", "global"][i % 3], gpus[i % 2]);
                json!({"id": format!("p{i}"), "regions": [region],
                    "gpu_types": [gpu], "base_price_usd_per_hour": {gpu: 1.0 + 0.1 * i as f64},
                    "base_latency_ms": 80 + 10 * i, "capacity_gpu_hours_per_step": 5 + i, "reputation": 60 + i})
            })
            .collect();
        let catalog = Catalog::from_value("catalog", &json!({"providers": providers})).unwrap();
        let tenants: Vec<Value> = (0..tenants)
            .map(|i| {
                let region = ["eu", "us"][i % 2];
                json!({"id": format!("t{i}"), "region": region, "budget_usd_per_step": 10 + i,
                    "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
                    "min_reputation": 50, "max_latency_ms": 500, "mix": {"a": 0.5, "b": 0.4, "none": 0.1},
                    "avg_requests_per_step": 0.5 * (i + 1) as f64})
            })
            .collect();
        let workloads = json!({"tenants": tenants, "workload_profiles": {
            "a": {"gpu_type": "H100", "gpu_hours": [0.5, 4]}, "b": {"gpu_type": "A100", "gpu_hours": [1, 1]},
            "none": {"gpu_type": "L4", "gpu_hours": [1, 2]}}});
        let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
        let env = Environment::new(catalog, workloads, Preset::Drifting).unwrap().with_steps(160);
        let mut swarm = swarm(60, &env);
        play(&mut swarm, &env, 0..2);
        let text = serde_json::to_string(&swarm.state()).unwrap();
        let state = serde_json::from_str(&text).unwrap();
        swarm.restore(&state).unwrap();
        assert_eq!(swarm.state(), state);
        assert_eq!(state.knowledge[0].learned["generation"], 2);
    }
}

#[test]
fn damaged_knowledge_is_refused_with_what_was_expected() {
    let env = Environment::built_in(Preset::Contended).with_steps(4);
    let mut swarm = swarm(1, &env);
    play(&mut swarm, &env, 7..8);
    let state = swarm.state();
    for (part, pointer, value, message) in [
        ("knowledge", "/weights/2/name", json!("days"), "expected `hours`, found `days`"),
        ("knowledge", "/weights/2/spread", json!(-1.0), "weight `hours`: expected a mean and a spread"),
        ("knowledge", "/weights", json!([]), "expected 30, found 0"),
        ("knowledge", "/generation", json!("first"), "the agent's knowledge"),
        ("progress", "/members/0/weights", json!([1.0]), "expected 30 weights, found 1"),
        ("progress", "/steps", json!(-1), "the agent's progress"),
    ] {
        let mut damaged = state.clone();
        let of_part =
            if part == "knowledge" { &mut damaged.knowledge[0].learned } else { &mut damaged.progress[0] };
        *of_part.pointer_mut(pointer).unwrap() = value;
        let error = swarm.restore(&damaged).unwrap_err().to_string();
        assert!(error.starts_with("agent 0: ") && error.contains(message), "{pointer}: {error}");
    }
}
