//! Decisions of deployments, and what became of them.

use std::sync::Arc;

use api::{
    policies::{DecisionDetails, Outcome, RecordedOutcome},
    remembrancer::{Action, Decision, LeafQuery, Record},
};
use records::{
    Body as _,
    deployments::{Outcome as Told, subject},
};
use uuid::Uuid;

use super::{DeployError, Deployments, Entry, TellError, challenge, desk::Call, view};
use crate::{
    policies::identity::{parse_decision_id, stream_of},
    serving::{OutcomeError, evidence_url},
};

impl Deployments {
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
        let decision: Decision = serde_json::from_str(evidence.record.get())
            .map_err(|error| DeployError::Internal(error.to_string()))?;
        let deployment = entry.created.deployment_id;
        let read = |record: &Record| Some((record.id.clone(), Told::read(record).ok()?));
        let told = ledger.find(&Told::id_of(deployment, sequence), &subject(deployment), read).await;
        let told = told.map_err(DeployError::from)?;
        Ok(Some(DecisionDetails {
            id,
            policy_id: challenge::policy_of(&entry.created.settings, decision.arm),
            log_index: evidence.log_index,
            evidence_url: evidence_url(&self.0.ledger_url, &run, sequence),
            decision,
            outcome_record_id: told.as_ref().map(|(record, _)| record.clone()),
            outcome: told.map(|(_, told)| told.outcome),
        }))
    }
}
