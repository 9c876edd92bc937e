//! Serving a deployment: under its lease, on a thread of its own, from where the ledger says that it stands.

use std::sync::{Arc, PoisonError};

use chrono::Utc;
use client::Ledger;
use policy::{Exploration, Swarm};
use records::deployments::{Created, Opened, subject};
use routing_env::{Environment, Rewards};
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use uuid::Uuid;

use super::{
    DeployError, Deployments, Entry, challenge,
    continuation::Continued,
    desk::{Answer, Call, Desk, Others},
    engine::Engine,
    lifecycle::Lifecycle,
    opening::Opening,
    promising::Promising,
    replay,
    schedule::Schedule,
};
use crate::{federation::StepsStream, ledger::GLANCE};

/// Calls that may wait for a deployment.
const QUEUE: usize = 4096;

/// Calls that are taken at once.
const GROUP: usize = 512;

impl Deployments {
    /// Asks whoever serves it, which is this trainer from now on if nobody else does.
    pub(super) async fn ask<T>(
        &self,
        entry: &Arc<Entry>,
        call: impl FnOnce(Answer<T>) -> Call,
    ) -> Result<T, DeployError> {
        let (told, answer) = oneshot::channel();
        let desk = self.desk(entry).await?;
        desk.try_send(call(told)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DeployError::Busy,
            mpsc::error::TrySendError::Closed(_) => DeployError::Elsewhere,
        })?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(match damage(entry) {
                Some(damage) => DeployError::Damaged(damage),
                None => DeployError::Away("the deployment's desk was closed".to_owned()),
            }),
        }
    }

    pub(super) async fn desk(&self, entry: &Arc<Entry>) -> Result<mpsc::Sender<Call>, DeployError> {
        let mut desk = entry.desk.lock().await;
        if let Some(open) = desk.as_ref().filter(|desk| !desk.is_closed()) {
            return Ok(open.clone());
        }
        let (ledger, name) = (self.ledger(), subject(entry.created.deployment_id));
        let lease = match ledger.claim_lease(&name, &self.0.holder, self.0.lease).await {
            Ok(lease) => lease,
            Err(error) if error.is_lease_held() => return Err(DeployError::Elsewhere),
            Err(error) => return Err(error.into()),
        };
        let made = async {
            let opening = self.opening(&ledger, &entry.created).await?;
            Ok((self.engine(&entry.created).await?, opening))
        };
        let (made, opening) = match made.await {
            Ok(made) => made,
            Err(error) => {
                _ = lease.release().await;
                return Err(error);
            }
        };
        let (open, calls) = mpsc::channel(QUEUE);
        *desk = Some(open.clone());
        let (deployments, entry, runtime) = (self.clone(), entry.clone(), Handle::current());
        self.0.work.spawn_blocking(move || {
            let ledger = deployments.0.ledger.fenced(lease.fence());
            runtime.block_on(async {
                let mut desk = None;
                tokio::select! {
                    () = deployments.0.shutdown.cancelled() => {}
                    () = lease.lost().cancelled() => {}
                    () = deployments.serve(&entry, ledger, (made, opening), calls, &mut desk) => {}
                }
                if let Some(desk) = desk {
                    desk.close(!lease.lost().is_cancelled()).await;
                }
                let given_back = tokio::time::timeout(GLANCE, lease.release()).await;
                if given_back.is_err() {
                    tracing::debug!(name = entry.created.settings.name, "the lease runs out by itself");
                }
            });
        });
        Ok(open)
    }

    /// Serves a deployment from where the ledger says that it stands.
    async fn serve(
        &self,
        entry: &Entry,
        ledger: Ledger,
        (made, mut opening): ((Engine, Lifecycle), Option<Opening>),
        mut calls: mpsc::Receiver<Call>,
        place: &mut Option<Desk>,
    ) {
        let Created { deployment_id, settings, .. } = &entry.created;
        if let Some(opening) = &mut opening
            && let Err(error) = opening.recover(&ledger).await
        {
            tracing::error!(deployment = settings.name, %error, "what was promised cannot be appended");
            if error.is_conflict() && !error.is_lease_lost() {
                let what = format!("something else stands where a decision was promised to be ({error})");
                *entry.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
            }
            return;
        }
        let steps =
            settings.federate.then(|| StepsStream::of(made.0.env(), settings.step_seconds)).transpose();
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => {
                tracing::error!(deployment = settings.name, %error, "the deployment cannot learn with others");
                return;
            }
        };
        let continued = match self.continued(&ledger, &entry.created, made, steps.as_ref()).await {
            Ok(continued) => continued,
            Err(error) => {
                tracing::error!(deployment = settings.name, %error, "the deployment cannot be continued");
                if let replay::ReplayError::Differs(what) = error {
                    *entry.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
                }
                return;
            }
        };
        let Continued { engine, lifecycle, replayed, checkpoints } = continued;
        lifecycle.is_live();
        let session_id = Uuid::now_v7();
        let promises = opening.as_ref().map(|opening| opening.keeper.key());
        let opened = Opened { deployment_id: *deployment_id, session_id, promises };
        if let Err(error) = ledger.append_body(&opened).await {
            tracing::error!(deployment = settings.name, %error, "the deployment cannot be opened");
            return;
        }
        tracing::info!(
            deployment = settings.name,
            decisions = engine.next_sequence(),
            "the deployment is served here"
        );
        let counters = self.0.counters.clone();
        let promising =
            match opening.map(|opening| Promising::begin(opening, &ledger, counters.promises.clone())) {
                None => None,
                Some(Ok(promising)) => Some(promising),
                Some(Err(error)) => {
                    tracing::error!(deployment = settings.name, %error, "the journal cannot be used");
                    return;
                }
            };
        let named = (*deployment_id, settings.name.clone(), settings.clock);
        let ledger_url = self.0.ledger_url.clone();
        let desk = Desk::new(
            named,
            session_id,
            (ledger, ledger_url),
            (engine, lifecycle),
            (replayed, counters, checkpoints),
        );
        let others = steps.map(|stream| Others::new(self.0.federation.clone(), stream));
        let desk = place.insert(desk.promising(promising).federating(others));
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let received = calls.recv_many(&mut group, GROUP);
            let count = match desk.next_alarm(Utc::now()) {
                Some(time) => tokio::time::timeout(time, received).await.unwrap_or(usize::MAX),
                None => received.await,
            };
            match count {
                0 => return,
                usize::MAX => desk.tick(Utc::now()).await,
                _ => desk.take(std::mem::take(&mut group), Utc::now()).await,
            }
            if desk.is_broken() {
                return; // whoever calls next begins with what is on the disk
            }
        }
    }

    /// A stream of which nothing was asked.
    pub(super) async fn engine(&self, created: &Created) -> Result<(Engine, Lifecycle), DeployError> {
        let settings = &created.settings;
        let wanted = settings.preference.as_ref();
        let (env, swarm, rewards) = self.made(settings.policy_id, wanted).await?;
        let starts_at = settings.starts_at.unwrap_or_default();
        let schedule = Schedule::new(settings, starts_at);
        let seed = u64::from(u32::from_be_bytes([
            created.digest.0[8],
            created.digest.0[9],
            created.digest.0[10],
            created.digest.0[11],
        ]));
        let exploration =
            settings.explore.map(|explore| Exploration::new(seed, explore.epsilon, explore.cost_guard));
        let mut engine = Engine::new(env, swarm, rewards, created.digest, schedule, exploration);
        if settings.federate {
            engine.federate();
        }
        let mut swarms = Vec::with_capacity(settings.challengers.len());
        for challenger in &settings.challengers {
            swarms.push(self.made(challenger.policy_id, wanted).await?.1);
        }
        let failures = &self.0.counters.shadow_failures;
        let shadows = challenge::begin(&mut engine, settings, swarms, failures);
        Ok((engine, Lifecycle::new(created, shadows)))
    }

    /// A policy, with its environment and what it decides for.
    async fn made(
        &self,
        policy: Uuid,
        wanted: Option<&Value>,
    ) -> Result<(Environment, Swarm, Rewards), DeployError> {
        let missing = || DeployError::Damaged(format!("its policy {policy} is not in the ledger any more"));
        let policy = self.policy(policy).await?.ok_or_else(missing)?;
        self.0.serving.made(&policy, wanted).await.map_err(|error| DeployError::Internal(error.to_string()))
    }
}

pub(super) fn damage(entry: &Entry) -> Option<String> {
    entry.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
