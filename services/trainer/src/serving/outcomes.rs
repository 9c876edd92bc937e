//! What became of a served decision.

use std::sync::Arc;

use api::{
    policies::{DecisionDetails, Outcome, RecordedOutcome},
    remembrancer::{Action, Evidence, LeafQuery, Record, RecordedDecision},
};
use client::LedgerError;
use records::{Body as _, decision};
use uuid::Uuid;

use super::{Serving, answer::evidence_url};
use crate::policies::{Policy, identity::parse_decision_id};

/// Why an outcome was not recorded, or a decision not shown.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// No such decision was served.
    #[error("no decision {0} was served")]
    NotFound(Uuid),
    /// The decision sent the request nowhere, so nothing can have come of it.
    #[error("the decision {0} sent its request nowhere")]
    NotRouted(Uuid),
    /// Another outcome is recorded.
    #[error("another outcome of the decision {0} is recorded")]
    Conflict(Uuid),
    /// The remembrancer did not answer, or refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A record cannot be written or read.
    #[error("the outcome's record")]
    Record(#[from] serde_json::Error),
}

impl Serving {
    /// Records what happened, once; true when it is new.
    ///
    /// # Errors
    /// There is no such decision, it routed nothing, another outcome is recorded, or the remembrancer is away.
    pub async fn tell(&self, id: Uuid, outcome: Outcome) -> Result<(RecordedOutcome, bool), OutcomeError> {
        let (policy, recorded) = self.find(id).await?;
        let decision = recorded.decision;
        if decision.action != Action::Route {
            return Err(OutcomeError::NotRouted(id));
        }
        let told = decision::Outcome {
            decision_id: id,
            policy_id: policy.id,
            run: decision.run,
            sequence: decision.sequence,
            outcome,
        };
        // The ledger says who was first: others may tell the same at this moment, also another trainer.
        let (receipt, is_new) = match self.ledger().append_body_once(&told).await {
            Err(error) if error.is_conflict() => return Err(OutcomeError::Conflict(id)),
            answer => answer?,
        };
        if is_new {
            self.0.meters.told(&decision, &told.outcome);
        }
        Ok((RecordedOutcome { decision_id: id, outcome: told.outcome, receipt }, is_new))
    }

    /// A served decision with its outcome, as the ledger has them.
    ///
    /// # Errors
    /// There is no such decision, or the remembrancer is away.
    pub async fn details(&self, id: Uuid) -> Result<DecisionDetails, OutcomeError> {
        let (policy, RecordedDecision { log_index, decision }) = self.find(id).await?;
        let told = self.told(id).await?;
        let ledger_url = &self.0.ledger_url;
        Ok(DecisionDetails {
            id,
            policy_id: policy.id,
            log_index,
            evidence_url: evidence_url(ledger_url, &decision.run, decision.sequence),
            decision,
            outcome_record_id: told.as_ref().map(|(record_id, _)| record_id.clone()),
            outcome: told.map(|(_, told)| told.outcome),
        })
    }

    async fn find(&self, id: Uuid) -> Result<(Arc<Policy>, RecordedDecision), OutcomeError> {
        let missing = || OutcomeError::NotFound(id);
        let (stream, sequence) = parse_decision_id(id).ok_or_else(missing)?;
        let policy = self.0.policies.of_stream(stream).ok_or_else(missing)?;
        let leaf = LeafQuery { run: Some(policy.digest), sequence: Some(sequence), ..LeafQuery::default() };
        // The list of decisions would look at every commit after it; the evidence is found in one step.
        let evidence = self.ledger().evidence(&leaf).await?;
        let Evidence { record, log_index, .. } = evidence.ok_or_else(missing)?;
        Ok((policy, RecordedDecision { log_index, decision: serde_json::from_str(record.get())? }))
    }

    /// What was told of a decision before, and the id of the record that says so.
    async fn told(&self, id: Uuid) -> Result<Option<(String, decision::Outcome)>, LedgerError> {
        let read = |record: &Record| Some((record.id.clone(), decision::Outcome::read(record).ok()?));
        self.ledger().find(&decision::Outcome::id_of(id), &decision::Outcome::subject_of(id), read).await
    }
}
