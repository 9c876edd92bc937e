//! Environments that callers play: one turn after the other, and what is refused.

use api::trainer::{EnvironmentSpec, EnvironmentTurn, NewEnvironment, NewTurn, PlayedEnvironment};
use client::{ClientError, Trainer};
use routing_env::{
    Environment, Episode, Metrics, Preset,
    gym::{Play, Space},
};
use serde_json::json;
use test_support::{Fault, eventually};

use crate::support::Stack;

fn contended(n: u32, seed: u64) -> NewEnvironment {
    let environment = EnvironmentSpec { preset: Some("contended".into()), ..EnvironmentSpec::default() };
    NewEnvironment { environment, seed, n, steps_per_episode: 2 }
}

/// The allowed action with the highest number: it defers where it may.
fn last(mask: &[bool]) -> u32 {
    mask.iter().rposition(|allowed| *allowed).unwrap() as u32
}

fn choices(turn: &EnvironmentTurn) -> NewTurn {
    NewTurn { turn: Some(turn.turn), choices: turn.action_masks.iter().map(|mask| last(mask)).collect() }
}

fn refused(error: &ClientError) -> (u16, &str, Vec<&str>) {
    let problem = error.problem().unwrap();
    let pointers = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    (problem.status, problem.code.as_str(), pointers)
}

/// What the episode with this seed comes to in process.
fn expected(seed: u64) -> (Vec<f64>, Metrics) {
    let env = Environment::built_in(Preset::Contended).with_steps(2);
    let space = Space::new(&env);
    let (mut rewards, mut metrics) = (Vec::new(), Metrics::new(&env));
    let mut watch = |episode: &Episode<'_>| metrics.merge(episode.outcome().metrics);
    let mut play = Play::new(&env, &space, seed, &mut watch);
    while let Some(asked) = play.asked() {
        let action = last(asked.mask) as usize;
        rewards.push(play.act(action, &mut watch).unwrap());
    }
    (rewards, metrics)
}

