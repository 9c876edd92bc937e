//! The policies that this trainer can be asked for decisions: what its runs learned, and what was imported.
//!
//! Everything is in the ledger: a run's policy follows from the run's records, an imported one from its own
//! ([`records::policy`]). What is here is a view of them, built again at the next start.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use api::{
    FieldError, Hash,
    policies::{Policy as WirePolicy, PolicyKind},
    trainer::{AssumedPrice, EnvironmentSpec, RunQuery, RunStatus},
};
use axum::body::Bytes;
use chrono::{DateTime, SubsecRound as _, Utc};
use client::{Ledger, LedgerError};
use merkle_log::CanonicalError;
use policy::Rule;
use records::policy::Imported;
use routing_env::{Actions, Environment};
use uuid::Uuid;

use crate::{
    digest::environment_sha256,
    ledger::FILE_DEADLINE,
    policies::identity::Identity,
    run::Run,
    run_config::{assumed_prices, environment},
    runs::Runs,
};

pub mod identity;
mod import;
mod recovery;

pub use import::ImportError;

/// What a policy decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A policy file, an artifact.
    Learned(Hash),
    /// A hand rule.
    Rule(Rule),
}

/// A policy and where it decides.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its id.
    pub id: Uuid,
    /// Its name for people.
    pub name: Option<String>,
    /// What it decides by.
    pub source: Source,
    /// The learner's name, or the rule's.
    pub algorithm: String,
    /// How many agents decide in turn.
    pub agents: u32,
    /// The run that learned it.
    pub run: Option<Uuid>,
    /// Where it decides.
    pub environment: EnvironmentSpec,
    /// SHA-256 of the environment's definition.
    pub environment_sha256: Hash,
    /// What its catalog lists without a price.
    pub assumed_prices: Vec<AssumedPrice>,
    /// What it may do beside routing.
    pub actions: Actions,
    /// The `run` of its decisions.
    pub digest: Hash,
    /// When it was imported, or its run ended.
    pub created_at: DateTime<Utc>,
    /// The record that says where it comes from.
    pub record_id: String,
}

/// What a policy is described from.
struct Origin {
    id: Uuid,
    name: Option<String>,
    source: Source,
    algorithm: String,
    agents: u32,
    run: Option<Uuid>,
    environment: EnvironmentSpec,
    created_at: DateTime<Utc>,
    record_id: String,
}

/// Why a policy that the ledger tells of cannot be used here.
#[derive(Debug, thiserror::Error)]
enum DescribeError {
    #[error("its environment is not valid any more: {}", .0.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect::<Vec<_>>().join("; "))]
    Environment(Vec<FieldError>),
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// The registry. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Policies(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    runs: Runs,
    recovered: AtomicBool,
    /// The last record of an imported policy that was read, by its place in the log.
    position: tokio::sync::Mutex<Option<u64>>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<Uuid, Arc<Policy>>,
    /// By the part of a stream's digest that is in a decision's id.
    by_stream: HashMap<u64, Arc<Policy>>,
}

