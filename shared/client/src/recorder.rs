use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use api::{
    Hash,
    remembrancer::{BatchReceipts, Decision, DecisionBatch},
};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{ClientError, Remembrancer, retry_while_transient};

/// How a [`Recorder`] works.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// The most decisions in one call, 1 to 20,000.
    pub batch: usize,
    /// How many such batches may wait before [`Recorder::record`] blocks.
    pub queue_batches: usize,
    /// For a run that began on another log: the first sequence number that this log gets, and the
    /// Merkle frontier over the decisions before it.
    pub opening_frontier: Option<(u64, Vec<Hash>)>,
    /// Ends the recorder: whoever waits for it gets [`RecordError::Cancelled`].
    pub cancel: CancellationToken,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self { batch: 4000, queue_batches: 4, opening_frontier: None, cancel: CancellationToken::new() }
    }
}

/// Why decisions are not recorded. The recorder stays in this state.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The remembrancer refuses them for good, e.g. 409 when it has others under the same identity.
    #[error("the remembrancer refuses the decisions from {first_sequence} on: {error}")]
    Refused {
        /// The first of the refused batch.
        first_sequence: u64,
        /// Its answer.
        error: Arc<ClientError>,
    },
    /// The remembrancer's receipts do not cover what was posted: it must not be taken as recorded.
    #[error(
        "the remembrancer's receipts do not cover the decisions {first_sequence} to {last_sequence}: {detail}"
    )]
    NotCovered {
        /// The first of the batch.
        first_sequence: u64,
        /// The last of the batch.
        last_sequence: u64,
        /// What is missing.
        detail: String,
    },
    /// Decisions out of order, or of another run: a mistake of the caller.
    #[error("expected decision {expected} of run {run}, got {got} of run {got_run}")]
    OutOfOrder {
        /// The run that this recorder records.
        run: Hash,
        /// The sequence number that comes next.
        expected: u64,
        /// The run that was given.
        got_run: Hash,
        /// The sequence number that was given.
        got: u64,
    },
    /// A batch cannot be written as JSON.
    #[error("the decisions from {first_sequence} on cannot be written as JSON: {detail}")]
    NotJson {
        /// The first of the batch.
        first_sequence: u64,
        /// Why not.
        detail: String,
    },
    /// The recorder was cancelled.
    #[error("the recorder was cancelled before everything was recorded")]
    Cancelled,
}

/// Carries one run's decisions from a thread that computes them to the remembrancer: in order, each
/// once, none dropped.
///
/// While the remembrancer is away it keeps trying, and [`record`](Self::record) blocks once the queue
/// is full. One batch is posted at a time while the next is encoded as JSON. Decisions that are not
/// committed when the recorder is dropped are lost: call [`flush`](Self::flush) first.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    _cancel_when_dropped: DropGuard,
}

