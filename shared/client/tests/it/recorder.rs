//! The durable decision recorder against a remembrancer that fails in every way it may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{
    Hash,
    remembrancer::{Action, BatchReceipts, Decision, DecisionBatch, Receipt},
};
use axum::{Json, Router, routing::post};
use client::{Endpoint, RecordError, Recorder, RecorderOptions, Remembrancer};
use test_support::{FakeRemembrancer, Fault, eventually, eventually_blocking, serve};
use tokio_util::sync::CancellationToken;

const RUN: Hash = Hash([7; 32]);

fn decision(sequence: u64) -> Decision {
    Decision {
        run: RUN,
        sequence,
        episode: 0,
        step: 0,
        agent: 0,
        tenant: "t".into(),
        workload: "w".into(),
        gpu_type: "g".into(),
        gpu_hours: 1.5,
        action: Action::Drop,
        reason: "no_viable_provider".into(),
        provider: None,
        price_usd_per_hour: None,
        price_assumed: false,
        latency_ms: None,
        cost_usd: None,
        reward: -0.1,
        explored: false,
        propensity: 1.0,
        value: None,
        policy_version: 0,
        deferred: false,
        wait_ms: 0.0,
        arm: 0,
    }
}

fn decisions(range: std::ops::Range<u64>) -> Vec<Decision> {
    range.map(decision).collect()
}

/// A recorder that posts to this ledger.
fn recorder(ledger: &FakeRemembrancer, options: RecorderOptions) -> Recorder {
    Recorder::start(Remembrancer::new(Endpoint::new(ledger.url())).unwrap(), options)
}

/// The sequences that a ledger has of the run.
fn sequences(ledger: &FakeRemembrancer) -> Vec<u64> {
    ledger.decisions(RUN).iter().map(|decision| decision.sequence).collect()
}

fn small() -> RecorderOptions {
    RecorderOptions { batch: 10, queue_batches: 2, ..RecorderOptions::default() }
}

