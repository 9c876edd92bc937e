//! Evaluations as callers see them: what was asked for and what was found stand in the ledger, so that every evaluator
//! on it tells the same; this process adds how far it is with those that it works on.

use std::sync::Arc;

use api::{
    FieldError, Page,
    evaluator::{Evaluation, EvaluationResult, EvaluationStatus, EvaluationValues, NewEvaluation},
};
use client::LedgerError;
use evaluation::{plan::Plan, progress::Progress};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use records::evaluation::Created;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    at_work::AtWork,
    error::EvaluationError,
    ledger::{Accepted, Ledger},
    logged,
    plan::{assumed_prices, plan},
};

/// How many may be queued or in progress, over all evaluators of the ledger; one more is refused for now.
const MOST_UNFINISHED: u32 = 16;

/// Results that are asked for at the same time for a page.
const CONCURRENT_READS: usize = 8;

/// Ids of evaluations with an Idempotency-Key are made from the key (UUIDv5, RFC 9562, 5.5), so that every evaluator
/// finds the same one.
const NAMESPACE: Uuid = Uuid::from_u128(0x3c1e_64d2_5f0b_5a88_b0c7_61d7_7c52_90e4);

/// All evaluations of the ledger. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Evaluations {
    ledger: Ledger,
    at_work: AtWork,
    accepted: Arc<Notify>,
}

impl Evaluations {
    /// Evaluations of this ledger; `accepted` tells the worker that there is a new one.
    pub(crate) fn new(ledger: Ledger, at_work: AtWork, accepted: Arc<Notify>) -> Self {
        Self { ledger, at_work, accepted }
    }

    /// Accepts an evaluation once everything about it has been checked and it is recorded: from then on it ends, whatever
    /// happens to this process. The same key again gets the same evaluation.
    ///
    /// # Errors
    /// A wrong field, a policy that cannot be tested here, a key used for something else, too many waiting.
    pub(crate) async fn accept(
        &self,
        mut config: NewEvaluation,
        key: Option<&str>,
    ) -> Result<Evaluation, EvaluationError> {
        let id = key.map_or_else(Uuid::now_v7, |key| Uuid::new_v5(&NAMESPACE, key.as_bytes()));
        if key.is_some()
            && let Some(known) = self.ledger.accepted(id).await?
        {
            config.log_size = config.log_size.or(known.config.log_size);
            return if known.config == config {
                self.told(known).await
            } else {
                Err(EvaluationError::KeyReused(id))
            };
        }
        match logged::asked(&config) {
            Some(asked) => {
                self.ledger.prepare(&asked.map_err(EvaluationError::Invalid)?).await?;
                config.log_size = Some(self.log_size(config.log_size).await?);
            }
            None => self.check(id, &config).await?,
        }
        let unfinished = self.ledger.unfinished(MOST_UNFINISHED).await?.len();
        if unfinished >= MOST_UNFINISHED as usize {
            return Err(EvaluationError::Busy(unfinished));
        }
        let created = Created::new(id, config, key.map(str::to_owned)).map_err(LedgerError::from)?;
        let accepted = self.ledger.accept(&created).await?;
        self.accepted.notify_one();
        self.told(accepted).await
    }

    /// Checks what is to be simulated.
    async fn check(&self, id: Uuid, config: &NewEvaluation) -> Result<(), EvaluationError> {
        let plan = plan(config).map_err(EvaluationError::Invalid)?;
        if let Some(assumption) = plan.environment.catalog().assumption() {
            tracing::warn!(evaluation = %id, "{assumption}");
        }
        self.ledger.contestants(&plan).await.map(drop)
    }

    /// As many leaves are read: as asked for, or as there are.
    async fn log_size(&self, asked: Option<u64>) -> Result<u64, EvaluationError> {
        let size = self.ledger.log_size().await?;
        match asked {
            Some(asked) if asked > size => Err(EvaluationError::Invalid(vec![FieldError {
                pointer: "/log_size".to_owned(),
                detail: format!("expected at most {size}, as many leaves as the log has"),
            }])),
            asked => Ok(asked.unwrap_or(size)),
        }
    }

