//! Whose turn it is: so many runs are at work at once, and one that is paused is not among them.

use std::sync::Arc;

use api::trainer::RunStatus;
use tokio::sync::OwnedSemaphorePermit;

use super::Runs;
use crate::run::Run;

/// A run's place among those at work; it goes with this value.
pub struct Turn {
    runs: Runs,
    run: Arc<Run>,
    place: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Gives the place up until the run is resumed, or cancelled so that it ends after its episode, and
    /// there is a place for it again.
    pub async fn pause(&mut self) {
        loop {
            self.place = None;
            self.waits();
            tokio::select! {
                () = self.run.resumed() => {}
                () = self.run.cancel.cancelled() => {}
            }
            self.waits();
            self.place = self.runs.place().await;
            if self.begins() {
                return;
            }
        }
    }

    fn waits(&self) {
        {
            let mut state = self.run.state();
            let paused = self.run.is_paused() && !self.run.cancel.is_cancelled();
            state.status = if paused { RunStatus::Paused } else { RunStatus::Queued };
        }
        self.runs.publish();
    }

    /// True when the run is at work from now on, or has ended elsewhere; false when it was paused while it waited.
    fn begins(&self) -> bool {
        {
            let mut state = self.run.state();
            if state.status.is_final() {
                return true;
            }
            if self.run.is_paused() && !self.run.cancel.is_cancelled() {
                return false;
            }
            state.status = RunStatus::Running;
        }
        self.runs.publish();
        true
    }
}

impl Runs {
    /// Waits until a run is not paused and there is a place for it.
    pub(super) async fn turn(&self, run: &Arc<Run>) -> Turn {
        loop {
            run.resumed().await;
            let place = self.place().await;
            let turn = Turn { runs: self.clone(), run: run.clone(), place };
            if turn.begins() {
                return turn;
            }
        }
    }

    /// First come, first served. `None` only when the semaphore is closed, which nobody does.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.slots.clone().acquire_owned().await.ok()
    }
}