/// Runs `work` as the trainer does: on a thread outside of the runtime.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_once_and_in_order_through_outages_and_lost_answers() {
    let ledger = FakeRemembrancer::start().await;
    ledger.faults().next([
        Some(Fault::Refuse),
        None,
        Some(Fault::LoseAnswer),
        Some(Fault::Refuse),
        Some(Fault::Cut),
        Some(Fault::LoseAnswer),
    ]);
    let recorder = recorder(&ledger, small());
    let recorded = on_a_thread(move || {
        for start in (0..200).step_by(7) {
            recorder.record(decisions(start..(start + 7).min(200))).unwrap();
        }
        recorder.flush().unwrap();
        assert!(!recorder.waiting());
        recorder.recorded()
    })
    .await;
    assert_eq!(recorded, 200);
    assert_eq!(sequences(&ledger), (0..200).collect::<Vec<u64>>());
    assert_eq!(ledger.decisions(RUN), decisions(0..200), "and byte for byte what was given");
    assert_eq!(ledger.faults().most_at_once(), 1, "one batch at a time, or their order is chance");
    assert!(ledger.batches().iter().all(|(size, _)| *size <= 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_pieces_travel_together_and_a_lone_one_does_not_wait() {
    let ledger = FakeRemembrancer::start().await;
    let recorder = recorder(&ledger, small());
    let recorder = on_a_thread(move || {
        recorder.record(decisions(0..1)).unwrap();
        eventually_blocking("one decision alone is sent", || {
            (recorder.recorded() == 1).then_some(()).ok_or(0)
        });
        recorder
    })
    .await;
    ledger.faults().set(Fault::Hang);
    let recorder = on_a_thread(move || {
        for sequence in 1..21 {
            recorder.record(decisions(sequence..sequence + 1)).unwrap();
        }
        recorder
    })
    .await;
    eventually("the first of them is on its way", async || {
        let calls = ledger.faults().calls();
        if calls == 2 { Ok(()) } else { Err(calls) }
    })
    .await;
    ledger.faults().clear();
    on_a_thread(move || recorder.flush().unwrap()).await;
    let sizes: Vec<usize> = ledger.batches().iter().map(|(size, _)| *size).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 21);
    assert!(sizes.contains(&10), "those that came during the stall were put together: {sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_blocks_the_caller_and_drops_nothing() {
    let ledger = FakeRemembrancer::start().await;
    ledger.faults().set(Fault::Hang);
    let recorder = Arc::new(recorder(&ledger, small()));
    let given = Arc::new(AtomicU64::new(0));
    let (worker, progress) = (recorder.clone(), given.clone());
    let computing = tokio::task::spawn_blocking(move || {
        for start in (0..100).step_by(5) {
            worker.record(decisions(start..start + 5)).unwrap();
            progress.store(start + 5, Ordering::SeqCst);
        }
        worker.flush().unwrap();
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = given.load(Ordering::SeqCst);
    // A queue of 20 and a pipeline of two batches of at most 10.
    assert!((20..=40).contains(&held), "{held} were taken while nothing could be posted");
    assert_eq!(recorder.recorded(), 0);
    ledger.faults().clear();
    computing.await.unwrap();
    assert_eq!(sequences(&ledger), (0..100).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_remembrancer_is_away_the_recorder_says_so() {
    let ledger = FakeRemembrancer::start().await;
    ledger.faults().set(Fault::Refuse);
    let recorder = Arc::new(recorder(&ledger, small()));
    let worker = recorder.clone();
    on_a_thread(move || worker.record(decisions(0..3)).unwrap()).await;
    eventually("it says that it waits", async || recorder.waiting().then_some(()).ok_or(())).await;
    ledger.faults().clear();
    let worker = recorder.clone();
    on_a_thread(move || worker.flush().unwrap()).await;
    assert!(!recorder.waiting());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_kept_and_told_to_every_later_call() {
    let ledger = FakeRemembrancer::start().await;
    let recorder = recorder(&ledger, small());
    let recorder = on_a_thread(move || {
        recorder.record(decisions(0..5)).unwrap();
        recorder.flush().unwrap();
        recorder
    })
    .await;
    ledger.plant(Decision { reason: "from elsewhere".into(), ..decision(5) });
    on_a_thread(move || {
        recorder.record(decisions(5..10)).unwrap();
        for _ in 0..2 {
            let error = recorder.flush().unwrap_err();
            let RecordError::Refused { first_sequence: 5, error } = &error else { panic!("{error}") };
            assert_eq!(error.code(), Some("decision_conflict"));
        }
        assert!(matches!(recorder.record(decisions(10..11)), Err(RecordError::Refused { .. })));
        assert_eq!(recorder.recorded(), 5);
    })
    .await;
    assert_eq!(sequences(&ledger), [0, 1, 2, 3, 4, 5], "five of its own, and the one from elsewhere");
}

/// No remembrancer answers so.
async fn covers_all_but_the_last(Json(batch): Json<DecisionBatch>) -> Json<BatchReceipts> {
    let count = batch.decisions.len() as u64 - 1;
    let receipt = Receipt {
        run: RUN,
        first_sequence: batch.decisions[0].sequence,
        count,
        first_log_index: 0,
        tree_size: count,
        root_hash: RUN,
    };
    Json(BatchReceipts { recorded: count, receipts: vec![receipt] })
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_do_not_cover_the_batch_are_no_success() {
    let routes = Router::new().route("/v1/decisions", post(covers_all_but_the_last));
    let ledger = Remembrancer::new(Endpoint::new(format!("http://{}", serve(routes).await))).unwrap();
    let recorder = Recorder::start(ledger, small());
    on_a_thread(move || {
        recorder.record(decisions(0..5)).unwrap();
        let error = recorder.flush().unwrap_err();
        assert!(
            matches!(error, RecordError::NotCovered { first_sequence: 0, last_sequence: 4, .. }),
            "{error}"
        );
        assert_eq!(recorder.recorded(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_batch_that_opens_the_run_here_carries_the_frontier() {
    let ledger = FakeRemembrancer::start().await;
    ledger.faults().next([Some(Fault::Refuse)]);
    // one root for each of the complete subtrees over 3,000 leaves
    let frontier: Vec<Hash> = (1..=3000_u32.count_ones() as u8).map(|byte| Hash([byte; 32])).collect();
    let options = RecorderOptions { opening_frontier: Some((3000, frontier.clone())), ..small() };
    let recorder = recorder(&ledger, options);
    on_a_thread(move || {
        recorder.record(decisions(3000..3025)).unwrap();
        recorder.flush().unwrap();
    })
    .await;
    let batches = ledger.batches();
    assert_eq!(batches[0].1.as_ref(), Some(&frontier));
    assert!(batches[1..].iter().all(|(_, frontier)| frontier.is_none()));
    assert!(batches.len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_out_of_order_are_refused_before_they_are_taken() {
    let ledger = FakeRemembrancer::start().await;
    let recorder = recorder(&ledger, small());
    on_a_thread(move || {
        recorder.record(decisions(0..2)).unwrap();
        let error = recorder.record(decisions(3..4)).unwrap_err();
        assert!(matches!(error, RecordError::OutOfOrder { expected: 2, got: 3, .. }), "{error}");
        let other = Decision { run: Hash([8; 32]), ..decision(2) };
        assert!(matches!(recorder.record(vec![other]), Err(RecordError::OutOfOrder { .. })));
        recorder.record(decisions(2..3)).unwrap();
        recorder.flush().unwrap();
    })
    .await;
    assert_eq!(sequences(&ledger), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_frees_whoever_waits() {
    let ledger = FakeRemembrancer::start().await;
    ledger.faults().set(Fault::Hang);
    let cancel = CancellationToken::new();
    let options = RecorderOptions { cancel: cancel.clone(), ..small() };
    let recorder = recorder(&ledger, options);
    let computing = tokio::task::spawn_blocking(move || {
        for start in (0..1000).step_by(10) {
            recorder.record(decisions(start..start + 10))?;
        }
        recorder.flush()
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!computing.is_finished());
    cancel.cancel();
    assert!(matches!(computing.await.unwrap(), Err(RecordError::Cancelled)));
}

#[test]
fn the_end_of_the_runtime_frees_whoever_waits() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let recorder = runtime.block_on(async {
        let ledger = FakeRemembrancer::start().await;
        ledger.faults().set(Fault::Hang);
        recorder(&ledger, small())
    });
    recorder.record(decisions(0..5)).unwrap();
    runtime.shutdown_background();
    assert!(matches!(recorder.flush(), Err(RecordError::Cancelled)));
}
