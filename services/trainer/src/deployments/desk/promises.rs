//! What a desk does otherwise where it promises.

use std::time::Duration;

use api::deployments::{DeploymentStream, PromisedDecisions};
use chrono::{DateTime, Utc};
use client::Deadline;
use records::deployments::Drained;
use tokio_util::sync::CancellationToken;

use super::{Call, Desk};
use crate::{
    deployments::{DeployError, promising::WriteError, view},
    ledger::GLANCE,
};

/// How long a trainer that ends waits for the ledger to have what was promised.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl Desk {
    /// Waits until the ledger has all that was promised. Nothing else changes what the ledger has.
    pub(super) async fn drained(&mut self) -> Result<(), WriteError> {
        match &mut self.promising {
            None => Ok(()),
            Some(promising) => promising.drained().await,
        }
    }

    /// As many as may wait, where a call's decisions would be more.
    pub(super) fn is_full(&self, call: &Call) -> Option<u64> {
        let promising = self.promising.as_ref()?;
        let more = match call {
            // each decision, and a record each of what it was made from, and for
            Call::Decide(asked, ..) => asked.requests.len() + 2,
            Call::Market(..) => 1,
            _ => return None,
        };
        let unwritten = self.made.len() + self.inputs.len() + self.calls.len();
        promising.is_full((unwritten + more) as u64).then(|| promising.most())
    }

    /// The promise of a call's decisions, where they are promised.
    pub(super) fn promise(
        &self,
        leaves: &[(u64, merkle_log::Hash)],
        now: DateTime<Utc>,
    ) -> Result<Option<PromisedDecisions>, DeployError> {
        let Some(promising) = &self.promising else { return Ok(None) };
        promising.count(leaves.len());
        let promise = promising.promise(&self.name, self.engine.run(), leaves.to_vec(), now);
        promise.map(Some).map_err(|error| DeployError::Internal(error.to_string()))
    }

    /// Where the stream stands.
    pub(super) fn stream(&self) -> DeploymentStream {
        let promises = self.promising.as_ref().map(|promising| promising.status());
        DeploymentStream { promises, ..view::stream(&self.engine, &self.lifecycle) }
    }

    /// Whether what is promised from here cannot get into the ledger any more.
    pub(in crate::deployments) fn is_broken(&self) -> bool {
        let broken = self.promising.as_ref().and_then(|promising| promising.broken());
        if let Some(why) = &broken {
            tracing::error!(deployment = self.name, why, "the journal is opened anew");
        }
        broken.is_some()
    }

    /// Ends well, if it can: then another trainer may go on.
    pub(in crate::deployments) async fn close(self, is_held: bool) {
        let Self { promising: Some(promising), ledger, id, session, name, .. } = self else { return };
        let Some(journal) = promising.close(if is_held { LAST_WAIT } else { Duration::ZERO }).await else {
            tracing::warn!(
                deployment = name,
                "what was promised is in the journal: the next start appends it"
            );
            return;
        };
        let ledger = ledger.with_deadline(Deadline::shutting_down(CancellationToken::new())).within(GLANCE);
        let drained = Drained { deployment_id: id, session_id: session };
        match ledger.append_body(&drained).await {
            Ok(_) => {
                if let Err(error) = journal.delete() {
                    tracing::warn!(%error, deployment = name, "an empty journal stays");
                }
            }
            Err(error) => {
                tracing::warn!(%error, deployment = name, "no other trainer can continue it: the ledger was not told that nothing is promised");
            }
        }
    }
}
