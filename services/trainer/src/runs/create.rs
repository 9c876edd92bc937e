//! Starting a run: checked, recorded, then queued.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    FieldError, Hash,
    trainer::{Federate, NewRun},
};
use client::{HeldLease, LedgerError};
use policy::{Prior, Swarm, SwarmConfig, SwarmError};
use records::run::Created;
use uuid::Uuid;

use super::{Key, Runs};
use crate::{
    checkpoint::{CheckpointDocument, CheckpointError},
    digest::sha256,
    ledger::{FILE_DEADLINE, REQUEST_DEADLINE},
    run::Run,
    run_config::RunPlan,
};

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Fields are wrong.
    #[error("the run is not valid")]
    Invalid(Vec<FieldError>),
    /// The key was used for another run.
    #[error("this Idempotency-Key was used for the run {0}, which was asked for with another body")]
    KeyReused(Uuid),
    /// Too many wait already.
    #[error("{0} runs wait or are at work already")]
    TooMany(usize),
    /// The checkpoint does not fit.
    #[error("{error}")]
    Checkpoint {
        /// The field that names it, as a JSON pointer.
        pointer: &'static str,
        /// What does not fit.
        error: CheckpointError,
    },
    /// The remembrancer has no such checkpoint.
    #[error("the remembrancer has no artifact {name}")]
    CheckpointMissing {
        /// The field that names it, as a JSON pointer.
        pointer: &'static str,
        /// Its SHA-256.
        name: Hash,
    },
    /// The remembrancer has no such prior.
    #[error("the remembrancer has no artifact {0}")]
    PriorMissing(Hash),
    /// The prior does not fit.
    #[error("{0}")]
    Prior(SwarmError),
    /// The remembrancer did not take the run's record.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The program is wrong.
    #[error("{0}")]
    Internal(String),
}

/// How long a key stays with a trainer that dies while it starts a run.
const KEY_TTL: Duration = Duration::from_secs(10);

/// The pause before a key that somebody else has is asked for again.
const KEY_PAUSE: Duration = Duration::from_millis(50);

/// An Idempotency-Key's lease; it is given back with this value.
struct KeyLease(Option<HeldLease>);

impl Drop for KeyLease {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            tokio::spawn(async move {
                if let Err(error) = lease.release().await {
                    tracing::warn!(%error, "a key's lease was not given back: it runs out");
                }
            });
        }
    }
}

/// What tells one request for a run from another: which one of a federation it is, is drawn when nobody says it.
///
/// # Errors
/// A figure has no JSON, which checked configurations do not have.
pub(super) fn asked(config: &NewRun) -> Result<Hash, serde_json::Error> {
    let federate = config.federate.map(|federate| Federate { id: None, ..federate });
    let asked = NewRun { federate, ..config.clone() };
    serde_json::to_vec(&asked).map(|json| sha256(&json))
}

impl Runs {
    /// Starts a run, or finds the one that the same key started. It is in the ledger before this
    /// returns, so that it is not forgotten from then on.
    ///
    /// # Errors
    /// Nothing was started.
    pub async fn create(&self, config: NewRun, key: Option<String>) -> Result<Arc<Run>, CreateError> {
        self.create_rewound(config, key, None).await
    }

    /// Like [`Runs::create`]; `rewound_from` is the run that was rewound to begin this one.
    pub(super) async fn create_rewound(
        &self,
        config: NewRun,
        key: Option<String>,
        rewound_from: Option<Uuid>,
    ) -> Result<Arc<Run>, CreateError> {
        let mut plan = self.plan(&config).await?;
        let mut config = plan.run.clone();
        let request = asked(&config).map_err(|error| CreateError::Internal(error.to_string()))?;
        let _one_at_a_time = match &key {
            Some(key) => Some(self.alone_with(key).await?),
            None => None,
        };
        if let Some(run) = self.started_with(key.as_deref(), request)? {
            return Ok(run);
        }
        self.check_checkpoint(&plan).await?;
        self.check_prior(&plan).await?;
        let id = self.reserve(key.as_deref(), request)?;
        if let Some(federate) = &mut config.federate
            && federate.id.is_none()
        {
            // what it takes in of others is its own, so that no other run has its digest
            federate.id = Some(id);
            plan = RunPlan::of_record(&config).map_err(CreateError::Invalid)?;
            config = plan.run.clone();
        }
        let created = Created {
            run_id: id,
            digest: plan.digest,
            environment_sha256: plan.environment_sha256,
            environment_json: Created::environment_json(&config.environment),
            config: config.clone(),
            idempotency_key: key.clone(),
            rewound_from,
        };
        if let Err(error) = self.record(&created).await {
            // What was refused was not recorded; after any other error that is unknown, and the same key
            // must lead to the same run.
            if matches!(error, LedgerError::Refused(_)) {
                self.release(key.as_deref());
            }
            return Err(error.into());
        }
        let run = Arc::new(Run::new(id, plan.digest, config).rewound_from(rewound_from));
        let (run, is_new) = self.insert(run);
        if is_new {
            tracing::info!(run = %run.id, digest = %run.digest, "run created");
            if let Some(assumption) = plan.environment.catalog().assumption() {
                tracing::warn!(run = %run.id, "{assumption}");
            }
            self.see_to(run.clone());
        }
        Ok(run)
    }