impl Policies {
    /// The policies of these runs, and none imported yet.
    #[must_use]
    pub fn new(ledger: Ledger, runs: Runs) -> Self {
        let (recovered, position) = (AtomicBool::new(false), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { ledger, runs, recovered, position, table: Mutex::default() }))
    }

    /// What it waits for, in a sentence; `None` when the imported policies are there.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let recovered = self.0.recovered.load(Ordering::Acquire);
        (!recovered).then(|| "the imported policies are being read from the remembrancer".to_owned())
    }

    /// A policy by its id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<Policy>> {
        if let Some(known) = self.known(id) {
            return Some(known);
        }
        let run = self.0.runs.get(id)?;
        self.of_run(&run)
    }

    /// A policy that somebody asked for before.
    #[must_use]
    pub fn known(&self, id: Uuid) -> Option<Arc<Policy>> {
        self.table().by_id.get(&id).cloned()
    }

    /// The policy whose decisions have this in their ids ([`identity::decision_id`]).
    #[must_use]
    pub fn of_stream(&self, stream: u64) -> Option<Arc<Policy>> {
        if let Some(known) = self.table().by_stream.get(&stream) {
            return Some(known.clone());
        }
        self.look_at_runs();
        self.table().by_stream.get(&stream).cloned()
    }

    /// Up to `limit` policies that `wanted` holds for, the newest first, from the one after `after` on.
    #[must_use]
    pub fn list(
        &self,
        wanted: impl Fn(&Policy) -> bool,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: usize,
    ) -> Vec<Arc<Policy>> {
        self.look_at_runs();
        let is_below = |policy: &Policy| after.is_none_or(|after| (policy.created_at, policy.id) < after);
        let mut policies: Vec<_> =
            self.table().by_id.values().filter(|p| is_below(p) && wanted(p)).cloned().collect();
        policies.sort_unstable_by_key(|policy| std::cmp::Reverse((policy.created_at, policy.id)));
        policies.truncate(limit);
        policies
    }

    /// A policy file; `None` when the remembrancer does not have it any more.
    ///
    /// # Errors
    /// The remembrancer is away, or refuses.
    pub async fn file(&self, name: Hash) -> Result<Option<Bytes>, LedgerError> {
        self.0.ledger.within(FILE_DEADLINE).artifact(&name).await
    }

    /// The policy that a run learned, when it has.
    fn of_run(&self, run: &Run) -> Option<Arc<Policy>> {
        let origin = {
            let state = run.state();
            Origin {
                id: run.id,
                name: None,
                source: Source::Learned(state.policy_sha256?),
                algorithm: run.config.algorithm_name().to_owned(),
                agents: run.config.agents,
                run: Some(run.id),
                environment: run.config.environment.clone(),
                created_at: state.ended_at?,
                record_id: state.record_id.clone()?,
            }
        };
        match Policy::describe(origin) {
            Ok(policy) => Some(self.insert(policy).0),
            Err(error) => {
                tracing::warn!(run = %run.id, %error, "the run's policy cannot be asked for decisions");
                None
            }
        }
    }

    fn look_at_runs(&self) {
        let completed = RunQuery { status: Some(RunStatus::Completed), ..RunQuery::default() };
        for run in self.0.runs.list(&completed, None, usize::MAX) {
            let known = self.table().by_id.contains_key(&run.id);
            if !known {
                self.of_run(&run);
            }
        }
    }

    /// Whoever comes first counts; true when it is this one.
    fn insert(&self, policy: Policy) -> (Arc<Policy>, bool) {
        let mut table = self.table();
        if let Some(there) = table.by_id.get(&policy.id) {
            return (there.clone(), false);
        }
        let policy = Arc::new(policy);
        table.by_id.insert(policy.id, policy.clone());
        table.by_stream.insert(identity::stream_of(&policy.digest), policy.clone());
        (policy, true)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two changes of the table.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policy {
    fn describe(origin: Origin) -> Result<Self, DescribeError> {
        let Origin { id, name, source, algorithm, agents, run, environment: spec, created_at, record_id } =
            origin;
        let environment = environment(&spec).map_err(DescribeError::Environment)?;
        let environment_sha256 = environment_sha256(&environment);
        if let Some(assumption) = environment.catalog().assumption() {
            tracing::warn!(policy = %id, "{assumption}");
        }
        Ok(Self {
            id,
            name,
            source,
            algorithm,
            agents,
            run,
            environment: spec,
            environment_sha256,
            assumed_prices: assumed_prices(environment.catalog()),
            actions: environment.workloads().actions,
            digest: Identity::new(None, source, environment_sha256).stream_digest(id)?,
            created_at: created_at.trunc_subsecs(6), // as a list's cursor tells it
            record_id,
        })
    }

    /// Whether an imported policy has the id that follows from what it is.
    fn is_named_rightly(&self) -> bool {
        let identity = Identity::new(self.name.as_deref(), self.source, self.environment_sha256);
        identity.policy_id().is_ok_and(|id| id == self.id)
    }

    /// The policy file's name, when it was learned.
    #[must_use]
    pub fn file(&self) -> Option<Hash> {
        match self.source {
            Source::Learned(sha256) => Some(sha256),
            Source::Rule(_) => None,
        }
    }

    /// Where it decides, made again.
    ///
    /// # Errors
    /// Says what is wrong with an environment that was valid when the policy was described.
    pub fn environment(&self) -> Result<Environment, Vec<FieldError>> {
        environment(&self.environment)
    }

    /// What is written down of it when it is imported.
    ///
    /// # Errors
    /// Never for an environment that came as JSON.
    pub fn imported(&self) -> Result<Imported, serde_json::Error> {
        Ok(Imported {
            policy_id: self.id,
            name: self.name.clone(),
            algorithm: self.algorithm.clone(),
            agents: self.agents,
            policy_sha256: self.file(),
            environment_sha256: self.environment_sha256,
            environment_json: serde_json::to_string(&self.environment)?,
        })
    }

    /// As the API shows it.
    #[must_use]
    pub fn to_wire(&self) -> WirePolicy {
        WirePolicy {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind(),
            algorithm: self.algorithm.clone(),
            agents: self.agents,
            policy_sha256: self.file(),
            run_id: self.run,
            environment: self.environment.clone(),
            environment_sha256: self.environment_sha256,
            assumed_prices: self.assumed_prices.clone(),
            may_hold: self.actions.hold,
            may_defer: self.actions.defer,
            digest: self.digest,
            created_at: self.created_at,
            record_id: self.record_id.clone(),
        }
    }

    /// Learned, or a hand rule.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        match self.source {
            Source::Learned(_) => PolicyKind::Learned,
            Source::Rule(_) => PolicyKind::Rule,
        }
    }
}
