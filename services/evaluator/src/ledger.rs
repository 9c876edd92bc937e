//! What the evaluator keeps in the ledger: policies come from there, and what was asked for and found goes there.

use std::time::Duration;

use api::{
    Hash, Page,
    evaluator::{Evaluation, EvaluationResult, EvaluationStatus, EvaluationValues, NewEvaluation},
    remembrancer::{ConsistencyQuery, Record, RecordKind, RecordQuery},
};
use chrono::{DateTime, Utc};
use client::{ClientError, HeldLease, LedgerError, Remembrancer};
use evaluation::{
    episodes::{Contestant, with_never_trained},
    origin::Provenance,
    plan::Plan,
};
use limit::Limit;
use records::{
    Body as _,
    evaluation::{Completed, Created, Failed, FinalOpened, subject},
    limit::Solved,
    run,
};
use uuid::Uuid;

use crate::{error::EvaluationError, plan::assumed_prices, policies};

/// All records about evaluations, those of earlier versions too.
const ALL: RecordKind = RecordKind::from_static("evaluation");

/// All records about runs, those of earlier versions too.
const RUNS: RecordKind = RecordKind::from_static("run");

/// What an evaluation has once it has ended.
const ENDED: &str = "evaluation.completed,evaluation.failed";

/// Records asked for at once.
const PAGE: u32 = 100;

/// How long a caller's request waits for a remembrancer that is away.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How long it waits for a policy file, which may be large.
pub(crate) const FILE_DEADLINE: Duration = Duration::from_secs(25);

/// The ledger as the evaluator sees it.
#[derive(Clone)]
pub(crate) struct Ledger {
    remembrancer: Remembrancer,
    ledger: client::Ledger,
}

/// An evaluation that is to be done: everything about it was checked, and it is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: Uuid,
    pub(crate) config: NewEvaluation,
    pub(crate) created_at: DateTime<Utc>,
}

/// How an evaluation ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Completed(Box<EvaluationResult>),
    Failed(String),
}

/// An evaluation that has ended, as the ledger has it.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    id: Uuid,
    config: NewEvaluation,
    outcome: Outcome,
    recorded_at: DateTime<Utc>,
}

impl Ledger {
    /// The ledger that this remembrancer keeps, asked until the deadline of `ledger`.
    pub(crate) fn new(remembrancer: Remembrancer, ledger: client::Ledger) -> Self {
        Self { remembrancer, ledger }
    }

    /// The same, as all services ask it.
    pub(crate) fn asked(&self) -> &client::Ledger {
        &self.ledger
    }

