//! Whoever can post to the ledger can plant records under the trainer's names, and take its ids first.

use api::{
    policies::{NewPolicy, Outcome, PolicyQuery},
    trainer::{RunQuery, RunStatus},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    policies::asking,
    support::{Stack, slow, small_run},
};

const RUN_KINDS: [&str; 8] = [
    "run",
    "run.created",
    "run.checkpointed",
    "run.labelled",
    "run.paused",
    "run.cancelling",
    "run.ended",
    "run.created.twice",
];

/// Records under every name of the trainer, with bodies that it never writes.
fn plant_oddities(stack: &Stack) {
    for (number, kind) in
        RUN_KINDS.into_iter().chain(["policy.imported", "serving.session", "serving.answer"]).enumerate()
    {
        for (form, body) in [json!({}), json!({"run_id": 1, "policy_id": "x"}), json!({"digest": [null]})]
            .into_iter()
            .enumerate()
        {
            let id = Uuid::from_u128((number * 10 + form) as u128);
            for event in ["created", "checkpoint:1", "completed", "paused:1", "x"] {
                stack.ledger.plant_record(
                    &format!("{id}:{kind}:{event}"),
                    kind,
                    &format!("run:{id}"),
                    body.clone(),
                );
                stack.ledger.plant_record(&format!("{id}:{event}"), kind, &format!("run:{id}"), body.clone());
            }
            stack.ledger.plant_record(&format!("{kind}-{form}"), kind, "thing:1", body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_starts_lists_and_plays_as_if_nothing_had_been_planted() {
    let expected = Stack::start().await.play(&small_run()).await;
    let mut stack = Stack::without_trainer().await;
    stack.ledger.set_page_size(1000);
    plant_oddities(&stack);
    stack.start_trainer().await;
    stack.ready().await;
    let run = stack.play(&small_run()).await;
    assert_eq!((run.status, run.run_root), (RunStatus::Completed, expected.run_root), "{:?}", run.error);
    let listed = stack.client().runs(&RunQuery::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|run| run.id).collect::<Vec<_>>(), [run.id]);
    let policies = stack.client().policies(&PolicyQuery::default()).await.unwrap().items;
    assert_eq!(policies.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_run_that_cannot_be_played_fails_and_nothing_else_does() {
    let stack = Stack::start().await;
    let mut planted = Vec::new();
    for config in [
        json!({"agents": 4_000_000_000_u32}),
        json!({"episodes": 0}),
        json!({"steps_per_episode": 4_000_000_000_u32}),
        json!({"algorithm": "magic"}),
        json!({"environment": {"preset": "no such"}}),
    ] {
        let id = Uuid::now_v7();
        let body = json!({"run_id": id, "digest": "00".repeat(32), "environment_sha256": "00".repeat(32),
            "config": config, "idempotency_key": "k"});
        stack.ledger.plant_record(&format!("{id}:created"), "run.created", &format!("run:{id}"), body);
        planted.push(id);
    }
    // the last moment that a UUIDv7 can tell, in the year 10889
    let late = Uuid::from_u128(0xffff_ffff_ffff_7000_8000_0000_0000_0000);
    let body = json!({"run_id": late, "digest": "00".repeat(32), "environment_sha256": "00".repeat(32), "config": {"agents": 0}});
    stack.ledger.plant_record(&format!("{late}:created"), "run.created", &format!("run:{late}"), body);
    let run = stack.client().create_run(&small_run(), Some("mine")).await.unwrap();
    assert_eq!(stack.completed(run.id).await.progress.episodes_done, 4);
    let listed = stack.client().runs(&RunQuery::default()).await.unwrap().items;
    for id in planted.into_iter().chain([late]) {
        assert!(listed.iter().any(|run| run.id == id));
        assert_eq!(stack.ended(id).await.status, RunStatus::Failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_records_ids_were_taken_is_paused_resumed_checkpointed_ended_and_resumed_elsewhere() {
    let expected = Stack::start().await.play(&small_run()).await;
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(20));
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    let events =
        ["checkpoint:2", "checkpoint:4", "completed", "failed", "paused:1", "resumed:1", "cancelling"];
    for (number, event) in events.into_iter().enumerate() {
        let (kind, body) = [
            ("note", json!({"text": "mine"})),
            ("run.checkpointed", json!({"episodes_done": 99})),
            ("run.ended", json!({})),
        ][number % 3]
            .clone();
        stack.ledger.plant_record(&format!("{}:{event}", run.id), kind, &format!("run:{}", run.id), body);
    }
    stack.has_windows(run.id, 1).await;
    stack.client().pause_run(run.id).await.unwrap();
    stack.until(run.id, "stands still", |run| run.status == RunStatus::Paused).await;
    stack.client().resume_run(run.id).await.unwrap();
    stack.until(run.id, "a checkpoint", |run| run.checkpoint.is_some()).await;
    stack.kill_trainer().await;
    stack.field.faults().clear();
    stack.start_trainer().await;
    stack.ready().await;
    let ended = stack.completed(run.id).await;
    assert_eq!((ended.run_root, ended.progress.decisions), (expected.run_root, expected.progress.decisions));
    let record = stack.ledger.record(&ended.record_id.unwrap()).unwrap();
    assert_eq!(record.id, format!("{}:completed~1", run.id));

    let cancelled = stack
        .client()
        .create_run(&api::trainer::NewRun { seed: 8, episodes: 2000, ..small_run() }, None)
        .await
        .unwrap();
    let name = format!("{}:cancelling", cancelled.id);
    stack.ledger.plant_record(&name, "note", "thing:1", json!({"text": "mine"}));
    stack.client().cancel_run(cancelled.id).await.unwrap();
    assert_eq!(stack.ended(cancelled.id).await.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_from_its_last_checkpoint_that_is_one() {
    let expected = Stack::start().await.play(&small_run()).await.run_root;
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(20));
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    stack.until(run.id, "a checkpoint", |run| run.checkpoint.is_some()).await;
    stack.kill_trainer().await;
    stack.field.faults().clear();
    // In the very form of a checkpoint: of an artifact that is none, that is not there, of an episode that never comes.
    for (episode, sha256) in
        [(3, stack.ledger.put_artifact(b"{}")), (4, api::Hash([9; 32])), (4_000_000, api::Hash([9; 32]))]
    {
        let body = json!({"run_id": run.id, "digest": run.digest, "episodes_done": episode, "decisions": 1,
            "run_root": "00".repeat(32), "checkpoint_sha256": sha256, "reproducible": true});
        let id = format!("{}:checkpoint:{episode}", run.id);
        stack.ledger.plant_record(&id, "run.checkpointed", &format!("run:{}", run.id), body);
    }
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(stack.completed(run.id).await.run_root, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_decides_and_takes_outcomes_although_the_ids_of_its_records_were_taken() {
    let new = NewPolicy { rule: Some("cheapest".into()), ..NewPolicy::default() };
    // The same policy elsewhere tells which ids it will want.
    let elsewhere = Stack::start().await;
    let policy = elsewhere.client().import_policy(&new).await.unwrap();
    let expected = elsewhere.client().decide(policy.id, &asking(2), Some("k")).await.unwrap();
    let outcome = Outcome { succeeded: true, latency_ms: Some(10.0), ..Outcome::default() };
    elsewhere.client().tell_outcome(expected.decisions[0].id, &outcome).await.unwrap();
    let wanted = elsewhere.ledger.records();
    assert!(wanted.len() >= 4, "an import, a session, an answer, an outcome");

    let mut stack = Stack::without_trainer().await;
    for record in &wanted {
        stack.ledger.plant_record(&record.id, "note", &record.subject, json!({"text": "mine"}));
    }
    // sessions up to the end of the numbers
    for session in [1, 2, 3, i32::MAX as u32, u32::MAX] {
        let mut body: Value = wanted
            .iter()
            .find(|record| record.kind.as_str() == "serving.session")
            .map(|r| json!(r.body))
            .unwrap();
        body["session"] = json!(session);
        let (id, subject) = (format!("{}:serving:{session}", policy.id), format!("policy:{}", policy.id));
        stack.ledger.plant_record(&id, "serving.session", &subject, body);
    }
    stack.start_trainer().await;
    stack.ready().await;
    let imported = stack.client().import_policy(&new).await.unwrap();
    assert_eq!((imported.id, imported.digest), (policy.id, policy.digest));
    assert!(stack.ledger.record(&imported.record_id).unwrap().kind.as_str() == "policy.imported");
    let served = stack.client().decide(policy.id, &asking(2), Some("k")).await.unwrap();
    assert_eq!(stack.client().decide(policy.id, &asking(2), Some("k")).await.unwrap(), served);
    let id = served.decisions[0].id;
    let (told, again) = (
        stack.client().tell_outcome(id, &outcome).await.unwrap(),
        stack.client().tell_outcome(id, &outcome).await.unwrap(),
    );
    assert_eq!(told, again);
    let details = stack.client().decision(id).await.unwrap();
    assert_eq!((details.outcome, details.outcome_record_id), (Some(outcome), Some(told.receipt.id)));
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(stack.client().decide(policy.id, &asking(2), Some("k")).await.unwrap(), served);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_answer_under_a_key_or_policy_under_an_id_is_not_given_out() {
    let new = NewPolicy { rule: Some("cheapest".into()), ..NewPolicy::default() };
    let mut stack = Stack::start().await;
    let policy = stack.client().import_policy(&new).await.unwrap();
    let served = stack.client().decide(policy.id, &asking(1), Some("k")).await.unwrap();
    let answer = stack.ledger.records_of("serving.answer").pop().unwrap();
    for (attempt, artifact) in
        [(1, stack.ledger.put_artifact(b"[]")), (2, api::Hash([9; 32])), (u32::MAX, api::Hash([9; 32]))]
    {
        let mut body = json!(answer.body);
        (body["attempt"], body["answer_sha256"]) = (json!(attempt), json!(artifact));
        let id = format!("{}:{attempt}", answer.subject);
        stack.ledger.plant_record(&id, "serving.answer", &answer.subject, body);
    }
    assert_eq!(stack.client().decide(policy.id, &asking(1), Some("k")).await.unwrap(), served);

    // Another rule under the id that an import of the fastest one would get.
    let fastest = NewPolicy { rule: Some("fastest".into()), ..NewPolicy::default() };
    let wanted = {
        let elsewhere = Stack::start().await;
        elsewhere.client().import_policy(&fastest).await.unwrap()
    };
    let mut body = json!(stack.ledger.records_of("policy.imported").pop().unwrap().body);
    body["policy_id"] = json!(wanted.id);
    stack.ledger.plant_record(
        &format!("policy:{}", wanted.id),
        "policy.imported",
        &format!("policy:{}", wanted.id),
        body,
    );
    for _ in 0..2 {
        let policy = stack.client().import_policy(&fastest).await.unwrap();
        assert_eq!((policy.id, policy.algorithm.as_str()), (wanted.id, "fastest"));
        stack.kill_trainer().await;
        stack.start_trainer().await;
        stack.ready().await;
    }
}