impl Recorder {
    /// Starts one. Must be called inside a Tokio runtime, which does the posting; the methods are for
    /// threads outside of it, since they block.
    ///
    /// # Panics
    /// Outside of a runtime, or when no thread can be started.
    #[must_use]
    pub fn start(remembrancer: Remembrancer, options: RecorderOptions) -> Self {
        let batch = options.batch.clamp(1, LARGEST_BATCH);
        let cancel = options.cancel.child_token();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            batch,
            capacity: batch * options.queue_batches.max(1),
        });
        let (encoded, to_post) = mpsc::channel(1);
        let encoder = shared.clone();
        let frontier = options.opening_frontier;
        std::thread::Builder::new()
            .name("recorder-encode".into())
            .spawn(move || encoder.encode_batches(&encoded, frontier))
            .expect("a thread can be started: without threads the computing side would not exist either");
        let ended = FailWhenDropped(shared.clone());
        tokio::spawn(post_batches(ended, remembrancer, to_post, cancel.clone()));
        Self { shared, _cancel_when_dropped: cancel.drop_guard() }
    }

    /// Takes consecutive decisions of one run, which follow those of the last call. Blocks while the queue is full.
    ///
    /// # Errors
    /// Why an earlier batch could not be recorded; these decisions are then not taken.
    pub fn record(&self, decisions: Vec<Decision>) -> Result<(), RecordError> {
        let Some(last) = decisions.last() else { return Ok(()) };
        let next = (last.run, last.sequence + 1);
        let mut state = self.shared.lock();
        state.check_order(&decisions)?;
        // A call that is larger than the whole queue is taken when the queue is empty.
        while state.failed.is_none()
            && !state.queue.is_empty()
            && state.queue.len() + decisions.len() > self.shared.capacity
        {
            state = self.shared.wait(state);
        }
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.accepted += decisions.len() as u64;
        state.next = Some(next);
        if state.queue.is_empty() {
            state.queue = decisions;
        } else {
            state.queue.extend(decisions);
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Blocks until every decision that was taken is committed.
    ///
    /// # Errors
    /// Why it is not.
    pub fn flush(&self) -> Result<(), RecordError> {
        let mut state = self.shared.lock();
        while state.failed.is_none() && state.recorded < state.accepted {
            state = self.shared.wait(state);
        }
        match &state.failed {
            Some(error) if state.recorded < state.accepted => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// How many of the decisions that were taken are committed.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.shared.lock().recorded
    }

    /// Whether the remembrancer is away and the recorder waits for it.
    #[must_use]
    pub fn waiting(&self) -> bool {
        self.shared.lock().waiting
    }
}

/// The remembrancer's limit.
const LARGEST_BATCH: usize = 20_000;

/// Batches between encoding and commit: one that is posted, one that is ready to be.
const PIPELINE: usize = 2;

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something in `state` changed.
    changed: Condvar,
    batch: usize,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Taken over, not yet encoded.
    queue: Vec<Decision>,
    /// Batches encoded, not yet committed.
    in_flight: usize,
    accepted: u64,
    recorded: u64,
    /// The run, and the sequence number that comes next.
    next: Option<(Hash, u64)>,
    waiting: bool,
    failed: Option<RecordError>,
}

/// A batch as JSON.
#[derive(Debug)]
struct Encoded {
    run: Hash,
    first_sequence: u64,
    count: u64,
    json: Bytes,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; were it to, the counters would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the first error and wakes everybody.
    fn fail(&self, error: RecordError) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        state.waiting = false;
        drop(state);
        self.changed.notify_all();
    }

    /// The encoding thread. It ends when the recorder has failed or was cancelled.
    fn encode_batches(&self, encoded: &mpsc::Sender<Encoded>, mut frontier: Option<(u64, Vec<Hash>)>) {
        while let Some(decisions) = self.next_batch() {
            let (run, first_sequence, count) =
                (decisions[0].run, decisions[0].sequence, decisions.len() as u64);
            // Only the batch that opens the run on this log carries it.
            let opening = frontier.take_if(|(first, _)| *first == first_sequence).map(|(_, hashes)| hashes);
            match serde_json::to_vec(&DecisionBatch { decisions, frontier: opening }) {
                Ok(json) => {
                    let batch = Encoded { run, first_sequence, count, json: json.into() };
                    if encoded.blocking_send(batch).is_err() {
                        return; // the posting side has ended, and said why
                    }
                }
                Err(error) => {
                    return self.fail(RecordError::NotJson { first_sequence, detail: error.to_string() });
                }
            }
        }
    }

    /// Waits for a full batch, or for any when nothing is being posted; `None` at the end.
    fn next_batch(&self) -> Option<Vec<Decision>> {
        let mut state = self.lock();
        loop {
            if state.failed.is_some() {
                return None;
            }
            let full = state.queue.len() >= self.batch && state.in_flight < PIPELINE;
            let idle = !state.queue.is_empty() && state.in_flight == 0;
            if full || idle {
                break;
            }
            state = self.wait(state);
        }
        let rest =
            if state.queue.len() > self.batch { state.queue.split_off(self.batch) } else { Vec::new() };
        let decisions = mem::replace(&mut state.queue, rest);
        state.in_flight += 1;
        drop(state);
        self.changed.notify_all(); // there is room in the queue
        Some(decisions)
    }

    fn show_waiting(&self, error: &ClientError) {
        let mut state = self.lock();
        if !mem::replace(&mut state.waiting, true) {
            drop(state);
            tracing::warn!(%error, "waiting for the remembrancer");
        }
    }

    fn commit(&self, batch: &Encoded) {
        let mut state = self.lock();
        state.recorded += batch.count;
        state.in_flight -= 1;
        let waited = mem::replace(&mut state.waiting, false);
        drop(state);
        self.changed.notify_all();
        if waited {
            tracing::info!("the remembrancer is back");
        }
    }
}

