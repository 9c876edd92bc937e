//! Works on what was accepted: claims the oldest evaluation that nobody works on, does it, and records what was found.
//!
//! Each evaluation is worked on under its lease, so that evaluators on one ledger share the work. Who dies lets its
//! leases run out, and another one begins the evaluation again: it has the same figures, for nothing in them depends on
//! who found them. Who lost a lease without dying writes nothing about it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use client::{HeldLease, LedgerError};
use evaluation::{
    episodes::Contestant,
    evaluate::{Compared, Found, evaluate, limit_keys},
    pareto::FrontsError,
    plan::Plan,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    at_work::{AtWork, Working},
    conversion::{to_wire, values_to_wire},
    error::EvaluationError,
    fronts,
    known_limits::KnownLimits,
    ledger::{Accepted, Ledger, Outcome},
    logged::{self, Asked, Reader, ReadingError},
    metrics::AppMetrics,
    plan::plan,
};

/// How often it is looked for evaluations that others accepted, or left. Those that this process accepts begin at once.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// As many unfinished evaluations are looked at; more than may be accepted.
const LOOKED_AT: u32 = 100;

/// What works on evaluations in this process.
pub(crate) struct Worker {
    pub(crate) ledger: Ledger,
    pub(crate) known_limits: KnownLimits,
    pub(crate) at_work: AtWork,
    pub(crate) accepted: Arc<Notify>,
    pub(crate) metrics: AppMetrics,
    /// Who claims leases: this process.
    pub(crate) holder: String,
    /// How long a lease lasts without renewal.
    pub(crate) lease_ttl: Duration,
    /// What goes on in the background, so that it can be waited for.
    pub(crate) work: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

impl Worker {
    /// Works until the service shuts down, on as many evaluations at once as there are slots.
    pub(crate) async fn run(self: Arc<Self>, slots: usize) {
        let slots = Arc::new(Semaphore::new(slots));
        let shutdown = self.shutdown.clone();
        let working = async {
            while let Ok(slot) = slots.clone().acquire_owned().await {
                match self.claim_next().await {
                    Ok(Some((accepted, lease))) => {
                        let worker = self.clone();
                        self.work.spawn(async move {
                            worker.evaluate(accepted, lease).await;
                            drop(slot);
                        });
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "the ledger cannot be asked for evaluations"),
                }
                drop(slot);
                // ended by whichever comes first
                let _ = tokio::time::timeout(LOOK_AGAIN, self.accepted.notified()).await;
            }
        };
        shutdown.run_until_cancelled(working).await;
    }

    /// The oldest evaluation that nobody works on, with its lease.
    async fn claim_next(&self) -> Result<Option<(Accepted, HeldLease)>, EvaluationError> {
        let mut unfinished = self.ledger.unfinished(LOOKED_AT).await?;
        let listed: BTreeSet<_> = unfinished.iter().map(|accepted| accepted.id).collect();
        let awaited = self.at_work.awaited().into_iter();
        unfinished.extend(awaited.filter(|awaited| !listed.contains(&awaited.id)));
        for accepted in unfinished {
            if self.at_work.get(accepted.id).is_some() {
                continue;
            }
            let lease = match self.ledger.claim(accepted.id, &self.holder, self.lease_ttl).await {
                Ok(lease) => lease,
                Err(error) if error.is_lease_held() => continue,
                Err(error) => return Err(LedgerError::from(error).into()),
            };
            // it may have ended between the look at it and the claim
            if self.ledger.ended(accepted.id).await?.is_none() {
                return Ok(Some((accepted, lease)));
            }
            self.at_work.forget(accepted.id);
            give_back(lease).await;
        }
        Ok(None)
    }