    /// How many leaves the log has.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn log_size(&self) -> Result<u64, EvaluationError> {
        Ok(self.ledger.within(REQUEST_DEADLINE).checkpoint().await?.tree_size)
    }

    /// The root over as many leaves of the log, at least one.
    ///
    /// # Errors
    /// The remembrancer is away, or the log has fewer.
    pub(crate) async fn root_at(&self, tree_size: u64) -> Result<Hash, EvaluationError> {
        let query = ConsistencyQuery { from: tree_size, to: None };
        Ok(self.ledger.within(REQUEST_DEADLINE).consistency(&query).await?.from_root)
    }

    /// The learned policies that take part, and the same never trained.
    ///
    /// # Errors
    /// A policy that is missing, no policy, trained for another catalog, or trained on a test seed; trainings of a policy
    /// that are none.
    pub(crate) async fn contestants(&self, plan: &Plan) -> Result<Vec<Contestant>, EvaluationError> {
        let mut learned = Vec::with_capacity(plan.policies.len());
        for policy in &plan.policies {
            let mut trainings = Vec::with_capacity(policy.len());
            for sha256 in policy.iter().map(|artifact| Hash(*artifact)) {
                let bytes = self.ledger.within(FILE_DEADLINE).artifact(&sha256).await?;
                let bytes = bytes.ok_or(EvaluationError::PolicyNotFound(sha256))?;
                let provenance = self.provenance(&sha256).await?;
                let (environment, seeds, kind) =
                    (plan.environment.clone(), plan.seeds.clone(), plan.kind.clone());
                let is_constrained = !plan.constraints.is_empty();
                // a large policy takes a while to parse
                let read = move || {
                    let wanted = kind.preferences();
                    policies::read(sha256, &bytes, provenance, &environment, wanted, is_constrained, &seeds)
                };
                let training = tokio::task::spawn_blocking(read).await;
                trainings.push(training.map_err(|panic| {
                    EvaluationError::InvalidPolicy(sha256, format!("reading it failed: {panic}"))
                })??);
            }
            learned.push(policies::contestant(trainings)?);
        }
        let first =
            plan.policies.first().and_then(|policy| policy.first()).map_or(Hash([0; 32]), |a| Hash(*a));
        let contestants = with_never_trained(learned, &plan.environment, plan.kind.first_preference())
            .map_err(|error| EvaluationError::InvalidPolicy(first, error.to_string()))?;
        Ok(contestants)
    }

    /// Whether a recorded run wrote exactly this policy file.
    async fn provenance(&self, sha256: &Hash) -> Result<Provenance, LedgerError> {
        let query = RecordQuery { kind: Some(RUNS), q: Some(sha256.to_string()), ..RecordQuery::default() };
        let mut records = self.ledger.within(REQUEST_DEADLINE).records(query);
        while let Some(record) = records.next().await? {
            let wrote = run::Ended::read(&record).ok().filter(|ended| ended.policy_sha256 == Some(*sha256));
            if let Some(ended) = wrote {
                return Ok(Provenance::Recorded { run: ended.digest.0 });
            }
        }
        Ok(Provenance::Unverified)
    }

    /// Records that an evaluation opens the final seeds, and tells how often they had been opened for its preset, this time
    /// included. An evaluation opens them once, however often it is begun.
    ///
    /// # Errors
    /// The remembrancer is away or refuses.
    pub(crate) async fn open_final(&self, accepted: &Accepted, plan: &Plan) -> Result<u64, EvaluationError> {
        let environment = plan.environment.preset().name().to_owned();
        let opened = FinalOpened {
            evaluation_id: accepted.id,
            environment: environment.clone(),
            environment_digest: Hash(plan.environment_digest),
            first_seed: plan.seeds.first().copied().unwrap_or_default(),
            seeds: accepted.config.seeds,
            policies: accepted.config.policies.iter().map(|policy| policy.artifacts().to_vec()).collect(),
        };
        let ledger = self.ledger.within(REQUEST_DEADLINE);
        let record = opened.to_record().map_err(LedgerError::from)?;
        ledger.append_own(&record, |there| FinalOpened::read(there).is_ok()).await?;
        let kind = Some(FinalOpened::KIND.record_kind());
        let mut records = ledger.records(RecordQuery { kind, limit: Some(PAGE), ..RecordQuery::default() });
        let mut count = 0;
        while let Some(record) = records.next().await? {
            let Ok(one) = FinalOpened::read(&record) else { continue };
            count += u64::from(one.environment == environment);
            if one == opened {
                break; // later ones do not concern it
            }
        }
        Ok(count)
    }

    /// Keeps what every policy achieved on every seed, so that everybody can compute the result again.
    ///
    /// # Errors
    /// The remembrancer is away or refuses.
    pub(crate) async fn keep_values(&self, values: &EvaluationValues) -> Result<Hash, EvaluationError> {
        let bytes = serde_json::to_vec(values).map_err(LedgerError::from)?;
        Ok(self.ledger.put_artifact("application/json", bytes).await?)
    }

    /// What every policy achieved on every seed; `None` when the artifact is gone.
    ///
    /// # Errors
    /// The remembrancer is away, or the artifact is none of this service.
    pub(crate) async fn values(&self, sha256: &Hash) -> Result<Option<EvaluationValues>, EvaluationError> {
        let Some(bytes) = self.ledger.within(FILE_DEADLINE).artifact(sha256).await? else { return Ok(None) };
        let foreign = |error: serde_json::Error| EvaluationError::ForeignValues(*sha256, error.to_string());
        serde_json::from_slice(&bytes).map(Some).map_err(foreign)
    }

    /// Writes a limit down that was solved, when the remembrancer is there again.
    ///
    /// # Errors
    /// It refuses, or this process shuts down.
    pub(crate) async fn record_limit(&self, key: &Hash, limit: &Limit) -> Result<(), LedgerError> {
        let &Limit { steps, requests, routed, cost_usd, latency_ms, reward } = limit;
        let solved = Solved { key: *key, steps, requests, routed, cost_usd, latency_ms, reward };
        self.ledger.append_body(&solved).await.map(drop)
    }

    /// The limit that was recorded under its key; `None` when there is none, or the record is no limit.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn limit(&self, key: &Hash) -> Result<Option<Limit>, LedgerError> {
        let id = Solved::id_of(key);
        let solved = self.ledger.within(REQUEST_DEADLINE).body::<Solved>(&id, &id).await?; // its subject is its id
        Ok(solved.map(|Solved { steps, requests, routed, cost_usd, latency_ms, reward, .. }| Limit {
            steps,
            requests,
            routed,
            cost_usd,
            latency_ms,
            reward,
        }))
    }

    /// Records that an evaluation was accepted. From then on it is done by whoever claims it, and survives this process.
    ///
    /// # Errors
    /// [`EvaluationError::KeyReused`] when another one has this id; the remembrancer is away.
    pub(crate) async fn accept(&self, created: &Created) -> Result<Accepted, EvaluationError> {
        let record = created.to_record().map_err(LedgerError::from)?;
        let id = created.evaluation_id;
        let ledger = self.ledger.within(REQUEST_DEADLINE);
        match ledger.append_own(&record, |there| accepted(there).is_ok()).await {
            Ok(_) => self.accepted(id).await?.ok_or(EvaluationError::NotFound(id)),
            Err(error) if error.is_conflict() => Err(EvaluationError::KeyReused(id)),
            Err(error) => Err(error.into()),
        }
    }

    /// What was accepted under this id.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn accepted(&self, id: Uuid) -> Result<Option<Accepted>, EvaluationError> {
        let ledger = self.ledger.within(REQUEST_DEADLINE);
        Ok(ledger.find(&Created::id_of(id), &subject(id), |record| accepted(record).ok()).await?)
    }

    /// The accepted evaluations about which no end is recorded, the oldest first, as many as `limit`. One that somebody
    /// else recorded an end of is not among them: see [`Ledger::ended`].
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn unfinished(&self, limit: u32) -> Result<Vec<Accepted>, EvaluationError> {
        let query = RecordQuery {
            kind: Some(Created::KIND.record_kind()),
            without: Some(ENDED.into()),
            newest_first: Some(false),
            limit: Some(PAGE),
            ..RecordQuery::default()
        };
        let mut records = self.ledger.within(REQUEST_DEADLINE).records(query);
        let mut unfinished = Vec::new();
        // what others planted must not hide what is to be done
        while unfinished.len() < limit as usize
            && let Some(record) = records.next().await?
        {
            unfinished.extend(accepted(&record).inspect_err(passed_over).ok());
        }
        Ok(unfinished)
    }

    /// Every accepted evaluation, the newest first.
    ///
    /// # Errors
    /// The remembrancer is away, or does not know the cursor.
    pub(crate) async fn all_accepted(
        &self,
        limit: u32,
        cursor: Option<String>,
    ) -> Result<Page<Accepted>, EvaluationError> {
        let kind = Some(Created::KIND.record_kind());
        let query = RecordQuery { kind, limit: Some(limit), cursor, ..newest_first() };
        self.page(&query, accepted).await
    }

    /// Evaluations of the time when only their results were recorded, the newest first.
    ///
    /// # Errors
    /// The remembrancer is away, or does not know the cursor.
    pub(crate) async fn early(
        &self,
        limit: u32,
        cursor: Option<String>,
    ) -> Result<Page<Ended>, EvaluationError> {
        let without = Some(Created::KIND.name.into());
        let query = RecordQuery { kind: Some(ALL), without, limit: Some(limit), cursor, ..newest_first() };
        self.page(&query, ended).await
    }

    /// How an evaluation ended, if it has.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn ended(&self, id: Uuid) -> Result<Option<Ended>, EvaluationError> {
        let ledger = self.ledger.within(REQUEST_DEADLINE);
        Ok(ledger.find(&Completed::id_of(id), &subject(id), |record| ended(record).ok()).await?)
    }

    /// Claims the work on an evaluation.
    ///
    /// # Errors
    /// Somebody else has it; the remembrancer is away.
    pub(crate) async fn claim(
        &self,
        id: Uuid,
        holder: &str,
        ttl: Duration,
    ) -> Result<HeldLease, ClientError> {
        HeldLease::claim(&self.remembrancer, &subject(id), holder, ttl).await
    }

    /// Records how an evaluation ended, as whoever holds its lease. While the remembrancer is away, this waits.
    ///
    /// # Errors
    /// The lease is somebody else's, the remembrancer refuses, or this process shuts down.
    pub(crate) async fn end(
        &self,
        lease: &HeldLease,
        accepted: &Accepted,
        outcome: &Outcome,
    ) -> Result<(), LedgerError> {
        let (id, config) = (accepted.id, accepted.config.clone());
        let record = match outcome {
            Outcome::Completed(result) => {
                Completed::new(id, config, EvaluationResult::clone(result))?.to_record()?
            }
            Outcome::Failed(error) => Failed::new(id, config, error.clone())?.to_record()?,
        };
        self.ledger.fenced(lease.fence()).append_own(&record, |there| ended(there).is_ok()).await.map(drop)
    }

    /// What is missing for the ledger to be used; nothing when all is well.
    pub(crate) async fn missing(&self) -> Option<String> {
        match self.ledger.ready().await {
            Ok(()) => None,
            Err(error) => Some(format!("the remembrancer cannot be used: {error}")),
        }
    }

    /// One page of a query, as far as this service wrote what it finds: whoever can post to the ledger can post records of
    /// another form.
    async fn page<T>(
        &self,
        query: &RecordQuery,
        read: fn(&Record) -> Result<T, EvaluationError>,
    ) -> Result<Page<T>, EvaluationError> {
        let page = self.ledger.within(REQUEST_DEADLINE).page(query).await?;
        let items =
            page.items.iter().filter_map(|record| read(record).inspect_err(passed_over).ok()).collect();
        Ok(Page { items, next_cursor: page.next_cursor })
    }
}

