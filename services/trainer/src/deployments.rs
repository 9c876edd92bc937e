//! Deployments: policies that decide a stream of real requests, remember what they sent where, and learn from what became
//! of it.
//!
//! A deployment is one long episode ([`engine`]) whose steps are windows of time ([`schedule`]). One trainer serves it at a
//! time, under a lease, on a thread of its own ([`desk`]); another one that is asked when the lease is free comes to the
//! same state from the ledger ([`replay`]).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    Page,
    deployments::{
        ChangeChampion, DeferredDecision, Deployment, DeploymentDecisions, DeploymentRequest,
        DeploymentStatus, DeploymentStream, MarketUpdate, NewDeployment, OpenDecision,
    },
    remembrancer::{Record, RecordQuery},
};
use chrono::{DateTime, SubsecRound as _, Utc};
use client::Ledger;
use records::{
    Body as _,
    deployments::{Created, Stopped},
};
use service_kit::Metrics;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    deployments::{calls::Keyed, counters::Counters, creation::created, desk::Call, lifecycle::Step},
    digest::sha256,
    federation::Federation,
    ledger::{GLANCE, REQUEST_DEADLINE},
    policies::{
        Policies,
        identity::{parse_decision_id, stream_of},
    },
    serving::Serving,
};

mod arms;
mod calls;
mod challenge;
mod checkpoint;
mod continuation;
mod counters;
mod creation;
mod desk;
mod drain;
mod engine;
mod error;
mod event;
mod journal;
mod keeper;
mod lifecycle;
mod market;
mod opening;
mod outcomes;
mod promising;
mod replay;
mod schedule;
mod sequential;
mod serve;
mod shadow;
mod shadow_thread;
#[cfg(test)]
mod simulation;
mod steps;
mod tally;
mod trial;
mod view;

pub use error::{DeployError, TellError};
pub use keeper::Keeper;
use serve::damage;

/// All deployments of the ledger. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Deployments(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    ledger_url: String,
    policies: Policies,
    serving: Serving,
    federation: Federation,
    /// Who this trainer is in leases.
    holder: String,
    lease: Duration,
    work: TaskTracker,
    shutdown: CancellationToken,
    /// The last record of a new deployment that was read, by its place in the log.
    position: tokio::sync::Mutex<Option<u64>>,
    table: Mutex<HashMap<String, Arc<Entry>>>,
    counters: Counters,
    /// After how many decisions a checkpoint is made.
    checkpoint_decisions: u64,
    /// What it promises decisions with, if it can.
    keeper: Option<Keeper>,
}

/// A deployment of the ledger.
struct Entry {
    created: Created,
    created_at: DateTime<Utc>,
    log_index: u64,
    /// Who serves it here.
    desk: tokio::sync::Mutex<Option<mpsc::Sender<Call>>>,
    /// Why it cannot be served.
    damage: Mutex<Option<String>>,
}

impl Deployments {
    /// None known yet.
    #[must_use]
    pub fn new(
        (ledger, ledger_url): (Ledger, String),
        (policies, serving, federation): (Policies, Serving, Federation),
        (lease, keeper, checkpoint_decisions): (Duration, Option<Keeper>, u64),
        (work, shutdown): (TaskTracker, CancellationToken),
        metrics: &Metrics,
    ) -> Self {
        let holder = format!("trainer-{}", Uuid::now_v7());
        let (position, table) = (tokio::sync::Mutex::default(), Mutex::default());
        let counters = Counters::new(metrics);
        Self(Arc::new(Inner {
            ledger,
            ledger_url,
            policies,
            serving,
            federation,
            holder,
            lease,
            work,
            shutdown,
            position,
            table,
            counters,
            checkpoint_decisions,
            keeper,
        }))
    }

