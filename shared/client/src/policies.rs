use api::{
    Page,
    policies::{
        DecisionDetails, DecisionRequest, NewPolicy, Outcome, Policy, PolicyQuery, RecordedOutcome,
        ServedDecisions,
    },
};
use bytes::Bytes;
use uuid::Uuid;

use crate::{ClientError, Trainer};

/// The trainer's policies. Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl Trainer {
    /// `POST /v1/policies`. The same import gets the same policy again, so the call may be repeated.
    pub async fn import_policy(&self, policy: &NewPolicy) -> Result<Policy, ClientError> {
        self.connection.post(&["v1", "policies"]).json(policy).large().answer().await
    }

    /// `GET /v1/policies`, newest first.
    pub async fn policies(&self, query: &PolicyQuery) -> Result<Page<Policy>, ClientError> {
        self.connection.get(&["v1", "policies"]).query(query).answer().await
    }

    /// `GET /v1/policies/{id}`.
    pub async fn policy(&self, id: Uuid) -> Result<Policy, ClientError> {
        self.connection.get(&["v1", "policies", &id.to_string()]).answer().await
    }

    /// `GET /v1/policies/{id}/file`: the policy file, as another trainer can import it.
    pub async fn policy_file(&self, id: Uuid) -> Result<Bytes, ClientError> {
        self.connection.get(&["v1", "policies", &id.to_string(), "file"]).large().bytes().await
    }

    /// `POST /v1/policies/{id}/decisions`. With a key, the same requests get the same answer again, so the
    /// call may be repeated; without one, each call decides afresh.
    pub async fn decide(
        &self,
        policy: Uuid,
        request: &DecisionRequest,
        idempotency_key: Option<&str>,
    ) -> Result<ServedDecisions, ClientError> {
        self.connection
            .post(&["v1", "policies", &policy.to_string(), "decisions"])
            .idempotency_key(idempotency_key)
            .json(request)
            .answer()
            .await
    }

    /// `GET /v1/decisions/{id}`.
    pub async fn decision(&self, id: Uuid) -> Result<DecisionDetails, ClientError> {
        self.connection.get(&["v1", "decisions", &id.to_string()]).answer().await
    }

    /// `POST /v1/decisions/{id}/outcome`. The same outcome gets the same receipt again, so the call may be
    /// repeated; a different one gets 409.
    pub async fn tell_outcome(
        &self,
        decision: Uuid,
        outcome: &Outcome,
    ) -> Result<RecordedOutcome, ClientError> {
        self.connection
            .post(&["v1", "decisions", &decision.to_string(), "outcome"])
            .json(outcome)
            .answer()
            .await
    }
}
