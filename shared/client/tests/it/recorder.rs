//! The durable decision recorder against a stub remembrancer that fails in every way it may.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    Hash,
    remembrancer::{Action, BatchReceipts, Decision, DecisionBatch, Receipt},
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use client::{Endpoint, RecordError, Recorder, RecorderOptions, Remembrancer};
use tokio::net::TcpListener;
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
        latency_ms: None,
        cost_usd: None,
        reward: -0.1,
        explored: false,
        propensity: 1.0,
        value: None,
        policy_version: 0,
        deferred: false,
        wait_ms: 0.0,
    }
}

fn decisions(range: std::ops::Range<u64>) -> Vec<Decision> {
    range.map(decision).collect()
}

/// What the next call gets.
#[derive(Clone, Copy)]
enum Mood {
    Fine,
    /// 503, nothing recorded.
    Away,
    /// Records, and then answers 504: the answer is lost.
    LosesAnswer,
    /// 409.
    Conflict,
    /// Receipts for all but the last.
    ShortReceipts,
}

#[derive(Default)]
struct Stub {
    moods: Mutex<Vec<Mood>>,
    /// What was recorded, in order.
    log: Mutex<Vec<Decision>>,
    /// Sizes of the batches, and their frontiers.
    batches: Mutex<Vec<(usize, Option<Vec<Hash>>)>>,
    stalled: AtomicBool,
    at_once: AtomicBool,
    two_at_once: AtomicBool,
}

impl Stub {
    async fn start(self: &Arc<Self>) -> Remembrancer {
        let app = Router::new()
            .route("/v1/decisions", post(record))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Remembrancer::new(Endpoint::new(format!("http://{address}"))).unwrap()
    }

    fn with_moods(moods: &[Mood]) -> Arc<Self> {
        let stub = Self::default();
        stub.moods.lock().unwrap().extend(moods.iter().rev());
        Arc::new(stub)
    }

    fn sequences(&self) -> Vec<u64> {
        self.log.lock().unwrap().iter().map(|decision| decision.sequence).collect()
    }

    fn append(&self, decisions: &[Decision]) {
        let mut log = self.log.lock().unwrap();
        let known = log.last().map(|last| last.sequence);
        log.extend(decisions.iter().filter(|new| known.is_none_or(|known| new.sequence > known)).cloned());
    }
}

