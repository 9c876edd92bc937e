//! Agents of regions: what they decide, when they learn of each other, and what one whose reports are false can do.

use policy::{Fault, PolicyFile, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Environment, Episode, Preset};
use serde_json::{Value, json};

use crate::support::REWARD;

/// The agent whose reports are false.
const LIAR: usize = 3;

fn swarm(env: &Environment, agents: u32, regions: Value) -> Swarm {
    let config = SwarmConfig::new("adaptive", &json!({"epsilon": 0.0, "regions": regions}), agents).unwrap();
    Swarm::new(config, env).unwrap()
}

fn delayed(delay: u32) -> Value {
    json!({"enabled": true, "board_delay": delay})
}

fn play(env: &Environment, swarm: &mut Swarm, seeds: std::ops::Range<u64>) -> f64 {
    crate::support::play(swarm, env, seeds).overall.avg_reward().unwrap()
}

/// Each step's rewards by agent, and how far its agents are trusted.
fn steps(env: &Environment, swarm: &mut Swarm, seed: u64) -> Vec<Vec<(f64, Option<f64>)>> {
    let mut episode = Episode::new(env, seed, REWARD);
    let mut report = StepReport::new(env);
    let mut steps = Vec::new();
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        steps.push(report.agents.iter().map(|agent| (agent.reward, agent.trust)).collect());
    }
    steps
}

#[test]
fn each_agent_decides_for_tenants_of_one_region() {
    let env = Environment::built_in(Preset::Contended).with_steps(4);
    let mut swarm = swarm(&env, 10, delayed(1));
    let mut episode = Episode::new(&env, 7, REWARD);
    let mut report = StepReport::new(&env);
    swarm.begin_episode(7);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        for decided in &report.decisions {
            let region = &env.workloads().tenants[decided.request.tenant].region;
            assert_eq!(decided.agent % 2 == 0, region == "eu-west-1", "agent {}, {region}", decided.agent);
        }
        assert!(report.agents.iter().all(|agent| agent.decisions > 0));
    }
}

#[test]
fn until_the_first_report_can_be_read_it_makes_no_difference_that_there_will_be_one() {
    let env = Environment::built_in(Preset::Drifting).with_steps(12);
    let play = |delay| steps(&env, &mut swarm(&env, 4, delayed(delay)), 7);
    let (soon, later, never) = (play(1), play(5), play(12));
    // what is read at the end of a step decides the next one
    assert_eq!(soon[..2], never[..2]);
    assert_ne!(soon[2..5], never[2..5]);
    let rewards =
        |steps: &[Vec<(f64, Option<f64>)>]| -> Vec<f64> { steps.concat().iter().map(|s| s.0).collect() };
    assert_eq!(rewards(&later[..6]), rewards(&never[..6]));
    assert_ne!(rewards(&later[6..]), rewards(&never[6..]));
}

#[test]
fn one_agent_of_all_regions_misses_nothing() {
    let env = Environment::built_in(Preset::Drifting).with_steps(30);
    let earned = |agents, regions| play(&env, &mut swarm(&env, agents, regions), 1..4);
    let everything = earned(1, json!({}));
    assert!((earned(1, delayed(0)) - everything).abs() < 0.01);
    assert!(earned(10, delayed(0)) < everything - 0.02);
}

#[test]
fn nobody_is_trusted_more_or_less_where_agents_report_nothing() {
    let env = Environment::built_in(Preset::Contended).with_steps(3);
    let mut swarm = swarm(&env, 3, json!({}));
    assert!(!swarm.set_fault(0, Some(Fault::Lies { times: 10 })));
    assert!(steps(&env, &mut swarm, 7).concat().iter().all(|(_, trust)| trust.is_none()));
}

