//! The adaptive learner: what it learns, on whom it relies, and that it repeats.

use policy::{PolicyFile, Rule, StepReport, Swarm, SwarmConfig, SwarmState, Training};
use routing_env::{Environment, Episode, Preset, Trace};
use serde_json::json;

use crate::support::REWARD;

fn swarm(env: &Environment, agents: u32, epsilon: f64) -> Swarm {
    let config = SwarmConfig::new("adaptive", &json!({"epsilon": epsilon}), agents).unwrap();
    Swarm::new(config, env).unwrap()
}

fn play(env: &Environment, swarm: &mut Swarm, seeds: std::ops::Range<u64>) -> f64 {
    crate::support::play(swarm, env, seeds).overall.avg_reward().unwrap()
}

fn held_out() -> std::ops::Range<u64> {
    1 << 32..(1 << 32) + 4
}

#[test]
fn what_it_learns_of_hidden_demand_failures_and_latencies_is_worth_most_of_what_the_truth_is() {
    let env = Environment::built_in(Preset::Drifting);
    let rule = |rule| play(&env, &mut Swarm::of_rule(rule, &env), held_out());
    let (trusting, informed) = (rule(Rule::BidPrice), rule(Rule::BidPriceInformed));
    let mut learner = swarm(&env, 1, 0.0);
    play(&env, &mut learner, 1..9);
    learner.freeze();
    let learned = play(&env, &mut learner, held_out());
    assert!(informed > trusting + 0.3, "{trusting} {informed}");
    assert!(learned > trusting + 0.8 * (informed - trusting), "{trusting} {learned} {informed}");
}

/// Trained for so many episodes in one world, and frozen in another one.
fn transferred(from: &Environment, episodes: u64, to: &Environment) -> Swarm {
    let mut trained = swarm(from, 1, 0.0);
    (1..=episodes).for_each(|seed| _ = play(from, &mut trained, seed..seed + 1));
    let mut frozen = swarm(to, 1, 0.0);
    frozen.absorb(&trained.state().knowledge).unwrap();
    frozen.freeze();
    frozen
}

#[test]
fn what_was_learned_in_one_world_does_no_harm_in_another_one() {
    let worlds = [Preset::Contended, Preset::Congested, Preset::Drifting];
    let worlds = worlds.map(|preset| Environment::built_in(preset).with_steps(40));
    for to in &worlds {
        let never_trained = play(to, &mut transferred(to, 0, to), held_out());
        for from in &worlds {
            let found = play(to, &mut transferred(from, 2, to), held_out());
            let names = (from.preset(), to.preset());
            assert!(found > never_trained - 0.02, "{names:?}: {found}, never trained {never_trained}");
        }
    }
}

#[test]
fn a_stream_that_is_replayed_is_not_learned_by_heart() {
    // ten-second steps whose demand jumps about without any pattern, all in the same hour of the week
    let env = Environment::built_in(Preset::Drifting);
    let mut csv = "arrival_s,tenant_id,workload_type,gpu_type,gpu_hours\n".to_owned();
    let tenant = &env.workloads().tenants[0];
    let (workload, _) = tenant.mix.iter().next().unwrap();
    let profile = env.workloads().workload_profiles.iter().find(|(name, _)| *name == workload).unwrap().1;
    for step in 0..60_u32 {
        for _ in 0..5 + step * 7919 % 61 {
            let row = format!("{},{},{workload},{},1.5\n", step * 10, tenant.id, profile.gpu_type);
            csv.push_str(&row);
        }
    }
    let trace = Trace::parse("trace", &csv, &env, Some(10.0)).unwrap();
    let play = |swarm: &mut Swarm| {
        let mut episode = Episode::replaying(&env, &trace, 1, REWARD);
        let (mut report, mut reward) = (StepReport::new(&env), 0.0);
        swarm.begin_episode(1);
        while swarm.run_step(&mut episode, REWARD, &mut report) {
            reward += report.metrics.overall.reward;
        }
        swarm.end_episode();
        reward
    };
    let earned = |replays: u32| {
        let mut learner = swarm(&env, 1, 0.0);
        (0..replays).for_each(|_| _ = play(&mut learner));
        learner.freeze();
        play(&mut learner)
    };
    let (never, once, thrice) = (earned(0), earned(1), earned(3));
    // whoever knew each step's demand beforehand would earn much more than the second replay adds to the first
    assert!((thrice - once).abs() < 0.02 * once, "{never} {once} {thrice}");
}

