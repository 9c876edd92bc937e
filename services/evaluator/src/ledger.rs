//! What the evaluator keeps in the ledger: policies come from there, results go there.

use api::{
    Hash, Page,
    evaluator::{Evaluation, EvaluationResult, EvaluationStatus, NewEvaluation},
    remembrancer::{NewRecord, Record, RecordKind, RecordQuery},
};
use client::{ClientError, Remembrancer};
use evaluation::{episodes::Contestant, plan::Plan};
use limit::Limit;
use policy::{Fingerprint, PolicyFile};
use routing_env::Environment;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::EvaluationError;

/// The ledger as the evaluator sees it.
#[derive(Clone)]
pub(crate) struct Ledger {
    remembrancer: Remembrancer,
}

/// The body of an evaluation's record. It holds no clock time, so that the same evaluation gives the
/// same bytes.
#[derive(Serialize, Deserialize)]
struct Body {
    environment_digest: Hash,
    config: NewEvaluation,
    /// `config` as text: a record's canonical JSON sorts keys, but the order of a workload mix matters.
    config_text: String,
    result: EvaluationResult,
}

/// The body of a limit's record: the sums over the steps that its id stands for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitBody {
    steps: u64,
    requests: u64,
    routed: f64,
    cost_usd: f64,
    latency_ms: f64,
    reward: f64,
}

impl Ledger {
    pub(crate) fn new(remembrancer: Remembrancer) -> Self {
        Self { remembrancer }
    }

    /// Everybody who takes part: the learned policies, then the rules.
    ///
    /// # Errors
    /// A policy that is missing, no policy, trained for another catalog, or trained on a test seed.
    pub(crate) async fn contestants(&self, plan: &Plan) -> Result<Vec<Contestant>, EvaluationError> {
        let mut contestants = Vec::with_capacity(plan.policies.len() + plan.rules.len());
        for sha256 in plan.policies.iter().map(|policy| Hash(*policy)) {
            let bytes = match self.remembrancer.artifact(&sha256).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => return Err(EvaluationError::PolicyNotFound(sha256)),
                Err(error) => return Err(error.into()),
            };
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

    /// The record of a result.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which a result can.
    pub(crate) fn record(
        id: Uuid,
        config: &NewEvaluation,
        result: &EvaluationResult,
    ) -> Result<NewRecord, serde_json::Error> {
        let body = serde_json::to_value(Body {
            environment_digest: result.environment_digest,
            config: config.clone(),
            config_text: serde_json::to_string(config)?,
            result: result.clone(),
        })?;
        let subject = format!("evaluation:{id}");
        Ok(NewRecord { id: Some(id.to_string()), kind: RecordKind::Evaluation, subject, body: object(body)? })
    }

    /// The record of a limit that was solved.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which finite figures can.
    pub(crate) fn limit_record(key: &Hash, limit: &Limit) -> Result<NewRecord, serde_json::Error> {
        let &Limit { steps, requests, routed, cost_usd, latency_ms, reward } = limit;
        let body = serde_json::to_value(LimitBody { steps, requests, routed, cost_usd, latency_ms, reward })?;
        let id = limit_id(key);
        Ok(NewRecord { id: Some(id.clone()), kind: RecordKind::Note, subject: id, body: object(body)? })
    }

    /// The limit that was recorded under its key; `None` when there is none, or the record is no limit.
    ///
    /// # Errors
    /// The remembrancer is away.
    pub(crate) async fn limit(&self, key: &Hash) -> Result<Option<Limit>, ClientError> {
        let record = match self.remembrancer.record(&limit_id(key)).await {
            Ok(record) => record,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let body = LimitBody::deserialize(serde_json::Value::Object(record.body));
        if let Err(error) = &body {
            tracing::warn!(record = record.id, %error, "the record is no limit: solving it again");
        }
        Ok(body.ok().map(|LimitBody { steps, requests, routed, cost_usd, latency_ms, reward }| Limit {
            steps,
            requests,
            routed,
            cost_usd,
            latency_ms,
            reward,
        }))
    }

    /// Appends a record; the same record again is the same.
    ///
    /// # Errors
    /// The remembrancer is away or refuses.
    pub(crate) async fn append(&self, record: &NewRecord) -> Result<String, ClientError> {
        self.remembrancer.post_record(record).await.map(|receipt| receipt.id)
    }

    /// An evaluation of an earlier life of this service.
    ///
    /// # Errors
    /// There is none, or the remembrancer is away.
    pub(crate) async fn evaluation(&self, id: Uuid) -> Result<Evaluation, EvaluationError> {
        match self.remembrancer.record(&id.to_string()).await {
            Ok(record) if record.kind == RecordKind::Evaluation => evaluation(record),
            Ok(_) => Err(EvaluationError::NotFound(id)),
            Err(error) if error.is_not_found() => Err(EvaluationError::NotFound(id)),
            Err(error) => Err(error.into()),
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
            kind: Some(RecordKind::Evaluation),
            newest_first: Some(true),
            limit: Some(limit),
            cursor,
            ..RecordQuery::default()
        };
        let page = self.remembrancer.records(&query).await?;
        // whoever can post to the ledger can post an `evaluation` record of another form: not ours to list
        let items = page.items.into_iter().filter_map(|record| evaluation(record).ok()).collect();
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// What is missing for the ledger to be used; nothing when all is well.
    pub(crate) async fn missing(&self) -> Option<String> {
        match self.remembrancer.ready().await {
            Ok(()) => None,
            Err(error) => Some(format!("the remembrancer cannot be used: {error}")),
        }
    }
}

fn limit_id(key: &Hash) -> String {
    format!("limit:{key}")
}

fn object(value: serde_json::Value) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
    match value {
        serde_json::Value::Object(object) => Ok(object),
        _ => Err(serde::ser::Error::custom("a record's body is an object")),
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
fn evaluation(record: Record) -> Result<Evaluation, EvaluationError> {
    let foreign = |what: &dyn ToString| EvaluationError::ForeignRecord(record.id.clone(), what.to_string());
    let id: Uuid = record.id.parse().map_err(|error| foreign(&error))?;
    let body = Body::deserialize(serde_json::Value::Object(record.body.clone())).map_err(|e| foreign(&e))?;
    let config: NewEvaluation = serde_json::from_str(&body.config_text).map_err(|error| foreign(&error))?;
    let episodes = (body.result.policies.len() * body.result.seeds.len()) as u64;
    let limit_steps = body.result.limit.as_ref().map_or(0, |limit| limit.steps_solved);
    Ok(Evaluation {
        id,
        status: EvaluationStatus::Completed,
        config,
        created_at: record.recorded_at, // when it was asked for is not in the record
        episodes_done: episodes,
        episodes_total: episodes,
        limit_steps_done: limit_steps,
        limit_steps_total: limit_steps,
        result: Some(body.result),
        record_id: Some(record.id),
        error: None,
    })
}