async fn record(State(stub): State<Arc<Stub>>, Json(batch): Json<DecisionBatch>) -> Response {
    if stub.at_once.swap(true, Ordering::SeqCst) {
        stub.two_at_once.store(true, Ordering::SeqCst);
    }
    while stub.stalled.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stub.at_once.store(false, Ordering::SeqCst);
    let refuse = |status: StatusCode, code: &str| {
        let problem = api::Problem { status: status.as_u16(), code: code.into(), ..api::Problem::default() };
        (status, Json(problem)).into_response()
    };
    let mut count = batch.decisions.len() as u64;
    match stub.moods.lock().unwrap().pop().unwrap_or(Mood::Fine) {
        Mood::Away => return refuse(StatusCode::SERVICE_UNAVAILABLE, "database_away"),
        Mood::Conflict => return refuse(StatusCode::CONFLICT, "decision_conflict"),
        Mood::LosesAnswer => {
            stub.append(&batch.decisions);
            return refuse(StatusCode::GATEWAY_TIMEOUT, "timeout");
        }
        Mood::ShortReceipts => count -= 1,
        Mood::Fine => {}
    }
    stub.append(&batch.decisions);
    stub.batches.lock().unwrap().push((batch.decisions.len(), batch.frontier));
    let receipt = Receipt {
        run: RUN,
        first_sequence: batch.decisions[0].sequence,
        count,
        first_log_index: 0,
        tree_size: 0,
        root_hash: RUN,
    };
    Json(BatchReceipts { recorded: count, receipts: vec![receipt] }).into_response()
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
    let stub = Stub::with_moods(&[
        Mood::Away,
        Mood::Fine,
        Mood::LosesAnswer,
        Mood::Away,
        Mood::Away,
        Mood::LosesAnswer,
    ]);
    let recorder = Recorder::start(stub.start().await, small());
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
    assert_eq!(stub.sequences(), (0..200).collect::<Vec<u64>>());
    let sent = stub.log.lock().unwrap().clone();
    assert_eq!(sent, decisions(0..200), "and byte for byte what was given");
    assert!(!stub.two_at_once.load(Ordering::SeqCst), "one batch at a time, or their order is chance");
    assert!(stub.batches.lock().unwrap().iter().all(|(size, _)| *size <= 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_pieces_travel_together_and_a_lone_one_does_not_wait() {
    let stub = Stub::with_moods(&[]);
    let recorder = Recorder::start(stub.start().await, small());
    let recorder = on_a_thread(move || {
        recorder.record(decisions(0..1)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while recorder.recorded() < 1 {
            assert!(Instant::now() < deadline, "one decision alone is never sent");
            std::thread::sleep(Duration::from_millis(5));
        }
        recorder
    })
    .await;
    stub.stalled.store(true, Ordering::SeqCst);
    let resume = stub.clone();
    on_a_thread(move || {
        for sequence in 1..21 {
            recorder.record(decisions(sequence..sequence + 1)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
        resume.stalled.store(false, Ordering::SeqCst);
        recorder.flush().unwrap();
    })
    .await;
    let sizes: Vec<usize> = stub.batches.lock().unwrap().iter().map(|(size, _)| *size).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 21);
    assert!(sizes.contains(&10), "those that came during the stall were put together: {sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_blocks_the_caller_and_drops_nothing() {
    let stub = Stub::with_moods(&[]);
    stub.stalled.store(true, Ordering::SeqCst);
    let recorder = Arc::new(Recorder::start(stub.start().await, small()));
    let given = Arc::new(Mutex::new(0u64));
    let (worker, progress) = (recorder.clone(), given.clone());
    let computing = tokio::task::spawn_blocking(move || {
        for start in (0..100).step_by(5) {
            worker.record(decisions(start..start + 5)).unwrap();
            *progress.lock().unwrap() = start + 5;
        }
        worker.flush().unwrap();
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = *given.lock().unwrap();
    // A queue of 20 and a pipeline of two batches of at most 10.
    assert!((20..=40).contains(&held), "{held} were taken while nothing could be posted");
    assert_eq!(recorder.recorded(), 0);
    stub.stalled.store(false, Ordering::SeqCst);
    computing.await.unwrap();
    assert_eq!(stub.sequences(), (0..100).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_remembrancer_is_away_the_recorder_says_so() {
    let stub = Stub::with_moods(&[Mood::Away; 4]);
    let recorder = Arc::new(Recorder::start(stub.start().await, small()));
    let worker = recorder.clone();
    on_a_thread(move || worker.record(decisions(0..3)).unwrap()).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !recorder.waiting() {
        assert!(Instant::now() < deadline, "it never says that it waits");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let worker = recorder.clone();
    on_a_thread(move || worker.flush().unwrap()).await;
    assert!(!recorder.waiting());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_kept_and_told_to_every_later_call() {
    let stub = Stub::with_moods(&[Mood::Fine, Mood::Conflict]);
    let recorder = Recorder::start(stub.start().await, small());
    on_a_thread(move || {
        recorder.record(decisions(0..5)).unwrap();
        recorder.flush().unwrap();
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
    assert_eq!(stub.sequences(), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_do_not_cover_the_batch_are_no_success() {
    let stub = Stub::with_moods(&[Mood::ShortReceipts]);
    let recorder = Recorder::start(stub.start().await, small());
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
    let stub = Stub::with_moods(&[Mood::Away]);
    let frontier = vec![Hash([1; 32]), Hash([2; 32])];
    let options = RecorderOptions { opening_frontier: Some((3000, frontier.clone())), ..small() };
    let recorder = Recorder::start(stub.start().await, options);
    on_a_thread(move || {
        recorder.record(decisions(3000..3025)).unwrap();
        recorder.flush().unwrap();
    })
    .await;
    let batches = stub.batches.lock().unwrap().clone();
    assert_eq!(batches[0].1.as_ref(), Some(&frontier));
    assert!(batches[1..].iter().all(|(_, frontier)| frontier.is_none()));
    assert!(batches.len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_out_of_order_are_refused_before_they_are_taken() {
    let stub = Stub::with_moods(&[]);
    let recorder = Recorder::start(stub.start().await, small());
    on_a_thread(move || {
        recorder.record(decisions(4..6)).unwrap();
        let error = recorder.record(decisions(7..8)).unwrap_err();
        assert!(matches!(error, RecordError::OutOfOrder { expected: 6, got: 7, .. }), "{error}");
        let other = Decision { run: Hash([8; 32]), ..decision(6) };
        assert!(matches!(recorder.record(vec![other]), Err(RecordError::OutOfOrder { .. })));
        recorder.record(decisions(6..7)).unwrap();
        recorder.flush().unwrap();
    })
    .await;
    assert_eq!(stub.sequences(), [4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_frees_whoever_waits() {
    let stub = Stub::with_moods(&[]);
    stub.stalled.store(true, Ordering::SeqCst);
    let cancel = CancellationToken::new();
    let options = RecorderOptions { cancel: cancel.clone(), ..small() };
    let recorder = Recorder::start(stub.start().await, options);
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
    let stub = Stub::with_moods(&[]);
    stub.stalled.store(true, Ordering::SeqCst);
    let recorder = runtime.block_on(async { Recorder::start(stub.start().await, small()) });
    recorder.record(decisions(0..5)).unwrap();
    runtime.shutdown_background();
    assert!(matches!(recorder.flush(), Err(RecordError::Cancelled)));
}
