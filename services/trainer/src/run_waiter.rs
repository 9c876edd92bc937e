//! Asking other services from a run's own thread, for as long as it takes.

use std::{future::Future, sync::Arc};

use client::{ClientError, HeldLease, Wait, retry_while_transient};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::run::Run;

/// Why a run's thread ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The trainer shuts down; another goes on from the run's last checkpoint, or this one when it is started again.
    Shutdown,
    /// Another trainer has the run: nothing more may be written about it here.
    Lost,
    /// It cannot go on; says why and what to do.
    Failed(String),
}

/// What a run's thread waits with, for as long as this trainer has the run.
#[derive(Clone)]
pub struct RunWaiter {
    runtime: Handle,
    shutdown: CancellationToken,
    /// Cancelled when the trainer shuts down or the lease is lost.
    stop: CancellationToken,
    _stop_when_dropped: Arc<DropGuard>,
    lease: Arc<HeldLease>,
    run: Arc<Run>,
}

impl RunWaiter {
    /// For a run whose thread is not one of the runtime's, played under this lease.
    #[must_use]
    pub fn new(runtime: Handle, shutdown: CancellationToken, lease: Arc<HeldLease>, run: Arc<Run>) -> Self {
        let stop = shutdown.child_token();
        let (stopped, lost) = (stop.clone(), lease.lost().clone());
        runtime.spawn(async move {
            if stopped.run_until_cancelled(lost.cancelled()).await.is_some() {
                stopped.cancel();
            }
        });
        let _stop_when_dropped = Arc::new(stop.clone().drop_guard());
        Self { runtime, shutdown, stop, _stop_when_dropped, lease, run }
    }

    /// The runtime on which other services are asked.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The lease under which the run is played.
    #[must_use]
    pub fn lease(&self) -> &HeldLease {
        &self.lease
    }

    /// Cancelled when the trainer shuts down or loses the run.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Why to stop, once [`RunWaiter::stop`] is cancelled.
    #[must_use]
    pub fn halt(&self) -> Halt {
        // Of both the shutdown: the run is then read again by whoever starts next.
        if self.shutdown.is_cancelled() { Halt::Shutdown } else { Halt::Lost }
    }

    /// Whether the run is to be gone on with. While nobody knows whether the lease has run out (this process stood
    /// still, or the remembrancer is away) it waits.
    ///
    /// # Errors
    /// [`Halt::Shutdown`] or [`Halt::Lost`].
    pub fn check(&self) -> Result<(), Halt> {
        if self.lease.is_overdue() && !self.stop.is_cancelled() {
            tracing::warn!(run = %self.run.id, "the run's lease may have run out: the run waits for the remembrancer");
            self.run.state().waiting_for = Some("remembrancer");
            self.wait_for(self.lease.settled())?;
            self.run.state().waiting_for = None;
        }
        if self.stop.is_cancelled() { Err(self.halt()) } else { Ok(()) }
    }

    /// Waits for something.
    ///
    /// # Errors
    /// As [`RunWaiter::check`].
    pub fn wait_for<T>(&self, event: impl Future<Output = T>) -> Result<T, Halt> {
        self.runtime.block_on(self.stop.run_until_cancelled(event)).ok_or_else(|| self.halt())
    }

    /// Asks until there is an answer or a refusal that asking again cannot change. While the service
    /// `whom` is away the run says so.
    ///
    /// # Errors
    /// As [`RunWaiter::check`].
    pub fn ask<T, A, F>(&self, whom: &'static str, ask: A) -> Result<Result<T, ClientError>, Halt>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut waits = false;
        let on_wait = |wait: Wait<'_>| {
            if !std::mem::replace(&mut waits, true) {
                self.show(whom, Some(wait.error));
            }
        };
        let answer = self.runtime.block_on(retry_while_transient(&self.stop, ask, on_wait));
        if waits {
            self.show(whom, None);
        }
        match answer {
            Err(ClientError::Cancelled) => Err(self.halt()),
            answer => Ok(answer),
        }
    }

    /// Lets the run say that it waits for the service `whom`, and why; or that it waits no more.
    pub fn show(&self, whom: &'static str, error: Option<&ClientError>) {
        if let Some(error) = error {
            tracing::warn!(run = %self.run.id, waiting_for = whom, %error, "the run waits");
        }
        self.run.state().waiting_for = error.map(|_| whom);
    }

    /// Asks once and not for long; `None` when there is no answer in that time.
    ///
    /// # Errors
    /// As [`RunWaiter::check`].
    pub fn ask_once<T>(
        &self,
        within: std::time::Duration,
        ask: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Option<Result<T, ClientError>>, Halt> {
        self.check()?;
        let answer = self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => None,
                answer = tokio::time::timeout(within, ask) => Some(answer.ok()),
            }
        });
        match answer {
            None => Err(self.halt()),
            Some(None) => Ok(None),
            Some(Some(Err(error))) if error.is_transient() => Ok(None),
            Some(Some(answer)) => Ok(Some(answer)),
        }
    }
}