impl Ended {
    /// The evaluation as callers see it. When it was accepted may not be recorded; it is then as old as its end.
    pub(crate) fn told(self, created_at: Option<DateTime<Utc>>) -> Evaluation {
        let mut evaluation = Evaluation {
            id: self.id,
            status: EvaluationStatus::Failed,
            assumed_prices: assumed_prices(&self.config.environment),
            config: self.config,
            created_at: created_at.unwrap_or(self.recorded_at),
            episodes_done: 0,
            episodes_total: 0,
            limit_steps_done: 0,
            limit_steps_total: 0,
            result: None,
            record_id: Some(Completed::id_of(self.id)),
            error: None,
        };
        match self.outcome {
            Outcome::Completed(result) => {
                let (episodes, limit_steps) = done(&result);
                evaluation.status = EvaluationStatus::Completed;
                (evaluation.episodes_done, evaluation.episodes_total) = (episodes, episodes);
                (evaluation.limit_steps_done, evaluation.limit_steps_total) = (limit_steps, limit_steps);
                evaluation.result = Some(*result);
            }
            Outcome::Failed(error) => evaluation.error = Some(error),
        }
        evaluation
    }
}

/// Episodes that were played for a result, and steps whose limit is in it.
fn done(result: &EvaluationResult) -> (u64, u64) {
    let seeds = result.seeds.len() as u64;
    let Some(fronts) = &result.fronts else {
        let steps = result.limit.as_ref().map_or(0, |limit| limit.steps_solved);
        let trainings = result.policies.iter().map(|policy| policy.trainings.len());
        return (played(trainings) * seeds, steps);
    };
    let runs = seeds * fronts.limit.points.len() as u64;
    let trainings = fronts.policies.iter().map(|front| front.trainings.len());
    (played(trainings) * runs, u64::from(result.steps) * runs)
}