    async fn evaluate(&self, accepted: Accepted, lease: HeldLease) {
        let working = self.at_work.begin(accepted.clone());
        let stop = self.shutdown.child_token();
        let _watch = stops(&stop, &lease, &working);
        let Some(outcome) = self.outcome(&accepted, &working, &stop).await else {
            tracing::info!(evaluation = %accepted.id, "stopped working on the evaluation");
            return give_back(lease).await;
        };
        match self.record(&accepted, &outcome, &lease, &stop).await {
            Ok(()) => match outcome {
                Outcome::Completed(_) => {
                    self.metrics.completed.increment(1);
                    tracing::info!(evaluation = %accepted.id, "evaluation recorded");
                }
                Outcome::Failed(error) => {
                    self.metrics.failed.increment(1);
                    tracing::error!(evaluation = %accepted.id, error, "evaluation failed");
                }
            },
            Err(error) if is_lost(&error) => {
                tracing::warn!(evaluation = %accepted.id, "another evaluator works on the evaluation");
                return;
            }
            Err(_) if stop.is_cancelled() => {}
            Err(error) => {
                tracing::error!(evaluation = %accepted.id, %error, "the outcome cannot be recorded")
            }
        }
        give_back(lease).await;
    }

    /// Records how an evaluation ended. While the ledger is away this waits; a result that the ledger refuses is a
    /// failure.
    async fn record(
        &self,
        accepted: &Accepted,
        outcome: &Outcome,
        lease: &HeldLease,
        stop: &CancellationToken,
    ) -> Result<(), LedgerError> {
        let end = async |outcome: &Outcome| {
            let ending = stop.run_until_cancelled(self.ledger.end(lease, accepted, outcome)).await;
            ending.unwrap_or(Err(LedgerError::ShuttingDown))
        };
        match end(outcome).await {
            Err(error @ LedgerError::Refused(_)) if !is_lost(&error) => {
                end(&Outcome::Failed(format!("the ledger refused the result: {error}"))).await
            }
            recorded => recorded,
        }
    }

    /// How an evaluation ends; `None` when it was stopped.
    async fn outcome(
        &self,
        accepted: &Accepted,
        working: &Working,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        let failed = |error: EvaluationError| Some(Outcome::Failed(error.to_string()));
        if let Some(asked) = logged::asked(&accepted.config) {
            return match asked {
                // on the heap, for all that is awaited within is large
                Ok(asked) => Box::pin(self.logged(accepted, &asked, stop)).await,
                Err(errors) => failed(EvaluationError::Invalid(errors)),
            };
        }
        let mut plan = match plan(&accepted.config) {
            Ok(plan) => plan,
            Err(errors) => return failed(EvaluationError::Invalid(errors)),
        };
        let contestants = match self.contestants(&plan, stop).await? {
            Ok(contestants) => contestants,
            Err(error) => return failed(error),
        };
        if accepted.config.is_final {
            match self.patiently(stop, || self.ledger.open_final(accepted, &plan)).await? {
                Ok(opening) => plan.final_opening = Some(opening),
                Err(error) => return failed(error),
            }
        }
        let plan = Arc::new(plan);
        match self.found(plan.clone(), contestants, working).await {
            Ok(None) => None,
            Ok(Some(Ok(Found::Comparison(found)))) => self.compared(*found, stop).await,
            Ok(Some(Ok(Found::Fronts(found)))) => {
                Some(Outcome::Completed(Box::new(fronts::to_wire(&plan, &found))))
            }
            Ok(Some(Err(error))) => Some(Outcome::Failed(error.to_string())),
            Err(panic) => Some(Outcome::Failed(format!("the simulation broke off: {panic}"))),
        }
    }

    /// What a deployment's log says; `None` when the work was stopped.
    async fn logged(&self, accepted: &Accepted, asked: &Asked, stop: &CancellationToken) -> Option<Outcome> {
        let failed = |error: &dyn ToString| Some(Outcome::Failed(error.to_string()));
        let prepared = match self.patiently(stop, || Box::pin(self.ledger.prepare(asked))).await? {
            Ok(prepared) => prepared,
            Err(error) => return failed(&error),
        };
        let log_size = accepted.config.log_size.unwrap_or_default();
        let root = match self.patiently(stop, || self.ledger.root_at(log_size)).await? {
            Ok(root) => root,
            Err(error) => return failed(&error),
        };
        let reader = Reader { ledger: self.ledger.asked().clone(), log_size, stop: stop.clone() };
        let runtime = Handle::current();
        // many policies decide about each leaf as it is read
        let found = tokio::task::spawn_blocking(move || {
            let read = runtime.block_on(reader.read(&prepared))?;
            Ok::<_, ReadingError>(read.map(|read| logged::result(&prepared, &read, (log_size, root))))
        });
        match found.await {
            Ok(Ok(result)) => result.map(|result| Outcome::Completed(Box::new(result))),
            Ok(Err(ReadingError::Ledger(LedgerError::ShuttingDown))) => None,
            Ok(Err(error)) => failed(&error),
            Err(panic) => failed(&format!("going through the log broke off: {panic}")),
        }
    }

