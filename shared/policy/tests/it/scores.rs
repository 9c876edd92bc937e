//! What a policy says of the candidates agrees with what it chooses.

use policy::{Board, Policy, PolicyFile, Rule, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Choice, Environment, Episode, Preset, Reward, Turn};
use serde_json::json;

/// Plays steps and compares; how many choices had a score and another candidate beside them.
fn compare(env: &Environment, policy: &mut dyn Policy, seed: u64) -> u32 {
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    policy.begin_episode(seed, 0);
    let mut compared = 0;
    for _ in 0..10 {
        assert!(episode.begin_step());
        while let Some(turn) = episode.turn() {
            let Turn::Request(seen) = turn else { continue };
            let decision = policy.decide(&seen, &mut Board::default());
            let scores: Vec<_> =
                seen.candidates.iter().map(|c| (c.provider, policy.score(&seen, c))).collect();
            if let Choice::Route(chosen) = decision.choice
                && let Some((_, Some(best))) = scores.iter().find(|(provider, _)| *provider == chosen)
            {
                // scores that differ by less than a millionth are a tie
                assert!(
                    scores.iter().all(|(_, score)| score.unwrap() <= best + 1e-6),
                    "{chosen} in {scores:?}"
                );
                assert!(decision.value.is_none_or(|value| value == *best));
                compared += u32::from(scores.len() > 1);
            }
            episode.act(decision.choice);
        }
        policy.end_step(&[], &Board::default());
    }
    compared
}

#[test]
fn a_rule_chooses_the_candidate_that_it_scores_highest() {
    let env = Environment::built_in(Preset::Congested);
    for rule in [Rule::WeightedScore, Rule::Cheapest, Rule::Fastest, Rule::GreedyReward] {
        assert!(compare(&env, &mut *rule.policy(), 3) > 100, "{rule}");
    }
    assert_eq!(compare(&env, &mut *Rule::Random.policy(), 3), 0, "a random choice compares nothing");
}

#[test]
fn a_frozen_learner_chooses_the_candidate_that_it_values_highest() {
    let env = Environment::built_in(Preset::Contended).with_steps(30);
    let config = SwarmConfig::new(
        "q-learning",
        &json!({"discount": 0.9, "epsilon": 0.2, "replay": {"enabled": false}}),
        1,
    )
    .unwrap();
    let mut swarm = Swarm::new(config, &env).unwrap();
    let mut report = StepReport::new(&env);
    for seed in 0..5 {
        let mut episode = Episode::new(&env, seed, Reward::EXCESS_COST);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {}
        swarm.end_episode();
    }
    let training = Training {
        preset: "contended".into(),
        reward: "excess-cost".into(),
        first_seed: 0,
        episodes: 5,
        decisions: 1,
    };
    let frozen = PolicyFile::new(&swarm, &env, training).swarm(&env).unwrap();
    let mut agent = frozen.agents()[0].boxed_clone();
    assert!(compare(&env, &mut *agent, 1) > 100);
}