    /// An evaluation, whoever works on it or did.
    ///
    /// # Errors
    /// Nobody knows it, or the ledger cannot be asked.
    pub(crate) async fn get(&self, id: Uuid) -> Result<Evaluation, EvaluationError> {
        if let Some((accepted, progress)) = self.at_work.get(id) {
            return Ok(unfinished(accepted, &progress)); // also while the ledger is away
        }
        match self.ledger.accepted(id).await? {
            Some(accepted) => self.told(accepted).await,
            None => match self.ledger.ended(id).await? {
                Some(ended) => Ok(ended.told(None)),
                None => Err(EvaluationError::NotFound(id)),
            },
        }
    }

    /// Evaluations, the newest first.
    ///
    /// # Errors
    /// A cursor that is none, or the ledger cannot be asked.
    pub(crate) async fn list(
        &self,
        limit: u32,
        cursor: Option<String>,
    ) -> Result<Page<Evaluation>, EvaluationError> {
        let (kind, after) = match cursor.as_deref().map(|cursor| cursor.split_once(':')) {
            None => (Listed::Accepted, None),
            Some(Some(("accepted", after))) => (Listed::Accepted, Some(after.to_owned())),
            Some(Some(("early", after))) => (Listed::Early, Some(after.to_owned())),
            Some(_) => return Err(EvaluationError::InvalidCursor(cursor.unwrap_or_default())),
        };
        let after = after.filter(|after| !after.is_empty());
        if kind == Listed::Early {
            return self.early(Vec::new(), limit, after).await;
        }
        let page = self.ledger.all_accepted(limit, after).await?;
        let told = stream::iter(page.items).map(|accepted| self.told(accepted));
        let items: Vec<Evaluation> = told.buffered(CONCURRENT_READS).try_collect().await?;
        match page.next_cursor {
            Some(next) => Ok(Page { items, next_cursor: Some(format!("accepted:{next}")) }),
            None if items.len() == limit as usize => Ok(Page { items, next_cursor: Some("early:".into()) }),
            None => self.early(items, limit, None).await,
        }
    }

    /// What every policy achieved on every seed.
    ///
    /// # Errors
    /// They were not kept, or the ledger cannot be asked.
    pub(crate) async fn values(
        &self,
        id: Uuid,
        result: &EvaluationResult,
    ) -> Result<EvaluationValues, EvaluationError> {
        let sha256 = result.values_sha256.ok_or(EvaluationError::NoValues(id))?;
        self.ledger.values(&sha256).await?.ok_or(EvaluationError::NoValues(id))
    }

    /// What is missing to serve.
    pub(crate) async fn missing(&self) -> Vec<String> {
        self.ledger.missing().await.into_iter().collect()
    }

    /// Fills a page with evaluations that were recorded only when they had ended, as they all once were.
    async fn early(
        &self,
        mut items: Vec<Evaluation>,
        limit: u32,
        after: Option<String>,
    ) -> Result<Page<Evaluation>, EvaluationError> {
        let page = self.ledger.early(limit - items.len() as u32, after).await?;
        items.extend(page.items.into_iter().map(|ended| ended.told(None)));
        Ok(Page { items, next_cursor: page.next_cursor.map(|next| format!("early:{next}")) })
    }

    /// The state of an accepted evaluation.
    async fn told(&self, accepted: Accepted) -> Result<Evaluation, EvaluationError> {
        if let Some((accepted, progress)) = self.at_work.get(accepted.id) {
            return Ok(unfinished(accepted, &progress));
        }
        Ok(match self.ledger.ended(accepted.id).await? {
            Some(ended) => ended.told(Some(accepted.created_at)),
            None => {
                self.at_work.awaits(&accepted);
                unfinished(accepted, &Progress::default())
            }
        })
    }
}

/// An evaluation that is queued or in progress.
fn unfinished(accepted: Accepted, progress: &Progress) -> Evaluation {
    let plan = plan(&accepted.config).ok();
    Evaluation {
        id: accepted.id,
        status: EvaluationStatus::Running,
        assumed_prices: assumed_prices(&accepted.config.environment),
        config: accepted.config,
        created_at: accepted.created_at,
        episodes_done: progress.episodes(),
        // what was never trained is known once the policies are read
        episodes_total: progress.expected().max(plan.as_ref().map_or(0, Plan::episodes)),
        limit_steps_done: progress.limit_steps(),
        limit_steps_total: plan.as_ref().map_or(0, Plan::limit_steps),
        result: None,
        record_id: None,
        error: None,
    }
}

/// What a cursor points into: evaluations that were accepted, or those of the time before acceptance was recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Accepted,
    Early,
}
