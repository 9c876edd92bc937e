//! What a policy says of the candidates agrees with what it chooses.

use routing_env::{Choice, Environment, Episode, Preference, Preset, Reward, Turn};
use serde_json::json;

use super::*;
use crate::{
    registry::Algorithm,
    rules::rule::Rule,
    swarm::{Swarm, SwarmConfig},
};

/// Plays steps and compares; how many choices had a score and another candidate beside them.
fn compare(env: &Environment, team: &mut dyn Team, seed: u64) -> u32 {
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    team.begin_episode(seed);
    let mut compared = 0;
    for _ in 0..10 {
        assert!(episode.begin_step());
        team.begin_step(0, &[]);
        while let Some(turn) = episode.turn() {
            let Turn::Request(seen) = turn else { continue };
            let decision = team.decide(0, &seen);
            let scores: Vec<_> =
                seen.candidates.iter().map(|c| (c.provider, team.score(0, &seen, c))).collect();
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
        team.end_step(&[vec![]], &mut |_, _| {});
    }
    compared
}

#[test]
fn a_rule_chooses_the_candidate_that_it_scores_highest() {
    let env = Environment::built_in(Preset::Congested);
    for rule in [Rule::WeightedScore, Rule::Cheapest, Rule::Fastest, Rule::GreedyReward] {
        assert!(compare(&env, &mut *rule.team(1, &env, Preference::EXCESS_COST), 3) > 100, "{rule}");
    }
    assert_eq!(
        compare(&env, &mut *Rule::Random.team(1, &env, Preference::EXCESS_COST), 3),
        0,
        "a random choice compares nothing"
    );
}

#[test]
fn a_frozen_learner_chooses_the_candidate_that_it_values_highest() {
    let env = Environment::built_in(Preset::Contended).with_steps(30);
    let settings =
        json!({"state": "specified", "discount": 0.9, "epsilon": 0.2, "replay": {"enabled": false}});
    let config = SwarmConfig::new("q-learning", &settings, 1).unwrap();
    let mut swarm = Swarm::new(config, &env).unwrap();
    (0..5).for_each(|seed| drop(swarm.play(&env, seed, Reward::EXCESS_COST)));
    let algorithm = Algorithm::new("q-learning", settings.as_object().unwrap()).unwrap();
    let mut team = algorithm.team(1, &env).unwrap();
    team.absorb(&swarm.knowledge()).unwrap();
    team.freeze();
    assert!(compare(&env, &mut *team, 1) > 100);
}