    /// Who takes part. While the ledger is away this waits; `None` when it was stopped.
    async fn contestants(
        &self,
        plan: &Plan,
        stop: &CancellationToken,
    ) -> Option<Result<Vec<Contestant>, EvaluationError>> {
        self.patiently(stop, || self.ledger.contestants(plan)).await
    }

    /// Asks the ledger until it is there; `None` when the work was stopped.
    async fn patiently<T, F>(
        &self,
        stop: &CancellationToken,
        ask: impl Fn() -> F,
    ) -> Option<Result<T, EvaluationError>>
    where
        F: Future<Output = Result<T, EvaluationError>>,
    {
        loop {
            match stop.run_until_cancelled(ask()).await? {
                Err(EvaluationError::Ledger(error)) if error.is_away() => {
                    tracing::warn!(%error, "waiting for the remembrancer");
                    stop.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await?;
                }
                answer => return Some(answer),
            }
        }
    }

    /// The outcome of a comparison, once what it is computed from is kept; `None` when it was stopped.
    async fn compared(&self, found: Compared, stop: &CancellationToken) -> Option<Outcome> {
        if let Some(error) = &found.unsolved {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "the physical limit could not be solved");
        }
        self.metrics.limits_solved.increment(found.solved.iter().map(|(_, limit)| limit.steps).sum());
        self.metrics.limits_known.increment(found.known_steps);
        stop.run_until_cancelled(self.known_limits.keep(&found.solved)).await;
        let mut result = to_wire(&found.report);
        let values = values_to_wire(&found.report, &found.values);
        match self.patiently(stop, || self.ledger.keep_values(&values)).await? {
            Ok(sha256) => result.values_sha256 = Some(sha256),
            Err(error) => return Some(Outcome::Failed(error.to_string())),
        }
        Some(Outcome::Completed(Box::new(result)))
    }

    /// Does the work on other threads; `None` when it was stopped.
    async fn found(
        &self,
        plan: Arc<Plan>,
        contestants: Vec<Contestant>,
        working: &Working,
    ) -> Result<Option<Result<Found, FrontsError>>, tokio::task::JoinError> {
        let (planned, progress) = (plan.clone(), working.progress().clone());
        let keys = tokio::task::spawn_blocking(move || limit_keys(&planned, &progress));
        let Some(keys) = keys.await? else { return Ok(None) };
        let known = self.known_limits.find(&keys).await;
        let (planned, progress) = (plan.clone(), working.progress().clone());
        let found =
            tokio::task::spawn_blocking(move || evaluate(&planned, contestants, &keys, known, &progress));
        let found = found.await?;
        if found.is_some() {
            self.metrics.episodes.increment(plan.episodes());
        }
        if let Some(Ok(Found::Fronts(_))) = &found {
            self.metrics.limits_solved.increment(plan.limit_steps());
        }
        Ok(found)
    }
}

/// Has the work stop when the service shuts down or the lease is lost, as long as the guard lives.
fn stops(stop: &CancellationToken, lease: &HeldLease, working: &Working) -> AbortOnDropHandle<()> {
    let (stop, lost, progress) = (stop.clone(), lease.lost().clone(), working.progress().clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = lost.cancelled() => stop.cancel(),
        }
        progress.cancel();
    }))
}

/// Whether another evaluator works on what this one works on.
fn is_lost(error: &LedgerError) -> bool {
    error.code() == Some("lease_lost")
}

/// Lets somebody else go on at once; if that cannot be said, the lease runs out.
async fn give_back(lease: HeldLease) {
    let name = lease.fence().lease.clone();
    if let Err(error) = lease.release().await
        && !error.is_lease_lost()
    {
        tracing::warn!(lease = name, %error, "the lease was not given back: it runs out");
    }
}
