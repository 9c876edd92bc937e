use std::time::Duration;

use api::{
    Hash,
    psi_field::{Intervention, InterventionRecord, InterventionStatus, Snapshot},
    remembrancer::{NewRecord, Record, RecordKind, RecordQuery},
};
use client::{ClientError, Remembrancer, retry_while_transient};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Records a page.
const PAGE: u32 = 100;

/// What of the swarms must outlive this process, in the remembrancer: interventions as records, snapshots as
/// artifacts that a record names.
///
/// Nothing here carries a clock time or a random id, so whatever is written twice is the same.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    remembrancer: Remembrancer,
    patience: Duration,
}

/// Why the remembrancer did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It was away for as long as the request may take.
    #[error("the remembrancer does not answer; the swarm has not moved, so send the same again")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds something else under that id.
    #[error(
        "the remembrancer holds another record `{id}`: swarm `{swarm}` was used before with other windows; use \
         another swarm id, or start from its snapshot"
    )]
    Conflict {
        /// The record's id.
        id: String,
        /// The swarm.
        swarm: String,
    },
    /// It did not take it, and never will.
    #[error("the remembrancer refused what psi-field asked of it")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Ledger {
    /// Asks this remembrancer, and when it is away again and again for as long as `patience`.
    #[must_use]
    pub(crate) fn new(remembrancer: Remembrancer, patience: Duration) -> Self {
        Self { remembrancer, patience }
    }

    /// Records where interventions stand.
    ///
    /// # Errors
    /// [`LedgerError`]; some may have been recorded, and will be the same when they come again.
    pub(crate) async fn record_interventions(
        &self,
        swarm: &str,
        changed: &[InterventionRecord],
    ) -> Result<(), LedgerError> {
        let deadline = self.deadline();
        for record in changed {
            let body = match serde_json::to_value(record) {
                Ok(Value::Object(body)) => body,
                Ok(_) => Map::new(), // a struct is an object
                Err(error) => return Err(LedgerError::Refused(error.into())),
            };
            let id = format!("{}:{}", record.intervention.id, status_name(record.status));
            self.record(swarm, RecordKind::Intervention, id, body, deadline).await?;
        }
        Ok(())
    }

    /// Stores a snapshot and the note that names it.
    ///
    /// # Errors
    /// [`LedgerError`]; what was stored is the same when it comes again.
    pub(crate) async fn store_snapshot(&self, swarm: &str, snapshot: &Snapshot) -> Result<(), LedgerError> {
        let deadline = self.deadline();
        let content = serde_json::to_vec(snapshot).map_err(|error| LedgerError::Refused(error.into()))?;
        let size_bytes = content.len();
        let artifact = self
            .patiently(deadline, || self.remembrancer.put_artifact("application/json", content.clone()))
            .await?;
        let sha256 = artifact.sha256;
        let id = format!("{}:snapshot:{}:{sha256}", subject(swarm), snapshot.next_window);
        let body = json!({
            "content": SNAPSHOT, "swarm": swarm, "next_window": snapshot.next_window,
            "sha256": sha256, "size_bytes": size_bytes,
        });
        let Value::Object(body) = body else { return Ok(()) }; // it is one
        self.record(swarm, RecordKind::Note, id, body, deadline).await
    }

    /// The newest snapshot that was stored for the swarm; with `at_most`, the newest from which that window
    /// can still be reached.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn newest_snapshot(
        &self,
        swarm: &str,
        at_most: Option<u64>,
    ) -> Result<Option<Snapshot>, LedgerError> {
        let deadline = self.deadline();
        let mut cursor = None;
        loop {
            let page = self.page(swarm, RecordKind::Note, cursor, deadline).await?;
            for record in &page.items {
                let Some((next_window, sha256)) = snapshot_note(record) else { continue };
                if at_most.is_some_and(|most| next_window > most) {
                    continue;
                }
                let content = self.patiently(deadline, || self.remembrancer.artifact(&sha256)).await?;
                let snapshot = serde_json::from_slice(&content);
                return snapshot.map(Some).map_err(|error| LedgerError::Refused(error.into()));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(None);
            }
        }
    }

    /// The operators' interventions that were recorded for the swarm's windows from `from` on, oldest first:
    /// after a restart they must come again where they came before.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn operator_interventions(
        &self,
        swarm: &str,
        from: u64,
    ) -> Result<Vec<Intervention>, LedgerError> {
        let deadline = self.deadline();
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.page(swarm, RecordKind::Intervention, cursor, deadline).await?;
            for record in page.items {
                let Ok(record) = serde_json::from_value::<InterventionRecord>(Value::Object(record.body))
                else {
                    continue; // somebody else's note about the swarm
                };
                let intervention = record.intervention;
                if record.status == InterventionStatus::Issued
                    && intervention.by_operator
                    && intervention.issued_at_window >= from
                {
                    found.push(intervention);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                found.reverse();
                return Ok(found);
            }
        }
    }

    /// Fine when the remembrancer can serve; asked once.
    ///
    /// # Errors
    /// [`LedgerError::Away`] when it cannot.
    pub(crate) async fn ready(&self) -> Result<(), LedgerError> {
        self.remembrancer.ready().await.map_err(|error| LedgerError::Away(error.into()))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    async fn page(
        &self,
        swarm: &str,
        kind: RecordKind,
        cursor: Option<String>,
        deadline: Instant,
    ) -> Result<api::Page<Record>, LedgerError> {
        let query = RecordQuery {
            kind: Some(kind),
            subject: Some(subject(swarm)),
            newest_first: Some(true),
            limit: Some(PAGE),
            cursor,
            ..RecordQuery::default()
        };
        self.patiently(deadline, || self.remembrancer.records(&query)).await
    }

    async fn record(
        &self,
        swarm: &str,
        kind: RecordKind,
        id: String,
        body: Map<String, Value>,
        deadline: Instant,
    ) -> Result<(), LedgerError> {
        let record = NewRecord { id: Some(id.clone()), kind, subject: subject(swarm), body };
        match self.patiently(deadline, || self.remembrancer.post_record(&record)).await {
            Err(LedgerError::Refused(cause))
                if cause.downcast_ref::<ClientError>().and_then(ClientError::status) == Some(409) =>
            {
                Err(LedgerError::Conflict { id, swarm: swarm.to_owned() })
            }
            other => other.map(drop),
        }
    }

    /// Repeats a call while the remembrancer is away, until the deadline.
    async fn patiently<T, Fut>(&self, deadline: Instant, call: impl FnMut() -> Fut) -> Result<T, LedgerError>
    where
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut last = None;
        let never = CancellationToken::new();
        let tries = retry_while_transient(&never, call, |wait| last = Some(wait.error.to_string()));
        let result = tokio::time::timeout_at(deadline, tries).await;
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(LedgerError::Refused(error.into())),
            Err(_) => Err(LedgerError::Away(
                last.unwrap_or_else(|| format!("no answer within {} s", self.patience.as_secs_f64())).into(),
            )),
        }
    }
}

/// The subject of all records about a swarm.
fn subject(swarm: &str) -> String {
    format!("swarm:{swarm}")
}

/// What a note that names a snapshot says it is.
const SNAPSHOT: &str = "psi_field_snapshot";

fn snapshot_note(record: &Record) -> Option<(u64, Hash)> {
    let body = &record.body;
    if body.get("content")?.as_str()? != SNAPSHOT {
        return None;
    }
    Some((body.get("next_window")?.as_u64()?, body.get("sha256")?.as_str()?.parse().ok()?))
}

fn status_name(status: InterventionStatus) -> &'static str {
    match status {
        InterventionStatus::Issued => "issued",
        InterventionStatus::Acknowledged => "acknowledged",
        InterventionStatus::Assessed => "assessed",
        InterventionStatus::Expired => "expired",
    }
}
