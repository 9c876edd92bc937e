//! Following a run over HTTP.

use std::time::Duration;

use api::trainer::{NewRun, RunEvent, RunStatus};
use client::{PageQuery, RunEvents};

use crate::support::{Stack, slow, small_run};

/// Everything until the trainer closes the stream.
async fn all(mut events: RunEvents) -> Vec<RunEvent> {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        seen.push(event);
    }
    seen
}

fn windows(events: &[RunEvent]) -> Vec<u64> {
    let window = |event: &RunEvent| match event {
        RunEvent::Window(window) => Some(window.window),
        _ => None,
    };
    events.iter().filter_map(window).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_from_its_first_window_to_its_end() {
    let stack = Stack::start().await;
    stack.field.faults().set(slow(10));
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    let events = all(stack.client().events(run.id, None).await.unwrap()).await;
    assert_eq!(windows(&events), (0..20).collect::<Vec<_>>());
    assert!(events.iter().filter(|event| matches!(event, RunEvent::Progress(_))).count() >= 2);
    let Some(RunEvent::End(ended)) = events.last() else { panic!("{:?}", events.last()) };
    assert_eq!(
        (ended.status, ended.record_id.clone()),
        (RunStatus::Completed, Some(format!("{}:completed", run.id)))
    );

    let applied = stack.client().interventions(run.id, &PageQuery::default()).await.unwrap().items;
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::Intervention(intervention) => Some((**intervention).clone()),
            _ => None,
        })
        .collect();
    assert!(!told.is_empty());
    assert_eq!(told, applied);

    // Whoever comes later, and whoever comes again, gets the rest.
    let again = all(stack.client().events(run.id, Some(16)).await.unwrap()).await;
    assert_eq!(windows(&again), [17, 18, 19]);
    let text = test_support::get(format!("{}/v1/runs/{}/events", stack.url(), run.id)).await.unwrap();
    assert_eq!(text.headers()["content-type"], "text/event-stream");
    let text = text.text().await.unwrap();
    assert!(text.contains("\nid: 19\n") && text.trim_end().ends_with("id: end"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_end_need_not_ask_again_and_an_id_that_is_none_is_refused() {
    let stack = Stack::start().await;
    let run = stack.play(&small_run()).await;
    let ask = async |id: &str| {
        let url = format!("{}/v1/runs/{}/events", stack.url(), run.id);
        test_support::http_client().get(url).header("last-event-id", id).send().await.unwrap()
    };
    assert_eq!(ask("end").await.status(), 204);
    let refused = ask("tomorrow").await;
    assert_eq!(refused.status(), 422);
    assert_eq!(refused.json::<api::Problem>().await.unwrap().code, "invalid_request");
    let unknown = stack.client().events(uuid::Uuid::nil(), None).await.unwrap_err();
    assert_eq!(unknown.code(), Some("run_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_holds_nothing_up() {
    let stack = Stack::start().await;
    let run = NewRun { steps_per_episode: 120, episodes: 4, ..small_run() };
    let run = stack.client().create_run(&run, None).await.unwrap();
    let asleep = stack.client().events(run.id, None).await.unwrap();
    stack.completed(run.id).await;
    let events = all(asleep).await;
    assert_eq!(windows(&events), (0..480).collect::<Vec<_>>());
    assert!(matches!(events.last(), Some(RunEvent::End(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_closes_with_the_trainer_and_goes_on_with_the_next_one_without_a_gap() {
    let mut stack = Stack::start().await;
    stack.field.faults().set(slow(20));
    let run = stack.client().create_run(&small_run(), None).await.unwrap();
    let mut events = stack.client().events(run.id, None).await.unwrap();
    stack.until(run.id, "has a checkpoint", |run| run.checkpoint.is_some()).await;
    stack.kill_trainer().await;
    let mut seen = Vec::new();
    // It closes by itself, long before anything would be cut off; a cut would be an error here.
    let rest = async {
        while let Some(event) = events.next().await.unwrap() {
            seen.push(event);
        }
    };
    tokio::time::timeout(Duration::from_secs(5), rest).await.unwrap();
    assert!(!seen.iter().any(|event| matches!(event, RunEvent::End(_))));

    stack.start_trainer().await;
    stack.ready().await;
    let last = windows(&seen).last().copied();
    seen.extend(all(stack.client().events(run.id, last).await.unwrap()).await);
    assert_eq!(windows(&seen), (0..20).collect::<Vec<_>>());
}
