//! Answers that are kept under an Idempotency-Key: written down before their decisions are recorded, so that
//! the same key leads to the same decisions wherever a call broke off.

use api::{
    Hash,
    policies::{Alternative, DecisionRequest},
    remembrancer::{Decision, NewRecord, RecordKind, RecordQuery},
};
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ServeError, Serving, step::Decided};
use crate::{
    digest::sha256,
    patience::patiently,
    policies::{Policy, record::object},
};

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

/// Body of the `note` record `served:{policy}:{SHA-256 of the key}:{attempt}`, which leads from the key to the
/// answer. Of several attempts the last one counts: those before were never answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Earlier {
    policy_id: Uuid,
    idempotency_key: String,
    pub(super) attempt: u32,
    pub(super) request_sha256: Hash,
    answer_sha256: Hash,
}

impl Kept {
    pub(super) fn new(policy_id: Uuid, request: DecisionRequest, decided: Decided) -> Self {
        let Decided { decisions, alternatives } = decided;
        Self { format: KEPT_FORMAT.to_owned(), policy_id, request, decisions, alternatives }
    }
}

impl Serving {
    /// The last attempt under a key.
    pub(super) async fn earlier(&self, policy: &Policy, key: &str) -> Result<Option<Earlier>, ServeError> {
        let query = RecordQuery {
            kind: Some(RecordKind::Note),
            subject: Some(subject(policy.id, key)),
            newest_first: Some(true),
            limit: Some(1),
            ..RecordQuery::default()
        };
        let page = patiently(&self.0.shutdown, || self.0.remembrancer.records(&query)).await?;
        let Some(record) = page.items.into_iter().next() else { return Ok(None) };
        serde_json::from_value(serde_json::Value::Object(record.body)).map(Some).map_err(|error| {
            ServeError::Internal(format!("the record {} cannot be read: {error}", record.id))
        })
    }

    /// The answer of an attempt.
    pub(super) async fn kept(&self, earlier: &Earlier) -> Result<Kept, ServeError> {
        let name = earlier.answer_sha256;
        let bytes = patiently(&self.0.shutdown, || self.0.remembrancer.artifact(&name)).await?;
        let damaged =
            |what: String| ServeError::Internal(format!("the kept answer {name} cannot be read: {what}"));
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
        let content = Bytes::from(serde_json::to_vec(kept).map_err(internal)?); // cloned without copying
        let answer_sha256 = sha256(&content);
        let put = || self.0.remembrancer.put_artifact("application/json", content.clone());
        patiently(&self.0.shutdown, put).await?;
        let subject = subject(policy.id, key);
        let earlier = Earlier {
            policy_id: policy.id,
            idempotency_key: key.to_owned(),
            attempt,
            request_sha256,
            answer_sha256,
        };
        let record = NewRecord {
            id: Some(format!("{subject}:{attempt}")),
            kind: RecordKind::Note,
            subject,
            body: object(&earlier).map_err(internal)?,
        };
        patiently(&self.0.shutdown, || self.0.remembrancer.post_record(&record)).await?;
        Ok(())
    }
}

/// A key may be as long as a subject may be at most, so its digest stands for it.
fn subject(policy: Uuid, key: &str) -> String {
    format!("served:{policy}:{}", sha256(key.as_bytes()))
}