#[test]
fn where_the_catalog_tells_all_it_is_at_least_as_good_as_who_trusts_it() {
    for preset in [Preset::Contended, Preset::Overloaded, Preset::Default] {
        let env = Environment::built_in(preset);
        let mut learner = swarm(&env, 1, 0.0);
        play(&env, &mut learner, 1..6);
        learner.freeze();
        let learned = play(&env, &mut learner, held_out());
        let trusting = play(&env, &mut Swarm::of_rule(Rule::BidPrice, &env), held_out());
        assert!(learned >= trusting - 0.005, "{preset}: {learned} {trusting}");
    }
}

#[test]
fn a_swarm_learns_together_what_one_agent_learns_alone() {
    let env = Environment::built_in(Preset::Drifting).with_steps(30);
    let (mut one, mut many) = (swarm(&env, 1, 0.0), swarm(&env, 50, 0.0));
    // the same requests, whoever decides them: without exploration every figure is the same
    assert_eq!(play(&env, &mut one, 1..4), play(&env, &mut many, 1..4));
    assert_eq!(one.state().knowledge[0], many.state().knowledge[49]);
}

#[test]
fn who_is_made_to_forget_starts_afresh_alone() {
    let env = Environment::built_in(Preset::Drifting).with_steps(20);
    let mut learner = swarm(&env, 3, 0.0);
    let afresh = learner.state().knowledge[0].clone();
    play(&env, &mut learner, 1..3);
    let before = learner.state().knowledge;
    learner.apply(policy::Command::Nigredo { kept: 0.0 }, &[1]);
    let after = learner.state().knowledge;
    assert_eq!(after[1], afresh);
    assert_ne!(before[1], afresh);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
}

#[test]
fn exploring_is_recorded_with_its_probability() {
    let env = Environment::built_in(Preset::Contended).with_steps(20);
    let mut learner = swarm(&env, 2, 0.2);
    let mut episode = Episode::new(&env, 3, REWARD);
    let mut report = StepReport::new(&env);
    learner.begin_episode(3);
    let (mut decided, mut explored) = (0.0, 0.0);
    while learner.run_step(&mut episode, REWARD, &mut report) {
        for decision in &report.decisions {
            assert!(decision.propensity > 0.0 && decision.propensity <= 1.0);
            decided += 1.0;
            explored += f64::from(u8::from(decision.explored));
        }
    }
    let share: f64 = explored / decided;
    assert!((share - 0.2).abs() < 0.03, "{share}");
}

#[test]
fn it_goes_on_from_its_state_as_if_it_had_never_stopped() {
    let env = Environment::built_in(Preset::Drifting).with_steps(20);
    let mut whole = swarm(&env, 3, 0.1);
    play(&env, &mut whole, 1..7);
    let mut first = swarm(&env, 3, 0.1);
    play(&env, &mut first, 1..4);
    let text = serde_json::to_string(&first.state()).unwrap();
    let state: SwarmState = serde_json::from_str(&text).unwrap();
    let mut rest = swarm(&env, 3, 0.1);
    rest.restore(&state).unwrap();
    play(&env, &mut rest, 4..7);
    assert_eq!(rest.state(), whole.state());
}

#[test]
fn its_policy_file_decides_as_it_does_itself() {
    let env = Environment::built_in(Preset::Drifting).with_steps(30);
    let mut learner = swarm(&env, 2, 0.0);
    play(&env, &mut learner, 1..5);
    let training = Training {
        preset: "drifting".into(),
        reward: "excess-cost".into(),
        preference: None,
        prior: None,
        first_seed: 1,
        episodes: 4,
        decisions: 1,
    };
    let file = PolicyFile::new(&learner, &env, training);
    let read = PolicyFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap();
    let mut restored = read.swarm(&env).unwrap();
    learner.freeze();
    assert_eq!(play(&env, &mut restored, held_out()), play(&env, &mut learner, held_out()));
}