    /// Deploys a policy; true when it is new. The same once more is the same deployment.
    ///
    /// # Errors
    /// Fields are wrong, another deployment has the name, the remembrancer is away.
    pub async fn create(&self, mut asked: NewDeployment) -> Result<(Deployment, bool), DeployError> {
        self.glance().await?;
        asked.preference = self.weights(&asked).await?;
        if let Some(known) = self.known(&asked.name) {
            asked.starts_at = asked.starts_at.or(known.created.settings.starts_at);
            if known.created.settings == asked {
                return Ok((self.get(&asked.name).await?, false));
            }
            return Err(DeployError::Exists(asked.name));
        }
        asked.starts_at.get_or_insert_with(|| Utc::now().trunc_subsecs(0));
        let policies = self.check(&asked).await?;
        let created = created(asked, &policies)?;
        let recorded = self.ledger().append_body_once(&created).await;
        let is_new = match recorded {
            Ok((_, is_new)) => is_new,
            Err(error) if error.is_conflict() => false, // somebody else was faster
            Err(error) => return Err(error.into()),
        };
        self.glance().await?;
        let (name, settings) = (created.settings.name.clone(), &created.settings);
        let known =
            self.known(&name).ok_or_else(|| DeployError::Internal("it is not in the ledger".to_owned()))?;
        if known.created.settings != *settings {
            return Err(DeployError::Exists(name));
        }
        Ok((self.get(&name).await?, is_new))
    }

