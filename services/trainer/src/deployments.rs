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
    FieldError, Page,
    deployments::{
        DeferredDecision, Deployment, DeploymentDecisions, DeploymentRequest, DeploymentStatus,
        DeploymentStream, MarketUpdate, NewDeployment, OpenDecision,
    },
    policies::{DecisionDetails, Outcome, RecordedOutcome},
    remembrancer::{Action, LeafQuery, Record, RecordQuery},
};
use chrono::{DateTime, SubsecRound as _, Utc};
use client::{Ledger, LedgerError};
use metrics::Counter;
use policy::Exploration;
use records::{
    Body as _,
    deployments::{Created, Opened, Outcome as Told, Stopped, subject},
    serving::Configuration,
};
use service_kit::Metrics;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    deployments::{
        desk::{Answer, Call, Desk},
        engine::Engine,
        schedule::Schedule,
    },
    ledger::{GLANCE, REQUEST_DEADLINE},
    policies::{
        Policies, Policy,
        identity::{Identity, parse_decision_id, stream_of},
    },
    serving::{OutcomeError, Serving, evidence_url},
};

mod desk;
mod engine;
mod market;
mod replay;
mod schedule;
mod view;

/// The format and version of what a stream's digest is over.
const STREAM_FORMAT: &str = "ai-mesh-deployment/1";

/// Calls that may wait for a deployment.
const QUEUE: usize = 4096;

/// Calls that are taken at once.
const GROUP: usize = 512;

/// All deployments of the ledger. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Deployments(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    ledger_url: String,
    policies: Policies,
    serving: Serving,
    /// Who this trainer is in leases.
    holder: String,
    lease: Duration,
    work: TaskTracker,
    shutdown: CancellationToken,
    /// The last record of a new deployment that was read, by its place in the log.
    position: tokio::sync::Mutex<Option<u64>>,
    table: Mutex<HashMap<String, Arc<Entry>>>,
    missing: Counter,
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

/// Why a deployment does not do what is asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeployError {
    /// Fields are wrong.
    #[error("the call is not valid")]
    Invalid(Vec<FieldError>),
    /// There is none of this name.
    #[error("there is no deployment `{0}`")]
    NotFound(String),
    /// Another one has the name.
    #[error("another deployment has the name `{0}`")]
    Exists(String),
    /// It takes nothing any more.
    #[error("the deployment `{0}` was stopped")]
    Stopped(String),
    /// Another trainer serves it.
    #[error("another trainer serves the deployment")]
    Elsewhere,
    /// It has more calls than it can answer.
    #[error("the deployment has as many calls as may wait")]
    Busy,
    /// The ledger does not give what this program makes of it.
    #[error("{0}")]
    Damaged(String),
    /// Another outcome is recorded.
    #[error("another outcome of the decision {0} is recorded")]
    OutcomeConflict(Uuid),
    /// No request of it waited or waits under this decision.
    #[error("the decision {0} deferred no request")]
    NotDeferred(Uuid),
    /// The ledger did not do what is needed.
    #[error("{0}")]
    Away(String),
    /// The program is wrong.
    #[error("{0}")]
    Internal(String),
}

