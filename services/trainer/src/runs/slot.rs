//! Slots: so many runs are at work at once, and one that is paused is not among them.

use std::sync::Arc;

use api::trainer::RunStatus;
use tokio::sync::OwnedSemaphorePermit;

use super::Runs;
use crate::run::Run;

/// A run's slot among those at work; it is free again when this value goes.
pub struct RunSlot {
    runs: Runs,
    run: Arc<Run>,
    permit: Option<OwnedSemaphorePermit>,
}

impl RunSlot {
    /// Gives the slot up until the run is resumed, or cancelled so that it ends after its episode, and a slot is free
    /// again.
    pub async fn pause(&mut self) {
        loop {
            self.permit = None;
            self.waits();
            tokio::select! {
                () = self.run.resumed() => {}
                () = self.run.cancel.cancelled() => {}
            }
            self.waits();
            self.permit = self.runs.permit().await;
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
    /// Waits until a run is not paused and a slot is free.
    pub(super) async fn slot(&self, run: &Arc<Run>) -> RunSlot {
        loop {
            run.resumed().await;
            let permit = self.permit().await;
            let slot = RunSlot { runs: self.clone(), run: run.clone(), permit };
            if slot.begins() {
                return slot;
            }
        }
    }

    /// First come, first served. `None` only when the semaphore is closed, which nobody does.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.0.slots.clone().acquire_owned().await.ok()
    }
}
