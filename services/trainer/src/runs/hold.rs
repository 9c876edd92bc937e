//! Which runs this trainer plays: those that it has the lease of. Whoever has a slot for a run and finds that nobody
//! holds it claims it, reads what the ledger says of it, and goes on from there.

use std::{sync::Arc, time::Duration};

use api::trainer::RunStatus;
use client::{HeldLease, LedgerError};
use records::run::subject;
use tokio::sync::oneshot;

use super::{Inner, RunSlot, Runs};
use crate::{
    recovery::PAUSE,
    run::Run,
    run_waiter::RunWaiter,
    worker::{Outcome, end_unplayed, play},
};

/// How long giving a lease back may take; then it runs out by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

impl Runs {
    /// Sees to it that a run gets on until it has ended, here or elsewhere, or the trainer shuts down.
    pub(super) fn see_to(&self, run: Arc<Run>) {
        self.publish();
        let runs = self.clone();
        self.0.work.spawn(async move {
            let ended = async {
                while !run.state().status.is_final() {
                    runs.try_to_play(&run).await?;
                    runs.publish();
                }
                Some(())
            };
            if ended.await.is_some() {
                runs.keep_history(run.id);
                runs.publish();
            }
        });
    }

    /// Plays the run once nobody else does and a slot is free; one that was cancelled needs none. `None`
    /// when the trainer shuts down.
    async fn try_to_play(&self, run: &Arc<Run>) -> Option<()> {
        let shutdown = &self.0.shutdown;
        shutdown.run_until_cancelled(run.free()).await?;
        let slot = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            () = run.cancel.cancelled() => None,
            slot = self.slot(run) => Some(slot),
        };
        if run.is_elsewhere() || run.state().status.is_final() {
            return Some(());
        }
        match self.claim(run).await {
            Ok(Some(lease)) => {
                if slot.is_some() {
                    run.state().status = RunStatus::Running;
                }
                self.play_under(run, Arc::new(lease), slot).await
            }
            Ok(None) => Some(()),
            Err(LedgerError::ShuttingDown) => None,
            Err(error) => {
                tracing::error!(run = %run.id, %error, "the run cannot be claimed");
                shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await
            }
        }
    }

    /// The run's lease, once all is known that was written under it before; `None` when somebody else has it, or it has
    /// ended.
    async fn claim(&self, run: &Arc<Run>) -> Result<Option<HeldLease>, LedgerError> {
        let (name, shown) = (subject(run.id), run.clone());
        let ledger = self.0.outside.ledger.with_observer(move |error| {
            shown.state().waiting_for = error.map(|_| "remembrancer");
        });
        let lease = match ledger.claim_lease(&name, &self.0.holder, self.0.limits.lease).await {
            Ok(lease) => lease,
            Err(error) if error.is_lease_held() => {
                let holder = ledger.lease(&name).await?.and_then(|lease| lease.holder);
                run.played_elsewhere(holder);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.read_anew(run).await?;
        {
            let mut state = run.state();
            if !state.status.is_final() {
                state.held_here = true;
                state.holder = Some(self.0.holder.clone());
                return Ok(Some(lease));
            }
        }
        give_back(run, &lease).await;
        Ok(None)
    }

    /// Plays the run under the lease, and then lets go of it. `None` when the trainer shuts down.
    async fn play_under(&self, run: &Arc<Run>, lease: Arc<HeldLease>, slot: Option<RunSlot>) -> Option<()> {
        tracing::info!(run = %run.id, token = lease.fence().token, checkpoint = ?run.goes_on_from(), "the run is taken up");
        let outcome = self.on_a_thread(run, lease.clone(), slot).await;
        if let Some(Outcome::Lost) = outcome {
            tracing::warn!(run = %run.id, token = lease.fence().token, "another trainer has the run: it is dropped here");
            run.let_go();
            // What this trainer knew of the run is worth nothing any more.
            let read = self.read_anew(run).await;
            run.played_elsewhere(Some("another trainer".to_owned())); // which one, the next look tells
            return match read {
                Err(LedgerError::ShuttingDown) => None,
                Err(error) => {
                    tracing::error!(run = %run.id, %error, "the run that was lost cannot be read again");
                    Some(())
                }
                Ok(()) => Some(()),
            };
        }
        give_back(run, &lease).await;
        run.let_go();
        match outcome {
            Some(Outcome::PutDown) => None,
            Some(_) => Some(()),
            None => self.0.shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await,
        }
    }

    /// Plays the run, or ends one that was cancelled while it waited. `None` when there is no thread for it.
    async fn on_a_thread(
        &self,
        run: &Arc<Run>,
        lease: Arc<HeldLease>,
        slot: Option<RunSlot>,
    ) -> Option<Outcome> {
        let Inner { outside, runtime, shutdown, .. } = &*self.0;
        let (outside, played) = (outside.clone(), run.clone());
        let waiter = RunWaiter::new(runtime.clone(), shutdown.clone(), lease, played.clone());
        let (ended, end) = oneshot::channel();
        let body = move || {
            let outcome = match slot {
                Some(slot) => play(&outside, &waiter, &played, slot),
                None => end_unplayed(&outside, &waiter, &played),
            };
            let _nobody_waits_in_a_shutdown = ended.send(outcome);
        };
        match std::thread::Builder::new().name("run".into()).spawn(body) {
            Ok(_detached) => Some(end.await.unwrap_or(Outcome::PutDown)),
            Err(error) => {
                tracing::error!(run = %run.id, %error, "there is no thread for the run; it is put down for a while");
                None
            }
        }
    }
}

async fn give_back(run: &Run, lease: &HeldLease) {
    match tokio::time::timeout(RELEASE_LIMIT, lease.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(run = %run.id, %error, "the run's lease was not given back: it runs out")
        }
        Err(_) => tracing::warn!(run = %run.id, "the run's lease was not given back in time: it runs out"),
    }
}
