//! Two trainers on one ledger: each run is played by one of them, and both know of all.

use std::collections::BTreeSet;

use api::{
    Hash,
    policies::{NewPolicy, PolicyQuery},
    remembrancer::{LeaseClaim, LeaseQuery, NewRecord},
    trainer::{MetricsQuery, NewRun, Resolution, Run, RunPatch, RunQuery, RunStatus},
};
use client::{Endpoint, PageQuery, Remembrancer};
use serde_json::json;
use test_support::eventually;
use uuid::Uuid;

use crate::support::{Running, Stack, slow, small_run};

/// Long enough to be met in the middle: 10 episodes of 5 steps.
fn long_run() -> NewRun {
    NewRun { episodes: 10, ..small_run() }
}

async fn root_of(run: &NewRun) -> Option<Hash> {
    Stack::start().await.play(run).await.run_root
}

fn remembrancer(stack: &Stack) -> Remembrancer {
    Remembrancer::new(Endpoint::new(stack.ledger.url())).unwrap()
}

/// Who holds a run now.
async fn holders(stack: &Stack) -> BTreeSet<String> {
    let query = LeaseQuery { prefix: Some("run:".into()), held: Some(true), ..LeaseQuery::default() };
    let leases = remembrancer(stack).leases(&query).await.unwrap();
    leases.items.into_iter().filter_map(|lease| lease.holder).collect()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    eventually(what, async || if holds().await { Ok(()) } else { Err("it is not so yet") }).await;
}

async fn under_way(stack: &Stack, id: Uuid, windows: u64) {
    stack.has_windows(id, windows).await;
}

async fn ended(trainer: &Running, id: Uuid) -> Run {
    until("the run has ended", async || trainer.run(id).await.status.is_final()).await;
    trainer.run(id).await
}

