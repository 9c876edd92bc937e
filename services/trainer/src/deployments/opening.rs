//! Whether this trainer may continue a deployment that promises decisions, and what of its journal the ledger lacks.
//!
//! What was promised is on the disk of the trainer that promised it. So the deployment is that trainer's until it says in the
//! ledger that its journal is empty (`deployment.drained`), which it does when it ends well. Nobody else guesses.

use std::time::Duration;

use api::{deployments::Durability, remembrancer::RecordQuery};
use client::{Ledger, LedgerError};
use merkle_log::note::VerifierKey;
use records::{
    Body as _,
    deployments::{Created, Drained, Opened, subject},
};
use uuid::Uuid;

use super::{
    DeployError, Deployments, damage,
    journal::{Entry, Journal, JournalError, with_entries},
    keeper::Keeper,
};
use crate::ledger::FILE_DEADLINE;

/// How often it is looked for journals of which nobody takes care.
const LOOK: Duration = Duration::from_secs(1);

/// What a promising desk begins with.
pub(super) struct Opening {
    pub(super) keeper: Keeper,
    pub(super) journal: Journal,
    /// The origin of the ledger's log.
    pub(super) log: String,
    /// What the journal held.
    entries: Vec<Entry>,
}

impl Opening {
    /// Appends what the journal holds, in its order. What the ledger has already stays as it is.
    pub(super) async fn recover(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let count = self.entries.len();
        let mut entries = std::mem::take(&mut self.entries).into_iter();
        let Some(mut entry) = entries.next() else { return Ok(()) };
        for later in entries {
            // one post for as many as it may have
            if let Some(later) = entry.join(later) {
                entry.append_to(&ledger.within(FILE_DEADLINE)).await?;
                entry = later;
            }
        }
        entry.append_to(&ledger.within(FILE_DEADLINE)).await?;
        tracing::info!(entries = count, "what was promised before this start is in the ledger");
        Ok(())
    }
}

impl Deployments {
    /// The journal of a deployment, where it promises.
    ///
    /// # Errors
    /// Another trainer's journal may hold what was promised; this one's is damaged; the remembrancer is away.
    pub(super) async fn opening(
        &self,
        ledger: &Ledger,
        created: &Created,
    ) -> Result<Option<Opening>, DeployError> {
        if created.settings.durability == Durability::Ledger {
            return Ok(None);
        }
        let keeper = self.0.keeper.clone().ok_or_else(|| {
            DeployError::JournalElsewhere(
                "This deployment promises decisions, for which a trainer needs a folder of its own (`data_dir`), and this one \
                 has none: ask a trainer that has one."
                    .to_owned(),
            )
        })?;
        let id = created.deployment_id;
        let unusable = |error: JournalError| match error {
            JournalError::InUse => DeployError::Elsewhere,
            error @ (JournalError::File { .. } | JournalError::Json(_)) => {
                DeployError::Journal(error.to_string())
            }
            error => DeployError::JournalDamaged(error.to_string()),
        };
        if let Some(holder) = last_holder(ledger, id).await? {
            if holder != keeper.key() {
                return Err(DeployError::JournalElsewhere(format!(
                    "What was promised of this deployment may still be in the journal of the trainer whose key is `{holder}`: that \
                     one continues it, with the folder (`data_dir`) that it had. If the folder is lost, deploy the policy under \
                     another name."
                )));
            }
            if !Journal::exists(&keeper.journals, id).map_err(unusable)? {
                return Err(DeployError::JournalDamaged(format!(
                    "it was here, and is not in {} any more: restore it from a copy, or deploy the policy under another name",
                    keeper.journals.display()
                )));
            }
        }
        let key = ledger.log_key().await?.verifier_key;
        let log = VerifierKey::parse(&key).map_err(|error| DeployError::Internal(error.to_string()))?;
        let folder = keeper.journals.clone();
        let opened = tokio::task::spawn_blocking(move || Journal::open(&folder, id)).await;
        let opened = opened.map_err(|error| DeployError::Internal(error.to_string()))?;
        let (journal, entries) = opened.map_err(unusable)?;
        Ok(Some(Opening { keeper, journal, log: log.name().to_owned(), entries }))
    }

    /// Opens deployments of whose journals something is left, after a start or when the lease was lost, until the trainer
    /// shuts down: promises are kept also when nobody calls.
    pub async fn keep_promises(self) {
        let Some(keeper) = &self.0.keeper else { return };
        let mut said = String::new();
        loop {
            let kept = async {
                let left = with_entries(&keeper.journals).map_err(|error| error.to_string())?;
                for deployment in left {
                    self.reopen(deployment).await.map_err(|error| error.to_string())?;
                }
                Ok(())
            };
            match kept.await {
                Err(error) if error != said => {
                    tracing::warn!(error, "what was promised is not in the ledger yet");
                    said = error;
                }
                _ => {}
            }
            if self.0.shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    async fn reopen(&self, deployment: Uuid) -> Result<(), DeployError> {
        let find = || self.table().values().find(|entry| entry.created.deployment_id == deployment).cloned();
        let entry = match find() {
            Some(entry) => Some(entry),
            None => {
                self.glance().await?;
                find()
            }
        };
        match entry {
            Some(entry) if damage(&entry).is_none() => self.desk(&entry).await.map(drop),
            _ => Ok(()),
        }
    }
}

/// The key of the trainer whose journal may hold something of a deployment.
async fn last_holder(ledger: &Ledger, deployment: Uuid) -> Result<Option<String>, LedgerError> {
    let mut records = ledger.records(RecordQuery {
        kind: Some(Opened::KIND.record_kind()),
        subject: Some(subject(deployment)),
        newest_first: Some(true),
        limit: Some(10),
        ..RecordQuery::default()
    });
    while let Some(record) = records.next().await? {
        let Some(opened) = client::body_of::<Opened>(&record) else { continue };
        let Some(holder) = opened.promises else { return Ok(None) };
        let drained = Drained { deployment_id: deployment, session_id: opened.session_id };
        let is_drained = ledger.body::<Drained>(&drained.id(), &drained.subject()).await?.is_some();
        return Ok((!is_drained).then_some(holder));
    }
    Ok(None)
}
