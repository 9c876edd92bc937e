//! What the evaluator keeps in the ledger: policies come from there, results go there.

use std::time::Duration;

use api::{
    Hash, Page,
    evaluator::{Evaluation, EvaluationStatus},
    remembrancer::{Record, RecordKind, RecordQuery},
};
use client::LedgerError;
use evaluation::{episodes::Contestant, plan::Plan};
use limit::Limit;
use policy::{Fingerprint, PolicyFile};
use records::{Body as _, evaluation::Completed, limit::Solved};
use routing_env::Environment;
use uuid::Uuid;

use crate::error::EvaluationError;

/// Results, those of earlier versions too.
const RESULTS: RecordKind = RecordKind::from_static("evaluation");

/// How long a caller's request waits for a remembrancer that is away.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How long it waits for a policy file, which may be large.
const FILE_DEADLINE: Duration = Duration::from_secs(25);

/// The ledger as the evaluator sees it.
#[derive(Clone)]
pub(crate) struct Ledger {
    ledger: client::Ledger,
}

impl Ledger {
    pub(crate) fn new(ledger: client::Ledger) -> Self {
        Self { ledger }
    }

    /// Everybody who takes part: the learned policies, then the rules.
    ///
    /// # Errors
    /// A policy that is missing, no policy, trained for another catalog, or trained on a test seed.
    pub(crate) async fn contestants(&self, plan: &Plan) -> Result<Vec<Contestant>, EvaluationError> {
        let mut contestants = Vec::with_capacity(plan.policies.len() + plan.rules.len());
        for sha256 in plan.policies.iter().map(|policy| Hash(*policy)) {
            let bytes = self.ledger.within(FILE_DEADLINE).artifact(&sha256).await?;
            let bytes = bytes.ok_or(EvaluationError::PolicyNotFound(sha256))?;
            let (environment, seeds) = (plan.environment.clone(), plan.seeds.clone());
            // a large policy takes a while to parse
            let contestant =
                tokio::task::spawn_blocking(move || contestant(sha256, &bytes, &environment, &seeds)).await;
            contestants.push(contestant.map_err(|panic| {
                EvaluationError::InvalidPolicy(sha256, format!("reading it failed: {panic}"))
            })??);
        }
        contestants.extend(plan.rules.iter().map(|rule| Contestant::of_rule(*rule)));
        Ok(contestants)
    }

    /// Writes a limit down that was solved, when the remembrancer is there again.
    ///
    /// # Errors
    /// It refuses, or this process shuts down.
    pub(crate) async fn record_limit(&self, key: &Hash, limit: &Limit) -> Result<(), LedgerError> {
        let &Limit { steps, requests, routed, cost_usd, latency_ms, reward } = limit;
        let solved = Solved { key: *key, steps, requests, routed, cost_usd, latency_ms, reward };
        self.ledger.append(&solved.to_record()?).await.map(drop)
    }