/// Completed, each decision in the ledger once, and nobody ever called it failed.
fn assert_whole(stack: &Stack, run: &Run, root: Option<Hash>) {
    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
    assert_eq!(run.run_root, root);
    let sequences: Vec<_> = stack.ledger.decisions(run.digest).iter().map(|d| d.sequence).collect();
    assert!(sequences.into_iter().eq(0..run.progress.decisions));
    assert!(stack.ledger.record(&format!("{}:failed", run.id)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_trainer_shuts_down_completes_on_the_other_as_if_nothing_had_happened() {
    let run = NewRun { episodes: 30, checkpoint_every: 3, ..small_run() };
    let root = root_of(&run).await;
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(4));
    let created = stack.client().create_run(&run, None).await.unwrap();
    let other = stack.another_trainer().await;
    under_way(&stack, created.id, 40).await;
    assert_eq!(other.run(created.id).await.status, RunStatus::Running);
    stack.kill_trainer().await;
    stack.field.faults().clear();
    let ended = ended(&other, created.id).await;
    assert_whole(&stack, &ended, root);
    assert_eq!(stack.field.swarm_names(), [created.id.to_string()], "one swarm was enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trainer_plays_a_run_and_both_show_it() {
    let stack = Stack::start().await;
    let other = stack.another_trainer().await;
    stack.field.faults().set(slow(4));
    let created = stack.client().create_run(&long_run(), None).await.unwrap();
    until("the other shows it at work", async || other.run(created.id).await.status == RunStatus::Running)
        .await;
    until("both say who plays it", async || {
        let (here, there) = (stack.run(created.id).await, other.run(created.id).await);
        here.trainer.is_some() && here.trainer == there.trainer
    })
    .await;
    until("the other knows a checkpoint", async || other.run(created.id).await.checkpoint.is_some()).await;
    let listed = other.client().runs(&RunQuery::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);

    stack.field.faults().clear();
    let (here, there) = (stack.ended(created.id).await, ended(&other, created.id).await);
    assert_eq!((here.run_root, here.trainer), (there.run_root, None));
    assert_eq!(stack.ledger.posted(), here.progress.decisions, "nothing was decided twice");
    let all = MetricsQuery { resolution: Resolution::Window, limit: Some(1000), ..MetricsQuery::default() };
    let (client, page) = (other.client(), PageQuery::default());
    assert_eq!(
        client.window_metrics(created.id, &all).await.unwrap(),
        stack.client().window_metrics(created.id, &all).await.unwrap()
    );
    assert_eq!(
        client.checkpoints(created.id, &page).await.unwrap(),
        stack.client().checkpoints(created.id, &page).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_place_takes_the_next_run() {
    let mut stack = Stack::without_trainer().await;
    stack.max_concurrent_runs = 1;
    stack.start_trainer().await;
    stack.ready().await;
    stack.field.faults().set(slow(4));
    let mut runs = Vec::new();
    for seed in 1..4 {
        runs.push(stack.client().create_run(&NewRun { seed, ..long_run() }, None).await.unwrap());
    }
    let other = stack.another_trainer().await;
    until("both are at work", async || holders(&stack).await.len() == 2).await;
    stack.field.faults().clear();
    for run in runs {
        let root = root_of(&NewRun { seed: run.config.seed, ..long_run() }).await;
        assert_whole(&stack, &ended(&other, run.id).await, root);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_whose_lease_ran_out_drops_the_run_and_writes_nothing_more_about_it() {
    let root = root_of(&long_run()).await;
    let stack = Stack::start().await;
    stack.field.faults().set(slow(100));
    let created = stack.client().create_run(&long_run(), None).await.unwrap();
    under_way(&stack, created.id, 3).await;
    let first = holders(&stack).await;
    let other = stack.another_trainer().await;
    // As after a stop that lasted longer than the lease: the other takes the run, and the first does not know.
    until("the other has the run", async || {
        let now = holders(&stack).await;
        if now == first {
            stack.ledger.run_out_leases();
        }
        !now.is_empty() && now != first
    })
    .await;
    until("the first has noticed", async || {
        stack.run(created.id).await.trainer.is_some_and(|holder| !first.contains(&holder))
    })
    .await;
    stack.field.faults().clear();
    let (here, there) = (stack.ended(created.id).await, ended(&other, created.id).await);
    assert_whole(&stack, &there, root);
    assert_eq!(
        (here.status, here.run_root, here.checkpoint),
        (there.status, there.run_root, there.checkpoint)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_the_trainer_that_plays_the_run() {
    let stack = Stack::start().await;
    let other = stack.another_trainer().await;
    stack.field.faults().set(slow(4));
    let created = stack.client().create_run(&long_run(), None).await.unwrap();
    under_way(&stack, created.id, 1).await;
    let client = other.client();
    client.pause_run(created.id).await.unwrap();
    until("it stands still", async || stack.run(created.id).await.status == RunStatus::Paused).await;
    client.resume_run(created.id).await.unwrap();
    until("it goes on", async || stack.run(created.id).await.status == RunStatus::Running).await;
    let patch = RunPatch { name: Some(Some("named elsewhere".into())), ..RunPatch::default() };
    client.label_run(created.id, &patch).await.unwrap();
    assert_eq!(stack.run(created.id).await.labels.name.as_deref(), Some("named elsewhere"));
    client.cancel_run(created.id).await.unwrap();
    let ended = stack.ended(created.id).await;
    assert_eq!(ended.status, RunStatus::Cancelled);
    assert!(ended.progress.episodes_done < 10);
    assert!(ended.checkpoint.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_answered_is_carried_out_whoever_dies() {
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(4));
    let created = stack.client().create_run(&long_run(), None).await.unwrap();
    under_way(&stack, created.id, 12).await;
    stack.client().cancel_run(created.id).await.unwrap();
    assert!(stack.ledger.record(&format!("{}:cancelling", created.id)).is_some());
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(stack.ended(created.id).await.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_starts_one_run_whichever_trainer_is_asked() {
    let stack = Stack::start().await;
    let other = stack.another_trainer().await;
    let (a, b) = (stack.client(), other.client());
    for number in 0..5 {
        let (run, key) = (NewRun { seed: number, ..small_run() }, format!("key-{number}"));
        let (one, same) = tokio::join!(a.create_run(&run, Some(&key)), b.create_run(&run, Some(&key)));
        assert_eq!(one.unwrap().id, same.unwrap().id);
        let reused = b.create_run(&NewRun { seed: 99, ..run }, Some(&key)).await.unwrap_err();
        assert_eq!(reused.code(), Some("idempotency_key_reused"));
    }
    assert_eq!(other.client().runs(&RunQuery::default()).await.unwrap().items.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_imported_on_one_trainer_is_asked_on_the_other() {
    let stack = Stack::start().await;
    let other = stack.another_trainer().await;
    let new = NewPolicy { rule: Some("cheapest".into()), ..NewPolicy::default() };
    let policy = stack.client().import_policy(&new).await.unwrap();
    assert_eq!(other.client().policy(policy.id).await.unwrap().digest, policy.digest);
    let listed = other.client().policies(&PolicyQuery::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|policy| policy.id).collect::<Vec<_>>(), [policy.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_somebody_recorded_before_is_adopted_if_it_is_of_the_same_decisions_and_passed_over_else()
 {
    let first = Stack::start().await;
    let whole = first.play(&small_run()).await;
    let there = first.client().checkpoints(whole.id, &PageQuery::default()).await.unwrap().items.remove(0);
    let mut document: serde_json::Value =
        serde_json::from_slice(&first.artifact(Some(there.sha256))).unwrap();
    // What psi-field says of itself may differ from process to process.
    document["pending_acknowledgements"] = json!([Uuid::now_v7()]);

    for (root, adopted) in [(there.run_root, true), (Hash([1; 32]), false)] {
        let stack = Stack::start().await;
        stack.field.faults().set(slow(100));
        let created = stack.client().create_run(&small_run(), None).await.unwrap();
        under_way(&stack, created.id, 1).await;
        let checkpoint = stack.ledger.put_artifact(&serde_json::to_vec(&document).unwrap());
        let record = NewRecord {
            id: Some(format!("{}:checkpoint:2", created.id)),
            kind: "run.checkpointed".parse().unwrap(),
            subject: format!("run:{}", created.id),
            body: json!({"run_id": created.id, "digest": created.digest, "episodes_done": 2,
                "decisions": there.decisions, "run_root": root, "checkpoint_sha256": checkpoint,
                "reproducible": true})
            .as_object()
            .unwrap()
            .clone(),
        };
        remembrancer(&stack).post_record(&record).await.unwrap();
        stack.field.faults().clear();
        let ended = stack.ended(created.id).await;
        assert_whole(&stack, &ended, whole.run_root);
        let checkpoints = stack.client().checkpoints(created.id, &PageQuery::default()).await.unwrap();
        assert_eq!(checkpoints.items[0].sha256 == checkpoint, adopted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_held_by_a_trainer_that_died_runs_out_and_the_run_goes_on() {
    let root = root_of(&small_run()).await;
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(20));
    let created = stack.client().create_run(&small_run(), None).await.unwrap();
    under_way(&stack, created.id, 1).await;
    stack.kill_trainer().await;
    stack.field.faults().clear();
    let dead = LeaseClaim { holder: "dead".into(), ttl_ms: 600_000 };
    remembrancer(&stack).claim_lease(&format!("run:{}", created.id), &dead).await.unwrap();
    stack.start_trainer().await;
    stack.ready().await;
    let waits = stack.run(created.id).await;
    assert_eq!((waits.trainer.as_deref(), waits.status), (Some("dead"), RunStatus::Running));
    stack.ledger.run_out_leases();
    assert_whole(&stack, &stack.ended(created.id).await, root);
}
