//! Answers that are kept under an Idempotency-Key: written down before their decisions are recorded, so that
//! the same key leads to the same decisions wherever a call broke off.

use api::{
    Hash,
    policies::{Alternative, DecisionRequest},
    remembrancer::{Decision, RecordQuery},
};
use axum::body::Bytes;
use records::{Body as _, serving::Answer};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ServeError, Serving, step::Decided};
use crate::policies::Policy;

/// The format and version of a kept answer.
const KEPT_FORMAT: &str = "ai-mesh-served/1";

/// What was asked and what was decided, an artifact. It was answered if, and only if, the ledger has its
/// decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// [`KEPT_FORMAT`].
    format: String,
    policy_id: Uuid,
    request: DecisionRequest,
    pub(super) decisions: Vec<Decision>,
    pub(super) alternatives: Vec<Vec<Alternative>>,
}

impl Kept {
    pub(super) fn new(policy_id: Uuid, request: DecisionRequest, decided: Decided) -> Self {
        let Decided { decisions, alternatives } = decided;
        Self { format: KEPT_FORMAT.to_owned(), policy_id, request, decisions, alternatives }
    }
}

impl Serving {
    /// The last attempt under a key.
    pub(super) async fn earlier(&self, policy: &Policy, key: &str) -> Result<Option<Answer>, ServeError> {
        let query = RecordQuery {
            subject: Some(Answer::subject_of(policy.id, key)),
            newest_first: Some(true),
            limit: Some(1),
            ..RecordQuery::default()
        };
        let last = self.ledger().bodies::<Answer>(&query).next().await?;
        Ok(last.map(|(_, answer)| answer))
    }

    /// The answer of an attempt.
    pub(super) async fn kept(&self, earlier: &Answer) -> Result<Kept, ServeError> {
        let name = earlier.answer_sha256;
        let damaged =
            |what: String| ServeError::Internal(format!("the kept answer {name} cannot be read: {what}"));
        let bytes = self.ledger().artifact(&name).await?;
        let bytes = bytes.ok_or_else(|| damaged("the ledger does not have it".to_owned()))?;
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if kept.format != KEPT_FORMAT {
            return Err(damaged(format!("its format is `{}`, not `{KEPT_FORMAT}`", kept.format)));
        }
        Ok(kept)
    }

    /// Keeps an answer under a key: first the artifact, then the record that names it.
    pub(super) async fn keep(
        &self,
        policy: &Policy,
        key: &str,
        attempt: u32,
        request_sha256: Hash,
        kept: &Kept,
    ) -> Result<(), ServeError> {
        let internal = |error: serde_json::Error| ServeError::Internal(error.to_string());
        let content = Bytes::from(serde_json::to_vec(kept).map_err(internal)?);
        let answer_sha256 = self.ledger().put_artifact("application/json", content).await?;
        let answer = Answer {
            policy_id: policy.id,
            idempotency_key: key.to_owned(),
            attempt,
            request_sha256,
            answer_sha256,
        };
        self.ledger().append(&answer.to_record().map_err(internal)?).await?;
        Ok(())
    }
}
