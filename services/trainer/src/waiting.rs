//! Asking other services from a run's own thread, for as long as it takes.

use std::{future::Future, sync::Arc};

use client::{ClientError, Wait, retry_while_transient};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::run::Run;

/// Why a run's thread ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The trainer shuts down; the run goes on from its last checkpoint when it is started again.
    Shutdown,
    /// It cannot go on; says why and what to do.
    Failed(String),
}

/// Waits on behalf of one run.
#[derive(Clone)]
pub struct Waiting {
    runtime: Handle,
    shutdown: CancellationToken,
    run: Arc<Run>,
}

impl Waiting {
    /// For a run whose thread is not one of the runtime's.
    #[must_use]
    pub fn new(runtime: Handle, shutdown: CancellationToken, run: Arc<Run>) -> Self {
        Self { runtime, shutdown, run }
    }

    /// The runtime on which other services are asked.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Cancelled when the trainer shuts down.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// [`Halt::Shutdown`] when the trainer shuts down.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self) -> Result<(), Halt> {
        if self.shutdown.is_cancelled() { Err(Halt::Shutdown) } else { Ok(()) }
    }

    /// Waits for something.
    ///
    /// # Errors
    /// [`Halt::Shutdown`].
    pub fn wait_for<T>(&self, event: impl Future<Output = T>) -> Result<T, Halt> {
        self.runtime.block_on(self.shutdown.run_until_cancelled(event)).ok_or(Halt::Shutdown)
    }

    /// Asks until there is an answer or a refusal that asking again cannot change. While the service
    /// `whom` is away the run says so.
    ///
    /// # Errors
    /// [`Halt::Shutdown`].
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
        let answer = self.runtime.block_on(retry_while_transient(&self.shutdown, ask, on_wait));
        if waits {
            self.show(whom, None);
        }
        match answer {
            Err(ClientError::Cancelled) => Err(Halt::Shutdown),
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
    /// [`Halt::Shutdown`].
    pub fn ask_once<T>(
        &self,
        within: std::time::Duration,
        ask: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Option<Result<T, ClientError>>, Halt> {
        self.check()?;
        let answer = self.runtime.block_on(async {
            tokio::select! {
                () = self.shutdown.cancelled() => None,
                answer = tokio::time::timeout(within, ask) => Some(answer.ok()),
            }
        });
        match answer {
            None => Err(Halt::Shutdown),
            Some(None) => Ok(None),
            Some(Some(Err(error))) if error.is_transient() => Ok(None),
            Some(Some(answer)) => Ok(Some(answer)),
        }
    }
}