async fn until_all_have_ended(trainer: &Trainer, made: &PlayedEnvironment) -> Vec<EnvironmentTurn> {
    let (mut turns, mut ended) = (vec![made.turn.clone()], 0);
    while ended < made.n as usize {
        let next = trainer.play_turn(made.id, &choices(turns.last().unwrap())).await.unwrap();
        ended += next.ended.len();
        turns.push(next);
    }
    turns
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parallel_episode_is_the_one_of_its_seed_and_its_rewards_add_up_to_what_it_came_to() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let made = trainer.create_environment(&contended(3, 40)).await.unwrap();
    assert_eq!(made.turn.observations[0].len(), made.features.len());
    assert_eq!(made.turn.action_masks[0].len(), made.actions.len());
    assert_eq!((made.turn.seeds.as_slice(), made.turn.turn), ([40, 41, 42].as_slice(), 0));
    let turns = until_all_have_ended(&trainer, &made).await;
    for position in 0..3 {
        let (rewards, metrics) = expected(40 + position as u64);
        let played = turns.iter().skip(1).map(|turn| turn.rewards[position]).take(rewards.len());
        assert_eq!(played.collect::<Vec<_>>(), rewards);
        let end = &turns[rewards.len()];
        assert!(end.terminated[position]);
        assert!(end.seeds[position] > 42 && end.steps[position] == 0, "the next episode has begun");
        let ended = end.ended.iter().find(|ended| ended.position == position as u32).unwrap();
        let found = (ended.seed, ended.requests, ended.served, ended.reward);
        let overall = metrics.overall;
        assert_eq!(found, (40 + position as u64, overall.requests, overall.routed, overall.reward));
    }
    assert!(stack.ledger.records().is_empty(), "nothing of it is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_played_once_and_whole_or_not_at_all() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let made = trainer.create_environment(&contended(2, 1)).await.unwrap();
    let forbidden = made.turn.action_masks[1].iter().position(|allowed| !allowed).unwrap() as u32;
    for (wrong, pointers) in [
        (vec![last(&made.turn.action_masks[0])], vec!["/choices"]),
        (vec![last(&made.turn.action_masks[0]), forbidden], vec!["/choices/1"]),
        (vec![99, forbidden], vec!["/choices/0", "/choices/1"]),
    ] {
        let turn = NewTurn { turn: None, choices: wrong };
        let error = trainer.play_turn(made.id, &turn).await.unwrap_err();
        assert_eq!(refused(&error), (422, "invalid_request", pointers));
    }
    assert_eq!(trainer.environment(made.id).await.unwrap(), made, "nothing was played");

    let answer = choices(&made.turn);
    let next = trainer.play_turn(made.id, &answer).await.unwrap();
    assert_eq!(next.turn, 1);
    let again = trainer.play_turn(made.id, &answer).await.unwrap_err();
    assert_eq!(refused(&again), (409, "another_turn", vec![]));
    assert_eq!(trainer.environment(made.id).await.unwrap().turn, next, "the answer can be had again");

    trainer.delete_environment(made.id).await.unwrap();
    for error in [
        trainer.play_turn(made.id, &choices(&next)).await.unwrap_err(),
        trainer.environment(made.id).await.unwrap_err(),
        trainer.delete_environment(made.id).await.unwrap_err(),
    ] {
        assert_eq!(refused(&error), (404, "environment_not_found", vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_is_refused_by_the_field_that_is_wrong() {
    let stack = Stack::start().await;
    let trainer = stack.client();
    let make =
        async |new: NewEnvironment| refused_owned(&trainer.create_environment(&new).await.unwrap_err());
    let held_out = NewEnvironment { seed: api::FIRST_HELD_OUT_SEED, ..contended(1, 0) };
    assert_eq!(make(held_out).await, (422, "/seed".into()));
    assert_eq!(make(NewEnvironment { n: 257, ..contended(1, 0) }).await, (422, "/n".into()));
    let mut nobody = serde_json::to_value(routing_env::Workloads::built_in()).unwrap();
    for tenant in nobody["tenants"].as_array_mut().unwrap() {
        tenant["avg_requests_per_step"] = json!(0);
    }
    let environment = EnvironmentSpec { workloads: Some(nobody), ..EnvironmentSpec::default() };
    assert_eq!(make(NewEnvironment { environment, ..contended(1, 0) }).await, (422, "/environment".into()));
    let providers: Vec<_> = (0..1000)
        .map(|i| {
            json!({"id": format!("p{i}"), "regions": ["global"], "gpu_types": ["A100"], "reputation": 90,
                "base_price_usd_per_hour": {"A100": 1.0}, "base_latency_ms": 5, "capacity_gpu_hours_per_step": 10})
        })
        .collect();
    let mut workloads = serde_json::to_value(routing_env::Workloads::built_in()).unwrap();
    workloads["scenarios"] = json!([]);
    let environment = EnvironmentSpec {
        providers: Some(json!({"providers": providers})),
        workloads: Some(workloads),
        ..EnvironmentSpec::default()
    };
    assert_eq!(make(NewEnvironment { environment, ..contended(200, 0) }).await, (422, "/n".into()));
}

fn refused_owned(error: &ClientError) -> (u16, String) {
    let (status, _, pointers) = refused(error);
    (status, pointers.join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_environments_and_an_idle_one_makes_room() {
    let mut stack = Stack::without_trainer().await;
    (stack.max_environments, stack.environment_idle_seconds) = (2, 1);
    stack.start_trainer().await;
    let trainer = stack.client();
    let first = trainer.create_environment(&contended(1, 1)).await.unwrap();
    trainer.delete_environment(first.id).await.unwrap();
    let [_, second] = [
        trainer.create_environment(&contended(1, 1)).await.unwrap(),
        trainer.create_environment(&contended(1, 1)).await.unwrap(),
    ];
    let error = trainer.create_environment(&contended(1, 1)).await.unwrap_err();
    assert_eq!(refused(&error), (429, "too_many_environments", vec![]));
    let make = async || trainer.create_environment(&contended(1, 1)).await;
    eventually("the first idle environment is deleted", make).await;
    eventually("the second one is deleted", make).await;
    let error = trainer.environment(second.id).await.unwrap_err();
    assert_eq!(refused(&error), (404, "environment_not_found", vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_can_be_played_while_the_ledger_is_away() {
    let mut stack = Stack::without_trainer().await;
    stack.ledger.faults().set(Fault::Refuse);
    stack.start_trainer().await;
    let made = stack.client().create_environment(&contended(1, 1)).await.unwrap();
    assert_eq!((made.environment, made.n, made.seed), (contended(1, 1).environment, 1, 1));
}