/// How often policies of so many trainings play on a seed; what was not trained plays once.
fn played(trainings: impl Iterator<Item = usize>) -> u64 {
    trainings.map(|trainings| trainings.max(1) as u64).sum()
}

fn passed_over(error: &EvaluationError) {
    tracing::warn!(%error, "a record is passed over");
}

fn newest_first() -> RecordQuery {
    RecordQuery { newest_first: Some(true), ..RecordQuery::default() }
}

fn accepted(record: &Record) -> Result<Accepted, EvaluationError> {
    let foreign = |what: &dyn ToString| EvaluationError::ForeignRecord(record.id.clone(), what.to_string());
    let created = Created::read(record).map_err(|error| foreign(&error))?;
    let config = created.exact_config().map_err(|error| foreign(&error))?;
    Ok(Accepted { id: created.evaluation_id, config, created_at: record.recorded_at })
}

fn ended(record: &Record) -> Result<Ended, EvaluationError> {
    let foreign = |what: &dyn ToString| EvaluationError::ForeignRecord(record.id.clone(), what.to_string());
    let recorded_at = record.recorded_at;
    if record.kind == Failed::KIND.record_kind() {
        let failed = Failed::read(record).map_err(|error| foreign(&error))?;
        let config = failed.exact_config().map_err(|error| foreign(&error))?;
        let outcome = Outcome::Failed(failed.error);
        return Ok(Ended { id: failed.evaluation_id, config, outcome, recorded_at });
    }
    let completed = Completed::read(record).map_err(|error| foreign(&error))?;
    let config = completed.exact_config().map_err(|error| foreign(&error))?;
    let outcome = Outcome::Completed(Box::new(completed.result));
    Ok(Ended { id: completed.evaluation_id, config, outcome, recorded_at })
}