    /// What is asked for. What goes on from a checkpoint may have been written by an earlier version, which meant something
    /// else by what it left out: where it fits the checkpoint so, that is what it means.
    async fn plan(&self, config: &NewRun) -> Result<RunPlan, CreateError> {
        let asked = RunPlan::new(config);
        if config.resume_from.is_none() && config.fork.is_none() {
            return asked.map_err(CreateError::Invalid);
        }
        let recorded = RunPlan::of_record(config).map_err(CreateError::Invalid)?;
        match asked {
            Err(_) => Ok(recorded),
            Ok(asked) if asked.digest == recorded.digest => Ok(asked),
            Ok(asked) => {
                let fits = self.check_checkpoint(&recorded).await.is_ok();
                Ok(if fits { recorded } else { asked })
            }
        }
    }

    /// Keeps other trainers from starting a run with the same key meanwhile, and reads what they started before.
    async fn alone_with(&self, key: &str) -> Result<KeyLease, LedgerError> {
        let deadline = Instant::now() + REQUEST_DEADLINE;
        let ledger = self.0.outside.ledger.within(REQUEST_DEADLINE);
        let name = format!("run-key:{}", sha256(key.as_bytes()));
        let lease = loop {
            // One holder a call: two calls of this trainer, too, come one after the other.
            let holder = format!("{}/{}", self.0.holder, Uuid::now_v7());
            match ledger.claim_lease(&name, &holder, KEY_TTL).await {
                Ok(lease) => break KeyLease(Some(lease)),
                // Whoever has it starts a run, and soon gives it back; a deadline ends the waiting.
                Err(error) if error.is_lease_held() && Instant::now() < deadline => {
                    tokio::time::sleep(KEY_PAUSE).await;
                }
                Err(error) if error.is_lease_held() => return Err(LedgerError::Away(error.to_string())),
                Err(error) => return Err(error),
            }
        };
        self.catch_up(&ledger).await?;
        Ok(lease)
    }

    fn started_with(&self, key: Option<&str>, request: Hash) -> Result<Option<Arc<Run>>, CreateError> {
        let table = self.table();
        match key.and_then(|key| table.keys.get(key)) {
            Some(known) if known.request != request => Err(CreateError::KeyReused(known.run)),
            Some(known) => Ok(table.by_id.get(known.run).cloned()),
            None => Ok(None),
        }
    }

    /// The id of a new run; the same one for the same key.
    fn reserve(&self, key: Option<&str>, request: Hash) -> Result<Uuid, CreateError> {
        let mut table = self.table();
        let unfinished = table.by_id.unfinished().count();
        if unfinished >= self.0.limits.unfinished {
            return Err(CreateError::TooMany(unfinished));
        }
        let Some(key) = key else { return Ok(Uuid::now_v7()) };
        let known = *table.keys.entry(key.to_owned()).or_insert_with(|| Key { request, run: Uuid::now_v7() });
        if known.request == request { Ok(known.run) } else { Err(CreateError::KeyReused(known.run)) }
    }

    fn release(&self, key: Option<&str>) {
        if let Some(key) = key {
            self.table().keys.remove(key);
        }
    }

    /// Two calls with the same key may come here with the same run; the first one counts.
    pub(super) fn insert(&self, run: Arc<Run>) -> (Arc<Run>, bool) {
        self.table().by_id.insert(run)
    }

    /// The prior that it begins with, if it does.
    async fn check_prior(&self, plan: &RunPlan) -> Result<(), CreateError> {
        let Some(name) = plan.run.prior else { return Ok(()) };
        let bytes = self.0.outside.ledger.within(FILE_DEADLINE).artifact(&name).await?;
        let bytes = bytes.ok_or(CreateError::PriorMissing(name))?;
        // one agent is enough to find every mistake
        let single = SwarmConfig { agents: 1, ..plan.swarm.clone() };
        let environment = Arc::clone(&plan.environment);
        // It may be large.
        let checked = tokio::task::spawn_blocking(move || {
            let prior = Prior::parse(&bytes)?;
            Swarm::with_prior(single, &environment, &prior).map(drop)
        });
        checked.await.map_err(|error| CreateError::Internal(error.to_string()))?.map_err(CreateError::Prior)
    }

    /// The checkpoint that it begins at, if it does.
    async fn check_checkpoint(&self, plan: &RunPlan) -> Result<(), CreateError> {
        let config = &plan.run;
        let (pointer, name) = match (config.resume_from, config.fork) {
            (Some(name), _) => ("/resume_from", name),
            (None, Some(fork)) => ("/fork/checkpoint", fork.checkpoint),
            (None, None) => return Ok(()),
        };
        let bytes = self.0.outside.ledger.within(FILE_DEADLINE).artifact(&name).await?;
        let bytes = bytes.ok_or(CreateError::CheckpointMissing { pointer, name })?;
        // It may be large.
        let document = tokio::task::spawn_blocking(move || CheckpointDocument::parse(&bytes))
            .await
            .map_err(|error| CreateError::Internal(error.to_string()))?;
        let checked = document.and_then(|document| match config.resume_from {
            Some(_) => document.check(plan),
            None => document.check_fork(plan),
        });
        checked.map_err(|error| CreateError::Checkpoint { pointer, error })
    }
}
