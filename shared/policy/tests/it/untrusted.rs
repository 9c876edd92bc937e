//! Policy files from strangers: whatever they say, they are refused or acted on.

use policy::{PolicyFile, Rule, StepReport, Swarm, SwarmConfig, Training, registry::LEARNERS};
use routing_env::{Environment, Episode, Preset};
use serde_json::{Value, json};

use crate::support::{REWARD, play};

fn training() -> Training {
    Training {
        preset: "default".into(),
        reward: "excess-cost".into(),
        preference: None,
        prior: None,
        first_seed: u64::MAX - 1,
        episodes: 3,
        decisions: 1,
    }
}

#[test]
fn a_file_that_was_trained_on_the_last_of_all_seeds_tells_them() {
    let env = Environment::built_in(Preset::Default);
    let file = PolicyFile::new(&Swarm::of_rule(Rule::Cheapest, &env), &env, training());
    let read = PolicyFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap();
    assert_eq!(read.training_seeds(), u64::MAX - 1..u64::MAX);
}

#[test]
fn the_file_of_a_rule_whose_agents_know_nothing_is_acted_on_as_the_rule_is() {
    let env = Environment::built_in(Preset::Contended).with_steps(5);
    let config = SwarmConfig::new("bid-price", &json!({}), 2).unwrap();
    let mut rule = Swarm::new(config, &env).unwrap();
    let file = PolicyFile::new(&rule, &env, training());
    let mut read = PolicyFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap().swarm(&env).unwrap();
    assert_eq!(rule.play(&env, 9, REWARD), read.play(&env, 9, REWARD));

    for agents in [0, u32::MAX] {
        let mut file = file.clone();
        file.swarm.agents = agents;
        let error = file.swarm(&env).err().unwrap().to_string();
        assert!(error.contains("expected 1 to 1000 agents"), "{error}");
    }
}

/// Of each learner's file every figure (at most 60 of them, evenly spread) is set to what none should be.
#[test]
fn a_policy_decides_by_figures_or_is_refused_whatever_figure_of_it_was_changed() {
    let env = Environment::built_in(Preset::Drifting).with_steps(3);
    for learner in &LEARNERS {
        let mut swarm = Swarm::new(SwarmConfig::new(learner.name, &json!({}), 1).unwrap(), &env).unwrap();
        play(&mut swarm, &env, 0..3);
        let file = serde_json::to_value(PolicyFile::new(&swarm, &env, training())).unwrap();
        let mut pointers = Vec::new();
        numbers_in(&file["agents"], "/agents".into(), &mut pointers);
        let every = pointers.len().div_ceil(60);
        for pointer in pointers.iter().step_by(every) {
            for value in ["1e308", "-1e308", "-5", "5e-324", "0", "18446744073709551615"] {
                let mut changed = file.clone();
                *changed.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
                let Ok(file) = PolicyFile::parse(changed.to_string().as_bytes()) else { continue };
                let Ok(mut swarm) = file.swarm(&env) else { continue };
                decides_by_figures(&mut swarm, &env, &format!("{}: {pointer} = {value}", learner.name));
            }
        }
    }
}

fn decides_by_figures(swarm: &mut Swarm, env: &Environment, what: &str) {
    let mut episode = Episode::new(env, 1, REWARD);
    let mut report = StepReport::new(env);
    swarm.begin_episode(1);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        for decided in &report.decisions {
            let figures = [decided.reward, decided.propensity, decided.value.unwrap_or_default()];
            assert!(figures.iter().all(|figure| figure.is_finite()), "{what}: {decided:?}");
        }
    }
    swarm.end_episode();
}

fn numbers_in(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Number(_) => into.push(at),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| numbers_in(item, format!("{at}/{i}"), into));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, item)| numbers_in(item, format!("{at}/{key}"), into));
        }
        _ => {}
    }
}