    /// All deployments, the newest first.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub async fn list(&self) -> Result<Vec<Deployment>, DeployError> {
        self.glance().await?;
        let mut entries: Vec<_> = self.table().values().cloned().collect();
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.log_index));
        let mut deployments = Vec::with_capacity(entries.len());
        for entry in entries {
            let status = self.status(&entry).await?;
            deployments.push(wire(&entry, status, None));
        }
        Ok(deployments)
    }

    /// A deployment with its stream.
    ///
    /// # Errors
    /// There is none; another trainer serves it; the remembrancer is away.
    pub async fn look(&self, name: &str, now: Option<DateTime<Utc>>) -> Result<Deployment, DeployError> {
        let entry = self.entry(name).await?;
        let stream = self.ask(&entry, |answer| Call::Look(now, answer)).await?;
        let status = self.status(&entry).await?;
        Ok(wire(&entry, status, Some(stream)))
    }

    /// Decides requests, in order. The same ones with the same Idempotency-Key get the same decisions.
    ///
    /// # Errors
    /// Nothing is answered. Decisions may be in the ledger that nobody was told of, where the remembrancer was away.
    pub async fn decide(
        &self,
        name: &str,
        asked: DeploymentRequest,
        key: Option<String>,
    ) -> Result<DeploymentDecisions, DeployError> {
        let entry = self.entry(name).await?;
        let keyed = match key {
            None => None,
            Some(key) => {
                let json = serde_json::to_vec(&asked);
                let json = json.map_err(|error| DeployError::Internal(error.to_string()))?;
                Some(Keyed { key, request_sha256: sha256(&json) })
            }
        };
        self.ask(&entry, |answer| Call::Decide(asked, keyed, answer)).await
    }

    /// What became of a request that a decision deferred.
    ///
    /// # Errors
    /// It is of none that is remembered.
    pub async fn deferred(
        &self,
        name: &str,
        deferral: Uuid,
        now: Option<DateTime<Utc>>,
    ) -> Result<DeferredDecision, DeployError> {
        let entry = self.entry(name).await?;
        let missing = || DeployError::NotDeferred(deferral);
        let (stream, sequence) = parse_decision_id(deferral).ok_or_else(missing)?;
        if stream != stream_of(&entry.created.digest) {
            return Err(missing());
        }
        self.ask(&entry, |answer| Call::Deferred(sequence, now, answer)).await?.ok_or_else(missing)
    }

    /// Says how providers and tenants are.
    ///
    /// # Errors
    /// Fields are wrong, it was stopped, the remembrancer is away.
    pub async fn hear_market(
        &self,
        name: &str,
        update: MarketUpdate,
    ) -> Result<DeploymentStream, DeployError> {
        let entry = self.entry(name).await?;
        self.ask(&entry, |answer| Call::Market(update, answer)).await
    }

    /// Decisions that lack an outcome, the oldest first.
    ///
    /// # Errors
    /// As [`Deployments::look`].
    pub async fn open_decisions(
        &self,
        name: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<OpenDecision>, DeployError> {
        let entry = self.entry(name).await?;
        self.ask(&entry, |answer| Call::Open { after, limit, answer }).await
    }

    /// Promotes a challenger.
    ///
    /// # Errors
    /// There is no such challenger; as [`Deployments::look`].
    pub async fn promote(&self, name: &str, asked: ChangeChampion) -> Result<Deployment, DeployError> {
        self.change(name, Step::Promote, asked).await
    }

    /// Rolls a challenger back, or the champion, where it was one.
    ///
    /// # Errors
    /// As [`Deployments::promote`].
    pub async fn roll_back(&self, name: &str, asked: ChangeChampion) -> Result<Deployment, DeployError> {
        self.change(name, Step::RollBack, asked).await
    }

    async fn change(&self, name: &str, step: Step, asked: ChangeChampion) -> Result<Deployment, DeployError> {
        let entry = self.entry(name).await?;
        self.ask(&entry, |answer| Call::Change(step, asked, answer)).await?;
        self.look(name, None).await
    }

    /// Lets it take no requests any more.
    ///
    /// # Errors
    /// As [`Deployments::look`].
    pub async fn stop(&self, name: &str, reason: Option<String>) -> Result<Deployment, DeployError> {
        let entry = self.entry(name).await?;
        self.ask(&entry, |answer| Call::Stop(reason, answer)).await?;
        self.look(name, None).await
    }

    /// Reads which deployments were created since.
    async fn glance(&self) -> Result<(), DeployError> {
        let mut position = self.0.position.lock().await;
        let query = RecordQuery {
            kind: Some(Created::KIND.record_kind()),
            after_log_index: *position,
            ..RecordQuery::default()
        };
        let time = if position.is_some() { GLANCE } else { REQUEST_DEADLINE };
        let mut records = self.0.ledger.within(time).records(query);
        while let Some(record) = records.next().await? {
            match Created::read(&record) {
                Ok(created) if created.is_sound() => {
                    let entry = Entry {
                        created_at: record.recorded_at,
                        log_index: record.log_index,
                        desk: tokio::sync::Mutex::default(),
                        damage: Mutex::default(),
                        created,
                    };
                    // Of two under one name the first one counts.
                    self.table()
                        .entry(entry.created.settings.name.clone())
                        .or_insert_with(|| Arc::new(entry));
                }
                Ok(_) => tracing::warn!(record = record.id, "a record of a deployment is passed over"),
                Err(error) => tracing::warn!(%error, "a record is passed over"),
            }
            *position = Some(record.log_index);
        }
        Ok(())
    }

    async fn entry(&self, name: &str) -> Result<Arc<Entry>, DeployError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        self.glance().await?;
        self.known(name).ok_or_else(|| DeployError::NotFound(name.to_owned()))
    }

    async fn get(&self, name: &str) -> Result<Deployment, DeployError> {
        let entry = self.entry(name).await?;
        let status = self.status(&entry).await?;
        Ok(wire(&entry, status, None))
    }

    async fn status(&self, entry: &Entry) -> Result<DeploymentStatus, DeployError> {
        let deployment_id = entry.created.deployment_id;
        let stopped = Stopped { deployment_id, reason: None };
        let read = |record: &Record| Stopped::read(record).ok();
        let found = self.ledger().find(&stopped.id(), &stopped.subject(), read).await?;
        Ok(if found.is_some() { DeploymentStatus::Stopped } else { DeploymentStatus::Serving })
    }

    fn known(&self, name: &str) -> Option<Arc<Entry>> {
        self.table().get(name).cloned()
    }

    fn ledger(&self) -> Ledger {
        self.0.ledger.within(REQUEST_DEADLINE)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        // Nothing panics between two changes of the table.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wire(entry: &Entry, status: DeploymentStatus, stream: Option<DeploymentStream>) -> Deployment {
    let Created { deployment_id, digest, settings, algorithm, .. } = &entry.created;
    Deployment {
        name: settings.name.clone(),
        id: *deployment_id,
        status,
        run: *digest,
        settings: settings.clone(),
        algorithm: algorithm.clone(),
        created_at: entry.created_at,
        stream,
    }
}