/// Wakes all waiting threads when the posting task ends, also when its runtime was shut down.
struct FailWhenDropped(Arc<Shared>);

impl Drop for FailWhenDropped {
    fn drop(&mut self) {
        self.0.fail(RecordError::Cancelled); // an error that came before stays
    }
}

/// The posting task: one batch after the other.
async fn post_batches(
    ended: FailWhenDropped,
    remembrancer: Remembrancer,
    mut batches: mpsc::Receiver<Encoded>,
    cancel: CancellationToken,
) {
    let shared = &ended.0;
    // No batch any more: cancelled, or the encoding thread has ended and said why.
    while let Some(Some(batch)) = cancel.run_until_cancelled(batches.recv()).await {
        let posted = retry_while_transient(
            &cancel,
            || remembrancer.post_encoded_decisions(batch.json.clone()),
            |wait| shared.show_waiting(wait.error),
        );
        let checked = match posted.await {
            Ok(receipts) => batch.check(&receipts),
            Err(ClientError::Cancelled) => Err(RecordError::Cancelled),
            Err(error) => {
                Err(RecordError::Refused { first_sequence: batch.first_sequence, error: Arc::new(error) })
            }
        };
        match checked {
            Ok(()) => shared.commit(&batch),
            Err(error) => return shared.fail(error),
        }
    }
}

impl State {
    fn check_order(&self, decisions: &[Decision]) -> Result<(), RecordError> {
        let (run, mut expected) = self.next.unwrap_or((decisions[0].run, decisions[0].sequence));
        for decision in decisions {
            if (decision.run, decision.sequence) != (run, expected) {
                let (got_run, got) = (decision.run, decision.sequence);
                return Err(RecordError::OutOfOrder { run, expected, got_run, got });
            }
            expected += 1;
        }
        Ok(())
    }
}

impl Encoded {
    /// The receipts, in order, must cover every decision of the batch. They may cover more: the
    /// neighbours that a decision was committed with.
    fn check(&self, answer: &BatchReceipts) -> Result<(), RecordError> {
        let end = self.first_sequence + self.count;
        let not_covered = |detail: String| RecordError::NotCovered {
            first_sequence: self.first_sequence,
            last_sequence: end - 1,
            detail,
        };
        let mut covered = self.first_sequence;
        for receipt in &answer.receipts {
            if receipt.run != self.run {
                return Err(not_covered(format!("a receipt is for run {}", receipt.run)));
            }
            if receipt.first_sequence > covered {
                break; // a gap
            }
            covered = covered.max(receipt.first_sequence.saturating_add(receipt.count));
        }
        if covered < end {
            return Err(not_covered(format!("there is no receipt for decision {covered}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api::remembrancer::Receipt;

    use super::*;

    #[test]
    fn receipts_must_cover_every_decision_that_was_posted() {
        let run = Hash([1; 32]);
        let batch = Encoded { run, first_sequence: 10, count: 5, json: Bytes::new() };
        let receipt = |first_sequence, count| Receipt {
            run,
            first_sequence,
            count,
            first_log_index: 0,
            tree_size: 0,
            root_hash: Hash([0; 32]),
        };
        let check = |receipts: Vec<Receipt>| batch.check(&BatchReceipts { recorded: 0, receipts });
        assert!(check(vec![receipt(10, 5)]).is_ok());
        assert!(check(vec![receipt(8, 3), receipt(11, 9)]).is_ok(), "committed with neighbours");
        assert!(check(vec![]).is_err());
        assert!(check(vec![receipt(10, 4)]).is_err());
        assert!(check(vec![receipt(10, 2), receipt(13, 2)]).is_err(), "a gap at 12");
        assert!(check(vec![Receipt { run: Hash([2; 32]), ..receipt(10, 5) }]).is_err());
    }
}
