//! The thread of a run: it plays it, and writes down how it ended.

use std::{panic::AssertUnwindSafe, sync::Arc};

use api::trainer::RunStatus;
use chrono::Utc;
use client::{Ledger, PsiField};
use records::{Body as _, run::Ended};

use crate::{
    federation::Federation,
    ledger::RunLedger,
    metrics::AppMetrics,
    player::Player,
    run::Run,
    run_waiter::{Halt, RunWaiter},
    runs::RunSlot,
};

/// What every run's thread needs.
#[derive(Clone)]
pub struct Outside {
    /// The ledger.
    pub ledger: Ledger,
    /// The monitor.
    pub psi_field: PsiField,
    /// The trainer's metrics.
    pub gauges: AppMetrics,
    /// This node's part in the federation.
    pub federation: Federation,
}

/// What became of a run in this trainer's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has ended, and the ledger says how.
    Ended,
    /// The trainer shuts down: somebody else goes on with it.
    PutDown,
    /// Another trainer has it.
    Lost,
    /// It has failed, and the ledger could not be told.
    Untold,
}

/// Plays a run to its end and writes down how it ended. When the trainer shuts down, or loses the run, it returns
/// without a final record: whoever has the run next goes on from its last checkpoint.
pub fn play(outside: &Outside, waiter: &RunWaiter, run: &Arc<Run>, slot: RunSlot) -> Outcome {
    let ledger = RunLedger::new(&outside.ledger, waiter.clone());
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        Player::new(outside, waiter, run, slot).and_then(Player::play)
    }));
    let failure = match played {
        Ok(Ok(())) => return Outcome::Ended,
        Ok(Err(Halt::Shutdown)) => return Outcome::PutDown,
        Ok(Err(Halt::Lost)) => return Outcome::Lost,
        // A runtime that shuts down may make what waits on it panic.
        _ if waiter.stop().is_cancelled() => return outcome(&waiter.halt()),
        Ok(Err(Halt::Failed(why))) => why,
        Err(panic) => format!(
            "the run's thread met an error in the program: {}. Its last checkpoint can be resumed",
            panic_message(panic.as_ref())
        ),
    };
    tracing::error!(run = %run.id, error = failure, "the run failed");
    let ended = {
        let state = run.state();
        let checkpoint = state.checkpoints.last();
        Ended {
            run_id: run.id,
            digest: run.digest,
            status: RunStatus::Failed,
            run_root: checkpoint.map(|c| c.run_root),
            decisions: checkpoint.map_or(0, |c| c.decisions),
            episodes_done: checkpoint.map_or(0, |c| c.episodes_done),
            policy_sha256: None,
            checkpoint_sha256: checkpoint.map(|c| c.sha256),
            reproducible: state.reproducible,
            error: Some(failure),
        }
    };
    told(run, finish(&ledger, run, ended))
}

/// Records how a run ended, then shows it.
///
/// # Errors
/// The trainer shuts down or has lost the run. When the remembrancer refuses the record the run is shown as failed.
pub fn finish(ledger: &RunLedger, run: &Run, ended: Ended) -> Result<(), Halt> {
    match ledger.append_end(&ended) {
        Ok(record_id) => {
            run.state().ended(&ended, record_id, Utc::now());
            tracing::info!(run = %run.id, status = ended.status.name(), decisions = ended.decisions, "the run ended");
            Ok(())
        }
        Err(Halt::Failed(why)) if ended.status == RunStatus::Failed => {
            let mut state = run.state();
            state.ended(&ended, ended.id(), Utc::now());
            state.record_id = None;
            Err(Halt::Failed(why))
        }
        Err(failed) => Err(failed),
    }
}

/// Ends a run that was cancelled before its turn.
pub fn end_unplayed(outside: &Outside, waiter: &RunWaiter, run: &Run) -> Outcome {
    let ledger = RunLedger::new(&outside.ledger, waiter.clone());
    let ended = {
        let state = run.state();
        Ended {
            run_id: run.id,
            digest: run.digest,
            status: RunStatus::Cancelled,
            run_root: state.run_root,
            decisions: state.decisions,
            episodes_done: state.episodes_done,
            policy_sha256: None,
            checkpoint_sha256: state.checkpoints.last().map(|checkpoint| checkpoint.sha256),
            reproducible: state.reproducible,
            error: None,
        }
    };
    told(run, finish(&ledger, run, ended))
}

fn told(run: &Run, finished: Result<(), Halt>) -> Outcome {
    match finished {
        Ok(()) => Outcome::Ended,
        Err(halt) => {
            tracing::warn!(run = %run.id, ?halt, "the record of the run's end was not written");
            outcome(&halt)
        }
    }
}

fn outcome(halt: &Halt) -> Outcome {
    match halt {
        Halt::Shutdown => Outcome::PutDown,
        Halt::Lost => Outcome::Lost,
        Halt::Failed(_) => Outcome::Untold,
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it left no message".to_owned())
}
