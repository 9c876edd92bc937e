//! Answers that are kept under an Idempotency-Key: written down before their decisions are recorded, so that
//! the same key leads to the same decisions wherever a call broke off.

use api::{
    Hash,
    policies::{Alternative, DecisionRequest},
    remembrancer::{Decision, RecordQuery},
};
use axum::body::Bytes;
use records::serving::Answer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ServeError, Serving, step::Decided};
use crate::policies::Policy;

/// The format and version of a kept answer.
const KEPT_FORMAT: &str = "ai-mesh-served/1";

/// No key was ever tried so often.
const MOST_ATTEMPTS: u32 = 1_000_000;

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

    /// Reads an artifact, or says why it is no answer of the policy.
    fn read(artifact: Option<&[u8]>, policy: &Policy) -> Result<Self, String> {
        let artifact = artifact.ok_or("the ledger does not have it")?;
        let kept: Self = serde_json::from_slice(artifact).map_err(|error| error.to_string())?;
        if kept.format != KEPT_FORMAT {
            return Err(format!("its format is `{}`, not `{KEPT_FORMAT}`", kept.format));
        }
        let is_whole = !kept.decisions.is_empty() && kept.decisions.len() == kept.alternatives.len();
        let of_policy = kept.policy_id == policy.id && kept.decisions.iter().all(|d| d.run == policy.digest);
        if is_whole && of_policy { Ok(kept) } else { Err("it is not of this policy".to_owned()) }
    }
}

/// What the ledger says about a key.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The digest of what was asked, and the answer of the last attempt.
    pub(super) last: Option<(Hash, Kept)>,
    /// The number that the next attempt gets.
    pub(super) next_attempt: u32,
}

impl Serving {
    /// What was kept under a key. An attempt whose answer this program did not write is passed over.
    pub(super) async fn earlier(&self, policy: &Policy, key: &str) -> Result<Earlier, ServeError> {
        let query = RecordQuery {
            subject: Some(Answer::subject_of(policy.id, key)),
            newest_first: Some(true),
            limit: Some(20),
            ..RecordQuery::default()
        };
        let ledger = self.ledger();
        let mut answers = ledger.bodies::<Answer>(&query);
        let mut earlier = Earlier::default();
        while let Some((record, answer)) = answers.next().await? {
            if answer.attempt >= MOST_ATTEMPTS {
                continue;
            }
            earlier.next_attempt = earlier.next_attempt.max(answer.attempt + 1);
            let artifact = ledger.artifact(&answer.answer_sha256).await?;
            match Kept::read(artifact.as_deref(), policy) {
                Ok(kept) => {
                    earlier.last = Some((answer.request_sha256, kept));
                    break;
                }
                Err(what) => tracing::warn!(record = record.id, what, "a kept answer is passed over"),
            }
        }
        Ok(earlier)
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
        self.ledger().append_body(&answer).await?;
        Ok(())
    }
}