#[test]
fn one_liar_of_ten_is_named_and_costs_a_fraction_of_what_it_costs_where_all_are_heeded() {
    let env = Environment::built_in(Preset::Drifting).with_steps(30);
    let earned = |rejects: bool, fault: Option<Fault>| {
        let mut regions = delayed(1);
        regions["reject_outliers"] = rejects.into();
        let mut swarm = swarm(&env, 10, regions);
        assert!(swarm.set_fault(LIAR, fault));
        play(&env, &mut swarm, 1..4);
        swarm.freeze();
        play(&env, &mut swarm, 100..104)
    };
    let lies = Some(Fault::Lies { times: 10 });
    let honest = earned(true, None);
    let (defended, heeded) = (honest - earned(true, lies), honest - earned(false, lies));
    assert!(heeded > 0.5 && defended < 0.2 * heeded, "{defended} {heeded}");

    let mut swarm = swarm(&env, 10, delayed(1));
    swarm.set_fault(LIAR, lies);
    let steps = steps(&env, &mut swarm, 7);
    for step in &steps[1..] {
        for (agent, (_, trust)) in step.iter().enumerate() {
            assert_eq!(trust.unwrap() < 1.0, agent == LIAR, "agent {agent}: {trust:?}");
        }
    }
}

#[test]
fn who_falls_silent_is_trusted_no_more_and_the_others_go_on() {
    let env = Environment::built_in(Preset::Drifting).with_steps(20);
    let mut swarm = swarm(&env, 10, delayed(2));
    swarm.set_fault(LIAR, Some(Fault::Silent { from_step: 8 }));
    for (step, agents) in steps(&env, &mut swarm, 7).iter().enumerate() {
        // its last report is of step 7, and read two steps later
        assert_eq!(agents[LIAR].1 == Some(0.0), step >= 10, "step {step}");
        assert!(agents.iter().enumerate().all(|(agent, (_, trust))| agent == LIAR || *trust == Some(1.0)));
    }
}

#[test]
fn the_policy_of_agents_of_regions_reads_back_to_one_that_acts_the_same() {
    let env = Environment::built_in(Preset::Drifting).with_steps(15);
    let mut learner = swarm(&env, 4, delayed(1));
    play(&env, &mut learner, 1..4);
    let training = Training {
        preset: "drifting".into(),
        reward: "excess-cost".into(),
        preference: None,
        prior: None,
        first_seed: 1,
        episodes: 3,
        decisions: 1,
    };
    let file = serde_json::to_vec(&PolicyFile::new(&learner, &env, training)).unwrap();
    let mut restored = PolicyFile::parse(&file).unwrap().swarm(&env).unwrap();
    learner.freeze();
    assert_eq!(play(&env, &mut restored, 100..102), play(&env, &mut learner, 100..102));
}

#[test]
fn learners_and_rules_that_know_no_regions_refuse_them_by_name() {
    for algorithm in ["q-learning", "afterstate", "cem", "bid-price"] {
        let errors = SwarmConfig::new(algorithm, &json!({"regions": delayed(1)}), 4).unwrap_err();
        assert_eq!(errors[0].setting, "regions", "{algorithm}");
    }
}

#[test]
fn a_delay_without_regions_decides_nothing_and_is_refused() {
    let errors = SwarmConfig::new("adaptive", &json!({"regions": {"board_delay": 5}}), 4).unwrap_err();
    assert_eq!(errors[0].setting, "regions.enabled");
}

#[test]
fn where_there_are_no_regions_nothing_is_written_of_them() {
    let config = SwarmConfig::new("adaptive", &json!({"regions": {"enabled": false}}), 2).unwrap();
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(written, json!({"algorithm": {"name": "adaptive", "epsilon": 0.01}, "agents": 2}));
    let regions = SwarmConfig::new("adaptive", &json!({"regions": delayed(5)}), 2).unwrap();
    let written = serde_json::to_value(&regions).unwrap();
    assert_eq!(written["algorithm"]["regions"]["reject_outliers"], true);
    assert_eq!(serde_json::from_value::<SwarmConfig>(written).unwrap(), regions);
}