impl DeployError {
    /// What a call is told of the ledger's error.
    fn away(error: &LedgerError) -> Self {
        match error {
            error if error.is_lease_lost() => Self::Elsewhere,
            LedgerError::Away(_) | LedgerError::ShuttingDown => Self::Away(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }

    /// The same for another call.
    fn again(&self) -> Self {
        self.clone()
    }
}

impl From<LedgerError> for DeployError {
    fn from(error: LedgerError) -> Self {
        Self::away(&error)
    }
}

impl Deployments {
    /// None known yet.
    #[must_use]
    pub fn new(
        (ledger, ledger_url): (Ledger, String),
        (policies, serving): (Policies, Serving),
        lease: Duration,
        (work, shutdown): (TaskTracker, CancellationToken),
        metrics: &Metrics,
    ) -> Self {
        let holder = format!("trainer-{}", Uuid::now_v7());
        let (position, table) = (tokio::sync::Mutex::default(), Mutex::default());
        let missing = metrics.counter(
            "ai_mesh_deployment_outcomes_missing_total",
            "Jobs of deployments of which nothing was told in time.",
            &[],
        );
        Self(Arc::new(Inner {
            ledger,
            ledger_url,
            policies,
            serving,
            holder,
            lease,
            work,
            shutdown,
            position,
            table,
            missing,
        }))
    }

    /// Deploys a policy; true when it is new. The same once more is the same deployment.
    ///
    /// # Errors
    /// Fields are wrong, another deployment has the name, the remembrancer is away.
    pub async fn create(&self, mut asked: NewDeployment) -> Result<(Deployment, bool), DeployError> {
        self.glance().await?;
        if let Some(known) = self.known(&asked.name) {
            asked.starts_at = asked.starts_at.or(known.created.settings.starts_at);
            if known.created.settings == asked {
                return Ok((self.get(&asked.name).await?, false));
            }
            return Err(DeployError::Exists(asked.name));
        }
        asked.starts_at.get_or_insert_with(|| Utc::now().trunc_subsecs(0));
        let policy = self.check(&asked).await?;
        let created = created(asked, &policy)?;
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

    /// Decides requests, in order.
    ///
    /// # Errors
    /// Nothing is answered. Decisions may be in the ledger that nobody was told of, where the remembrancer was away.
    pub async fn decide(
        &self,
        name: &str,
        asked: DeploymentRequest,
    ) -> Result<DeploymentDecisions, DeployError> {
        let entry = self.entry(name).await?;
        self.ask(&entry, |answer| Call::Decide(asked, answer)).await
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

    /// Lets it take no requests any more.
    ///
    /// # Errors
    /// As [`Deployments::look`].
    pub async fn stop(&self, name: &str, reason: Option<String>) -> Result<Deployment, DeployError> {
        let entry = self.entry(name).await?;
        self.ask(&entry, |answer| Call::Stop(reason, answer)).await?;
        self.look(name, None).await
    }

    /// The deployment whose decision this is.
    async fn of_decision(&self, decision: Uuid) -> Option<(Arc<Entry>, u64)> {
        let (stream, sequence) = parse_decision_id(decision)?;
        let find = || self.table().values().find(|entry| stream_of(&entry.created.digest) == stream).cloned();
        if let Some(entry) = find() {
            return Some((entry, sequence));
        }
        if let Err(error) = self.glance().await {
            tracing::warn!(%error, "the remembrancer does not say which deployments there are");
        }
        find().map(|entry| (entry, sequence))
    }

    /// Records what became of a decision, if a deployment made it; true when it is new.
    ///
    /// # Errors
    /// There is no such decision, it routed nothing, another outcome is recorded, the remembrancer is away.
    pub async fn tell(
        &self,
        id: Uuid,
        outcome: &Outcome,
    ) -> Result<Option<(RecordedOutcome, bool)>, TellError> {
        let Some((entry, sequence)) = self.of_decision(id).await else { return Ok(None) };
        let hear = |even_if_unknown| {
            let outcome = outcome.clone();
            self.ask(&entry, move |answer| Call::Hear { sequence, outcome, even_if_unknown, answer })
        };
        let heard = match hear(false).await? {
            Some(heard) => Some(heard),
            None => {
                // Nobody waits for it: it may be too late, or be of no job.
                let row = view::decision(&self.ledger(), entry.created.digest, sequence).await?;
                let row = row.ok_or(TellError::Outcome(OutcomeError::NotFound(id)))?;
                if row.action != Action::Route {
                    return Err(TellError::Outcome(OutcomeError::NotRouted(id)));
                }
                hear(true).await?
            }
        };
        let (receipt, is_new) = heard.ok_or(TellError::Outcome(OutcomeError::NotFound(id)))?;
        Ok(Some((RecordedOutcome { decision_id: id, outcome: outcome.clone(), receipt }, is_new)))
    }

    /// A decision with its outcome, if a deployment made it.
    ///
    /// # Errors
    /// There is no such decision, the remembrancer is away.
    pub async fn details(&self, id: Uuid) -> Result<Option<DecisionDetails>, TellError> {
        let Some((entry, sequence)) = self.of_decision(id).await else { return Ok(None) };
        let (run, ledger) = (entry.created.digest, self.ledger());
        let leaf = LeafQuery { run: Some(run), sequence: Some(sequence), ..LeafQuery::default() };
        let evidence = ledger.evidence(&leaf).await.map_err(DeployError::from)?;
        let evidence = evidence.ok_or(TellError::Outcome(OutcomeError::NotFound(id)))?;
        let decision = serde_json::from_str(evidence.record.get())
            .map_err(|error| DeployError::Internal(error.to_string()))?;
        let deployment = entry.created.deployment_id;
        let read = |record: &Record| Some((record.id.clone(), Told::read(record).ok()?));
        let told = ledger.find(&Told::id_of(deployment, sequence), &subject(deployment), read).await;
        let told = told.map_err(DeployError::from)?;
        Ok(Some(DecisionDetails {
            id,
            policy_id: entry.created.settings.policy_id,
            log_index: evidence.log_index,
            evidence_url: evidence_url(&self.0.ledger_url, &run, sequence),
            decision,
            outcome_record_id: told.as_ref().map(|(record, _)| record.clone()),
            outcome: told.map(|(_, told)| told.outcome),
        }))
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

    /// Asks whoever serves it, which is this trainer from now on if nobody else does.
    async fn ask<T>(
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

    async fn desk(&self, entry: &Arc<Entry>) -> Result<mpsc::Sender<Call>, DeployError> {
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
        let engine = match self.engine(&entry.created).await {
            Ok(engine) => engine,
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
                tokio::select! {
                    () = deployments.0.shutdown.cancelled() => {}
                    () = lease.lost().cancelled() => {}
                    () = deployments.serve(&entry, ledger, engine, calls) => {}
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
        mut engine: Engine,
        mut calls: mpsc::Receiver<Call>,
    ) {
        let Created { deployment_id, settings, .. } = &entry.created;
        let replayed = match replay::replay(&ledger, *deployment_id, &mut engine).await {
            Ok(replayed) => replayed,
            Err(error) => {
                tracing::error!(deployment = settings.name, %error, "the deployment cannot be continued");
                if let replay::ReplayError::Differs(what) = error {
                    *entry.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
                }
                return;
            }
        };
        let session_id = Uuid::now_v7();
        let opened = Opened { deployment_id: *deployment_id, session_id };
        if let Err(error) = ledger.append_body(&opened).await {
            tracing::error!(deployment = settings.name, %error, "the deployment cannot be opened");
            return;
        }
        tracing::info!(
            deployment = settings.name,
            decisions = engine.next_sequence(),
            "the deployment is served here"
        );
        let place = (*deployment_id, settings.name.clone(), settings.clock);
        let known = (replayed, self.0.missing.clone());
        let mut desk = Desk::new(place, session_id, ledger, self.0.ledger_url.clone(), engine, known);
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
        }
    }

    /// A stream of which nothing was asked.
    async fn engine(&self, created: &Created) -> Result<Engine, DeployError> {
        let settings = &created.settings;
        let policy = self.policy(settings.policy_id).await?;
        let policy =
            policy.ok_or_else(|| DeployError::Damaged("its policy is not in the ledger any more".into()))?;
        let (env, swarm, reward) =
            self.0.serving.made(&policy).await.map_err(|error| DeployError::Internal(error.to_string()))?;
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
        Ok(Engine::new(env, swarm, reward, created.digest, schedule, exploration))
    }

    /// # Errors
    /// A field is wrong.
    async fn check(&self, asked: &NewDeployment) -> Result<Arc<Policy>, DeployError> {
        let wrong = |pointer: &str, detail: String| {
            DeployError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }])
        };
        if asked.settle_seconds >= asked.step_seconds {
            let detail = format!("expected less than `step_seconds`, {}", asked.step_seconds);
            return Err(wrong("/settle_seconds", detail));
        }
        let policy = self.policy(asked.policy_id).await?.ok_or_else(|| {
            wrong("/policy_id", "there is no such policy: `GET /v1/policies` lists them".to_owned())
        })?;
        let (_, swarm, _) = self
            .0
            .serving
            .made(&policy)
            .await
            .map_err(|error| wrong("/policy_id", format!("it cannot be made: {error}")))?;
        if !swarm.decides_one_by_one() {
            let detail = "expected a policy whose agents take requests in turn: agents of regions (`regions`) divide a \
                          step's requests beforehand, which a stream's are not known";
            return Err(wrong("/policy_id", detail.to_owned()));
        }
        Ok(policy)
    }

    async fn policy(&self, id: Uuid) -> Result<Option<Arc<Policy>>, DeployError> {
        if let Some(known) = self.0.policies.get(id) {
            return Ok(Some(known));
        }
        self.0.policies.glance().await;
        Ok(self.0.policies.get(id))
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

/// Why an outcome was not recorded, or a decision not shown.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// Of the decision.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// Of its deployment.
    #[error(transparent)]
    Deployment(#[from] DeployError),
}

fn damage(entry: &Entry) -> Option<String> {
    entry.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What is recorded of a new deployment.
fn created(settings: NewDeployment, policy: &Policy) -> Result<Created, DeployError> {
    let identity = Identity::new(None, policy.source, policy.environment_sha256);
    let configuration = Configuration { format: STREAM_FORMAT.to_owned(), ..identity.stream(policy.id) };
    Created::new(settings, configuration, policy.algorithm.clone())
        .map_err(|error| DeployError::Internal(error.to_string()))
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
