//! A ledger of an earlier version, where kinds had other names.

use api::{
    policies::NewPolicy,
    trainer::{MetricsQuery, Resolution, RunStatus},
};

use crate::support::{Stack, slow, small_run};

/// What stands in the ledger, as a version that had six kinds wrote it.
fn call_kinds_as_before(stack: &Stack) {
    stack.ledger.tamper_records(|records| {
        for record in records {
            let former = records::kinds()
                .find(|kind| kind.name == record.kind.as_str())
                .and_then(|kind| kind.formerly)
                .unwrap_or_else(|| panic!("{} has no former name", record.kind));
            record.kind = former.parse().unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_an_earlier_version_began_is_completed_with_the_root_of_an_undisturbed_one() {
    let undisturbed = Stack::start().await.play(&small_run()).await;
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(10));
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    stack.until(run.id, "a checkpoint", |run| run.checkpoint.is_some()).await;
    stack.kill_trainer().await;
    stack.field.faults().clear();
    call_kinds_as_before(&stack);
    stack.start_trainer().await;
    stack.ready().await;
    let run = stack.ended(run.id).await;
    assert_eq!((run.status, run.run_root), (RunStatus::Completed, undisturbed.run_root), "{:?}", run.error);
    assert_eq!(stack.ledger.records_of("run.ended").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_an_earlier_version_imported_answers_under_the_keys_of_then() {
    let mut stack = Stack::start().await;
    let new = NewPolicy { rule: Some("cheapest".into()), ..NewPolicy::default() };
    let policy = stack.client().import_policy(&new).await.unwrap();
    let request = crate::policies::asking(2);
    let answer = stack.client().decide(policy.id, &request, Some("k")).await.unwrap();
    stack.kill_trainer().await;
    call_kinds_as_before(&stack);
    stack.start_trainer().await;
    stack.ready().await;
    assert_eq!(stack.client().import_policy(&new).await.unwrap().digest, policy.digest);
    assert_eq!(stack.client().decide(policy.id, &request, Some("k")).await.unwrap(), answer);
    stack.client().decide(policy.id, &request, None).await.unwrap();
    let sessions: Vec<_> = stack
        .ledger
        .records()
        .into_iter()
        .map(|record| record.id)
        .filter(|id| id.contains(":serving:"))
        .collect();
    assert_eq!(sessions, [format!("{}:serving:0", policy.id), format!("{}:serving:1", policy.id)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_that_an_earlier_version_did_not_keep_are_told_to_be_missing() {
    let mut stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    stack.kill_trainer().await;
    stack.ledger.tamper_records(|records| {
        for record in records {
            record.body.remove("windows");
        }
    });
    stack.start_trainer().await;
    stack.ready().await;
    let windows = MetricsQuery { resolution: Resolution::Window, ..MetricsQuery::default() };
    let refused = stack.client().window_metrics(run.id, &windows).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(404), Some("windows_not_kept")));
    let refused = stack.client().metrics_csv(run.id, &windows).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(404), Some("windows_not_kept")));
    let episodes = stack.client().episode_metrics(run.id, &MetricsQuery::default()).await.unwrap();
    assert_eq!(episodes.items.len(), 4, "its figures by episode are in its checkpoint");
}
