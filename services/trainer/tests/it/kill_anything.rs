//! Whatever goes away in the middle of a run, the run ends with the root of one that nobody disturbed.

use api::{
    Hash,
    trainer::{
        AlgorithmSpec, Interventions, MetricsQuery, NewRun, PsiFieldMode, Resolution, Run, RunQuery,
        RunStatus,
    },
};
use client::PageQuery;
use serde_json::json;
use test_support::{Fault, Restart, eventually};

use crate::support::{Stack, slow, small_run};

/// The run that nobody disturbs: root, and the bytes of the policy.
async fn undisturbed(run: &NewRun) -> (Option<Hash>, Vec<u8>) {
    let stack = Stack::start().await;
    let run = stack.play(run).await;
    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
    (run.run_root, stack.artifact(run.policy_sha256))
}

fn assert_same(stack: &Stack, run: &Run, expected: &(Option<Hash>, Vec<u8>)) {
    assert_eq!(run.status, RunStatus::Completed, "{:?}", run.error);
    assert_eq!(run.run_root, expected.0);
    assert!(stack.artifact(run.policy_sha256) == expected.1, "the policy is another");
    assert!(run.reproducible);
    let decisions = stack.ledger.decisions(run.digest);
    let first = stack.ledger.first_sequence(run.digest);
    assert!(decisions.iter().map(|d| d.sequence).eq(first..run.progress.decisions));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_is_gone_on_with_on_a_fresh_stack_as_if_it_had_never_stopped() {
    let expected = undisturbed(&small_run()).await;
    for stop in 1..4 {
        let first = Stack::start().await;
        let stopped = first.play(&NewRun { stop_after: Some(stop), ..small_run() }).await;
        assert_eq!((stopped.status, stopped.progress.episodes_done), (RunStatus::Stopped, stop));
        let file = first.artifact(stopped.checkpoint.map(|c| c.sha256));

        let second = Stack::start().await;
        let resume_from = Some(second.ledger.put_artifact(&file));
        let resumed = second.play(&NewRun { resume_from, ..small_run() }).await;
        assert_same(&second, &resumed, &expected);
        assert_eq!(second.ledger.first_sequence(resumed.digest), stopped.progress.decisions);
        let episodes = second.client().episode_metrics(resumed.id, &MetricsQuery::default()).await.unwrap();
        assert_eq!(episodes.items.len(), 4, "earlier episodes come from the checkpoint");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_is_gone_on_with_on_its_own_stack() {
    let expected = undisturbed(&small_run()).await;
    let stack = Stack::start().await;
    let stopped = stack.play(&NewRun { stop_after: Some(2), ..small_run() }).await;
    let resume_from = stopped.checkpoint.map(|c| c.sha256);
    let resumed = stack.play(&NewRun { resume_from, ..small_run() }).await;
    assert_same(&stack, &resumed, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_only_from_its_own_checkpoint() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let resume_from = run.checkpoint.map(|c| c.sha256);
    let create = async |run: NewRun| stack.client().create_run(&run, None).await.unwrap_err();
    let algorithm = Some(AlgorithmSpec::new("q-learning", json!({"epsilon": 0.2})));
    let other = create(NewRun { resume_from, seed: 8, algorithm, ..small_run() }).await;
    assert_eq!((other.status(), other.code()), (Some(409), Some("checkpoint_of_another_run")));
    assert!(other.to_string().contains("epsilon, seed"), "{other}");
    let complete = create(NewRun { resume_from, ..small_run() }).await;
    assert_eq!((complete.status(), complete.code()), (Some(409), Some("run_already_complete")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_forgets_in_the_middle_changes_nothing() {
    let expected = undisturbed(&small_run()).await;
    for restart in [Restart::Empty, Restart::LastCheckpoint, Restart::Deleted] {
        // before the first checkpoint (window 10), right after it, between, and at the end
        for window in [0, 3, 10, 11, 19] {
            let stack = Stack::start().await;
            stack.field.restart_at(window, restart);
            let run = stack.play(&small_run()).await;
            assert_same(&stack, &run, &expected);
            assert_eq!(stack.field.swarm_names(), [run.id.to_string()], "{restart:?} at {window}");
            assert_eq!(stack.field.next_window(&run.id.to_string()), Some(20));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_a_field_that_is_away_and_says_so() {
    let expected = undisturbed(&small_run()).await;
    let stack = Stack::start().await;
    stack.field.faults().set(Fault::Refuse);
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    stack.until(run.id, "waits", |run| run.progress.waiting_for.as_deref() == Some("psi-field")).await;
    stack.field.faults().clear();
    let run = stack.ended(run.id).await;
    assert_same(&stack, &run, &expected);
    assert_eq!(run.progress.waiting_for, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_best_effort_run_goes_on_without_its_field_and_says_that_it_cannot_be_repeated() {
    let run = NewRun { psi_field: PsiFieldMode::BestEffort, ..small_run() };
    let stack = Stack::start().await;
    let whole = stack.play(&run).await;
    assert_eq!((whole.status, whole.reproducible), (RunStatus::Completed, true), "{:?}", whole.error);

    let stack = Stack::start().await;
    stack.field.faults().set(Fault::Refuse);
    let alone = stack.play(&run).await;
    assert_eq!((alone.status, alone.reproducible), (RunStatus::Completed, false), "{:?}", alone.error);
    assert_eq!(
        stack.ledger.record(&format!("{}:completed", alone.id)).unwrap().body["reproducible"],
        json!(false)
    );
    assert_eq!(stack.client().interventions(alone.id, &PageQuery::default()).await.unwrap().items, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_comes_back_to_a_best_effort_run_is_told_what_it_missed() {
    let stack = Stack::start().await;
    stack.field.faults().set(slow(10));
    let run = NewRun { psi_field: PsiFieldMode::BestEffort, episodes: 10, ..small_run() };
    let run = stack.client().create_run(&run, None).await.unwrap();
    let id = run.id.to_string();
    stack.has_windows(run.id, 4).await;
    stack.field.faults().set(Fault::Refuse);
    stack.until(run.id, "goes on alone", |run| !run.reproducible).await;
    stack.field.faults().clear();
    let run = stack.completed(run.id).await;
    assert!(!run.reproducible);
    assert_eq!(stack.field.posted(), (0..50).map(|window| (id.clone(), window)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembrancer_that_is_away_for_a_while_loses_nothing() {
    let expected = undisturbed(&small_run()).await;
    // in the middle of decisions, artifacts and records, wherever the call happens to be
    for calls in [0, 1, 3, 6, 8] {
        let stack = Stack::start().await;
        stack.field.faults().set(Fault::Hang);
        let run = stack.client().create_run(&small_run(), None).await.unwrap();
        stack.ledger.faults().set_after(calls, Fault::Refuse);
        stack.field.faults().clear();
        let waits = |run: &Run| run.progress.waiting_for.as_deref() == Some("remembrancer");
        stack.until(run.id, "waits", waits).await;
        assert!(stack.ledger.faults().failed() > 0);
        stack.ledger.faults().clear();
        let run = stack.ended(run.id).await;
        assert_same(&stack, &run, &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_that_is_killed_goes_on_from_its_last_checkpoint_to_the_same_root() {
    // before the first checkpoint, after it, and late
    for (windows, interventions) in [
        (4, Interventions::Obeyed),
        (13, Interventions::Tried),
        (13, Interventions::Obeyed),
        (32, Interventions::Tried),
    ] {
        let run = NewRun { episodes: 8, interventions: Some(interventions), ..small_run() };
        let expected = undisturbed(&run).await;
        let mut stack = Stack::start().await;
        stack.field.faults().set(slow(4));
        let created = stack.client().create_run(&run, Some("the-key")).await.unwrap();
        let id = created.id.to_string();
        stack.has_windows(created.id, windows).await;
        stack.kill_trainer().await;
        let left_behind = stack.ledger.records().len();
        assert!(stack.ledger.record(&format!("{id}:completed")).is_none());
        stack.field.faults().clear();

        stack.start_trainer().await;
        stack.ready().await;
        let again = stack.client().create_run(&run, Some("the-key")).await.unwrap();
        assert_eq!(again.id, created.id, "the key is remembered");
        assert_eq!(again.created_at, created.created_at);
        let ended = stack.ended(created.id).await;
        assert_same(&stack, &ended, &expected);
        assert!(stack.ledger.records().len() > left_behind);
        assert_eq!(stack.field.swarm_names(), std::slice::from_ref(&id));
        assert_eq!(stack.field.posted().len(), 40, "no window counted twice");
        let episodes = stack.client().episode_metrics(created.id, &MetricsQuery::default()).await.unwrap();
        assert_eq!(episodes.items.len(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_and_a_field_that_are_killed_together_go_on_together() {
    let run = NewRun { episodes: 8, ..small_run() };
    let expected = undisturbed(&run).await;
    for restart in [Restart::Empty, Restart::LastCheckpoint] {
        let mut stack = Stack::start().await;
        stack.field.faults().set(slow(4));
        let created = stack.client().create_run(&run, None).await.unwrap();
        stack.has_windows(created.id, 23).await;
        stack.kill_trainer().await;
        stack.field.restart(restart);
        stack.start_trainer().await;
        stack.ready().await;
        let ended = stack.ended(created.id).await;
        assert_same(&stack, &ended, &expected);
    }
}

/// The field made its checkpoint and dropped the answers before it; the trainer's own was never named.
#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_that_is_killed_within_a_checkpoint_goes_on_as_another_swarm() {
    let run = NewRun { episodes: 8, ..small_run() };
    let expected = undisturbed(&run).await;
    for windows in [4, 13] {
        let mut stack = Stack::start().await;
        stack.field.faults().set(slow(4));
        let created = stack.client().create_run(&run, None).await.unwrap();
        let id = created.id.to_string();
        stack.has_windows(created.id, windows).await;
        stack.kill_trainer().await;
        stack.field.drop_answers(&id);
        stack.start_trainer().await;
        stack.ready().await;
        let ended = stack.ended(created.id).await;
        assert_same(&stack, &ended, &expected);
        assert_eq!(stack.field.next_window(&format!("{id}-1")), Some(40));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_runs_are_there_again_after_a_restart_with_their_figures() {
    let mut stack = Stack::start().await;
    let before = stack.play(&small_run()).await;
    let client = stack.client();
    let csv = client.metrics_csv(before.id, &MetricsQuery::default()).await.unwrap();
    let windows = MetricsQuery { resolution: Resolution::Window, ..MetricsQuery::default() };
    let csv_of_windows = client.metrics_csv(before.id, &windows).await.unwrap();
    assert_eq!(csv_of_windows.lines().count(), 1 + 20);
    let interventions = client.interventions(before.id, &PageQuery::default()).await.unwrap();
    let agents = client.agents(before.id, &PageQuery::default()).await.unwrap();
    assert!(!interventions.items.is_empty());
    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    let client = stack.client();
    let after = stack.run(before.id).await;
    assert_eq!(after.status, RunStatus::Completed);
    assert_eq!(
        (after.run_root, after.policy_sha256, after.checkpoint, after.record_id, after.config),
        (before.run_root, before.policy_sha256, before.checkpoint, before.record_id, before.config)
    );
    assert_eq!(after.progress.decisions_recorded, before.progress.decisions_recorded);
    assert!(after.ended_at.is_some());
    assert_eq!(client.metrics_csv(before.id, &MetricsQuery::default()).await.unwrap(), csv);
    assert_eq!(client.metrics_csv(before.id, &windows).await.unwrap(), csv_of_windows);
    let later = MetricsQuery { from: Some(13), limit: Some(3), ..windows };
    let page = client.window_metrics(before.id, &later).await.unwrap();
    assert_eq!(page.items.iter().map(|row| row.window).collect::<Vec<_>>(), [13, 14, 15]);
    assert_eq!(page.next_cursor.as_deref(), Some("16"));
    assert_eq!(client.interventions(before.id, &PageQuery::default()).await.unwrap(), interventions);
    assert_eq!(client.agents(before.id, &PageQuery::default()).await.unwrap(), agents);
    assert_eq!(client.checkpoints(before.id, &PageQuery::default()).await.unwrap().items.len(), 2);
    assert_eq!(client.runs(&RunQuery::default()).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_is_not_ready_and_knows_no_run_until_the_ledger_has_answered() {
    let mut stack = Stack::without_trainer().await;
    stack.ledger.faults().set(Fault::Refuse);
    stack.start_trainer().await;
    eventually("it says what it waits for", async || {
        let error = stack.client().ready().await.unwrap_err();
        if error.to_string().contains("cannot be read from the remembrancer") { Ok(()) } else { Err(error) }
    })
    .await;
    let refused = stack.client().runs(&RunQuery::default()).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(503), Some("recovering")));
    stack.ledger.faults().clear();
    stack.ready().await;
    assert_eq!(stack.client().runs(&RunQuery::default()).await.unwrap().items, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_record_that_is_refused_is_told_as_a_failure() {
    let stack = Stack::start().await;
    stack.ledger.refuse_records(":completed");
    let run = stack.play(&small_run()).await;
    assert_eq!(run.status, RunStatus::Failed);
    assert!(run.error.unwrap().contains("completed"), "the refused record is named");
    assert!(stack.ledger.record(&format!("{}:failed", run.id)).is_some());
}
