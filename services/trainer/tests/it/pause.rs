//! Pausing and resuming.

use std::time::Duration;

use api::trainer::{Run, RunEvent, RunStatus};
use uuid::Uuid;

use crate::support::{Stack, slow, small_run};

/// A run that is paused after so many windows.
async fn paused_after(stack: &Stack, windows: u64) -> Run {
    stack.field.faults().set(slow(20));
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    stack.has_windows(run.id, windows).await;
    stack.client().pause_run(run.id).await.unwrap();
    stands_still(stack, run.id).await;
    stack.run(run.id).await
}

async fn stands_still(stack: &Stack, id: Uuid) {
    stack.until(id, "stands still", |run| run.status == RunStatus::Paused).await;
}

async fn refused(call: impl Future<Output = Result<Run, client::ClientError>>) -> (Option<u16>, String) {
    let error = call.await.unwrap_err();
    (error.status(), error.code().unwrap_or_default().to_owned())
}

async fn one_place() -> Stack {
    let mut stack = Stack::without_trainer().await;
    stack.max_concurrent_runs = 1;
    stack.start_trainer().await;
    stack.ready().await;
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_paused_ends_with_the_root_of_one_that_was_not() {
    let expected = Stack::start().await.play(&small_run()).await.run_root;
    let stack = Stack::start().await;
    let client = stack.client();
    let run = paused_after(&stack, 3).await;
    assert!(run.progress.decisions > 0);
    assert_eq!(run.progress.decisions_recorded, run.progress.decisions, "all of them are in the ledger");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(stack.run(run.id).await.progress, run.progress, "it must not be played");
    assert_eq!(refused(client.pause_run(run.id)).await, (Some(409), "run_already_paused".into()));

    client.resume_run(run.id).await.unwrap();
    assert_eq!(refused(client.resume_run(run.id)).await, (Some(409), "run_not_paused".into()));
    client.pause_run(run.id).await.unwrap();
    stands_still(&stack, run.id).await;
    client.resume_run(run.id).await.unwrap();

    let ended = stack.completed(run.id).await;
    assert_eq!(ended.run_root, expected);
    assert!(ended.reproducible);
    for event in ["paused:1", "resumed:1", "paused:2", "resumed:2"] {
        assert!(stack.ledger.record(&format!("{}:{event}", run.id)).is_some(), "{event}");
    }
    for answer in [refused(client.pause_run(run.id)).await, refused(client.resume_run(run.id)).await] {
        assert_eq!(answer, (Some(409), "run_already_ended".into()));
    }
    assert_eq!(refused(client.pause_run(Uuid::nil())).await, (Some(404), "run_not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_stays_paused_when_the_trainer_is_started_again() {
    let expected = Stack::start().await.play(&small_run()).await.run_root;
    let mut stack = Stack::start().await;
    // The checkpoint after the second episode is made; the third is under way.
    let run = paused_after(&stack, 12).await;
    stack.kill_trainer().await;
    let posted = stack.field.posted().len();
    stack.start_trainer().await;
    stack.ready().await;
    let found = stack.run(run.id).await;
    assert_eq!((found.status, found.progress.episodes_done), (RunStatus::Paused, 2));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(stack.field.posted().len(), posted, "it must not be played");
    stack.client().resume_run(run.id).await.unwrap();
    assert_eq!(stack.completed(run.id).await.run_root, expected);
    // A pause that has ended does not begin again.
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(stack.run(run.id).await.status, RunStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_leaves_its_place_to_others_and_waits_for_one_when_it_is_resumed() {
    let stack = one_place().await;
    let client = stack.client();
    let first = paused_after(&stack, 1).await;
    let second = client.create_run(&small_run(), None).await.unwrap();
    stack.until(second.id, "is at work", |run| run.status == RunStatus::Running).await;
    let metrics = test_support::get(format!("{}/metrics", stack.url())).await.unwrap().text().await.unwrap();
    for gauge in ["ai_mesh_runs{status=\"paused\"} 1", "ai_mesh_runs{status=\"running\"} 1"] {
        assert!(metrics.contains(gauge), "{gauge} is not in {metrics}");
    }
    assert_eq!(client.resume_run(first.id).await.unwrap().status, RunStatus::Queued);
    assert_eq!(stack.completed(second.id).await.run_root, stack.completed(first.id).await.run_root);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_paused_at_once_and_lets_the_next_one_pass() {
    let stack = one_place().await;
    let client = stack.client();
    stack.field.faults().set(slow(20));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.create_run(&small_run(), None).await.unwrap().id);
    }
    stack.until(ids[0], "is at work", |run| run.status == RunStatus::Running).await;
    assert_eq!(client.pause_run(ids[1]).await.unwrap().status, RunStatus::Paused);
    stack.completed(ids[0]).await;
    stack.completed(ids[2]).await;
    assert_eq!(stack.run(ids[1]).await.status, RunStatus::Paused);
    client.resume_run(ids[1]).await.unwrap();
    stack.completed(ids[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_that_is_cancelled_goes_on_to_the_end_of_its_episode() {
    let stack = Stack::start().await;
    let run = paused_after(&stack, 2).await;
    stack.client().cancel_run(run.id).await.unwrap();
    let again = refused(stack.client().pause_run(run.id)).await;
    assert_eq!(again, (Some(409), "run_is_ending".into()));
    let ended = stack.ended(run.id).await;
    assert_eq!((ended.status, ended.progress.episodes_done), (RunStatus::Cancelled, 1));
    assert_eq!(ended.checkpoint.unwrap().episodes_done, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_that_has_not_begun_is_cancelled_at_once() {
    let stack = one_place().await;
    let client = stack.client();
    // the first run has the only place for longer than the second one is there
    stack.field.faults().set(slow(1000));
    let first = client.create_run(&small_run(), None).await.unwrap();
    stack.until(first.id, "is at work", |run| run.status == RunStatus::Running).await;
    let second = client.create_run(&small_run(), None).await.unwrap();
    client.pause_run(second.id).await.unwrap();
    client.cancel_run(second.id).await.unwrap();
    let ended = stack.ended(second.id).await;
    assert_eq!((ended.status, ended.progress.decisions), (RunStatus::Cancelled, 0));
    assert_eq!(refused(client.resume_run(second.id)).await, (Some(409), "run_already_ended".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_run_is_told_that_it_is_paused() {
    let stack = Stack::start().await;
    let run = paused_after(&stack, 2).await;
    let mut events = stack.client().events(run.id, None).await.unwrap();
    loop {
        if let Some(RunEvent::Progress(progress)) = events.next().await.unwrap() {
            assert_eq!(progress.status, RunStatus::Paused);
            assert_eq!(progress.progress.decisions_per_second, None);
            break;
        }
    }
}