    /// The limit that was recorded under its key; `None` when there is none, or the record is no limit.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn limit(&self, key: &Hash) -> Result<Option<Limit>, LedgerError> {
        let found = self.ledger.within(REQUEST_DEADLINE).body::<Solved>(&Solved::id_of(key)).await;
        let solved = match found {
            Err(LedgerError::Unreadable(error)) => {
                tracing::warn!(%error, "solving a limit again");
                None
            }
            found => found?,
        };
        Ok(solved.map(|Solved { steps, requests, routed, cost_usd, latency_ms, reward, .. }| Limit {
            steps,
            requests,
            routed,
            cost_usd,
            latency_ms,
            reward,
        }))
    }

    /// Writes a result down, when the remembrancer is there again; the record's id. The same result again is the
    /// same record.
    ///
    /// # Errors
    /// It refuses, or this process shuts down.
    pub(crate) async fn record(&self, result: &Completed) -> Result<String, LedgerError> {
        self.ledger.append(&result.to_record()?).await.map(|receipt| receipt.id)
    }

    /// An evaluation of an earlier life of this service.
    ///
    /// # Errors
    /// There is none, or the remembrancer is away.
    pub(crate) async fn evaluation(&self, id: Uuid) -> Result<Evaluation, EvaluationError> {
        let record = self.ledger.within(REQUEST_DEADLINE).record(&Completed::id_of(id)).await?;
        match record.filter(|record| RESULTS.includes(&record.kind)) {
            Some(record) => evaluation(&record),
            None => Err(EvaluationError::NotFound(id)),
        }
    }

    /// Recorded evaluations, the newest first.
    ///
    /// # Errors
    /// The remembrancer is away, or does not know the cursor.
    pub(crate) async fn evaluations(
        &self,
        limit: u32,
        cursor: Option<String>,
    ) -> Result<Page<Evaluation>, EvaluationError> {
        let query = RecordQuery {
            kind: Some(RESULTS),
            newest_first: Some(true),
            limit: Some(limit),
            cursor,
            ..RecordQuery::default()
        };
        let page = self.ledger.within(REQUEST_DEADLINE).page(&query).await?;
        // whoever can post to the ledger can post an `evaluation` record of another form: not ours to list
        let items = page.items.iter().filter_map(|record| evaluation(record).ok()).collect();
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// What is missing for the ledger to be used; nothing when all is well.
    pub(crate) async fn missing(&self) -> Option<String> {
        match self.ledger.ready().await {
            Ok(()) => None,
            Err(error) => Some(format!("the remembrancer cannot be used: {error}")),
        }
    }
}

/// A policy file, ready to be tested on these seeds in this environment.
fn contestant(
    sha256: Hash,
    bytes: &[u8],
    environment: &Environment,
    seeds: &[u64],
) -> Result<Contestant, EvaluationError> {
    let invalid = |reason: &dyn ToString| EvaluationError::InvalidPolicy(sha256, reason.to_string());
    let file = PolicyFile::parse(bytes).map_err(|error| invalid(&error))?;
    if file.swarm.algorithm.learner().is_none() {
        return Err(invalid(&format!(
            "`{}` is a hand rule: name it in rules instead",
            file.swarm.algorithm.name()
        )));
    }
    let trained =
        file.training.first_seed..file.training.first_seed.saturating_add(u64::from(file.training.episodes));
    if let (Some(&first), Some(&last)) = (seeds.first(), seeds.last())
        && trained.start <= last
        && first < trained.end
    {
        return Err(EvaluationError::SeedsOverlap {
            policy: sha256,
            trained_first: trained.start,
            trained_last: trained.end - 1,
            first,
            last,
        });
    }
    let swarm = file.swarm(environment).map_err(|error| {
        if file.trained_for == Fingerprint::of(environment) {
            invalid(&error)
        } else {
            EvaluationError::PolicyMismatch(sha256, error.to_string())
        }
    })?;
    Ok(Contestant::of_policy(sha256.0, file.training.episodes, swarm))
}

/// The evaluation that a record tells of.
fn evaluation(record: &Record) -> Result<Evaluation, EvaluationError> {
    let foreign = |what: &dyn ToString| EvaluationError::ForeignRecord(record.id.clone(), what.to_string());
    let completed = Completed::read(record).map_err(|error| foreign(&error))?;
    let config = completed.exact_config().map_err(|error| foreign(&error))?;
    let Completed { evaluation_id, result, .. } = completed;
    let episodes = (result.policies.len() * result.seeds.len()) as u64;
    let limit_steps = result.limit.as_ref().map_or(0, |limit| limit.steps_solved);
    Ok(Evaluation {
        id: evaluation_id,
        status: EvaluationStatus::Completed,
        config,
        created_at: record.recorded_at, // when it was asked for is not in the record
        episodes_done: episodes,
        episodes_total: episodes,
        limit_steps_done: limit_steps,
        limit_steps_total: limit_steps,
        result: Some(result),
        record_id: Some(record.id.clone()),
        error: None,
    })
}
