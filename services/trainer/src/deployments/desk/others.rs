//! What a desk does between two windows where its deployment learns with other nodes.

use records::deployments::Heard;
use tokio::task::JoinHandle;

use super::{Desk, PATIENCE, Write, WriteError};
use crate::federation::{Federation, FederationError, OthersSteps, SeenSteps, StepsStream};

/// Whom a deployment learns with.
pub(crate) struct Others {
    federation: Federation,
    stream: StepsStream,
    /// What publishes what it has seen.
    publishing: Option<JoinHandle<()>>,
}

impl Others {
    pub(crate) fn new(federation: Federation, stream: StepsStream) -> Self {
        Self { federation, stream, publishing: None }
    }
}

impl Desk {
    /// Publishes what was seen, for which nobody waits, and takes in what others have. What cannot be had now is had after the
    /// next window.
    pub(super) async fn exchange(&mut self) -> Result<(), WriteError> {
        self.publish();
        match self.new_of_others().await {
            Ok(Some((record, steps))) => self.write(Write::Heard { record, steps }).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(deployment = self.name, %error, "what others have seen is not heard yet");
                Ok(())
            }
        }
    }

    fn publish(&mut self) {
        let ledger = self.ledger();
        let Some((others, steps)) = self.others.as_mut().zip(self.engine.steps()) else { return };
        if steps.own().last().is_none() {
            return; // it has seen nothing
        }
        if others.publishing.as_ref().is_some_and(|publishing| !publishing.is_finished()) {
            return; // the next one has this window too
        }
        let counts = self.engine.counts();
        let seen = SeenSteps {
            deployment: self.name.clone(),
            run: self.engine.run(),
            windows_ended: self.engine.window().number(),
            outcomes: counts.succeeded + counts.failed,
            steps: steps.own().clone(),
        };
        let (federation, stream) = (others.federation.clone(), others.stream.clone());
        others.publishing = Some(tokio::spawn(async move {
            let deployment = seen.deployment.clone();
            if let Err(error) = federation.publish_steps(&ledger, &stream, seen).await {
                tracing::warn!(deployment, %error, "what a deployment has seen is not published yet");
            }
        }));
    }

    async fn new_of_others(&self) -> Result<Option<(Heard, federation::Window)>, FederationError> {
        let Some((others, steps)) = self.others.as_ref().zip(self.engine.steps()) else { return Ok(None) };
        let (ledger, known) = (self.ledger.within(PATIENCE), steps.others().map(|heard| &*heard.authors));
        let new = others.federation.others_steps(
            &ledger,
            &others.stream,
            self.engine.last_step(),
            known.unwrap_or_default(),
        );
        let busy = |_| FederationError::Busy;
        let Some(new) = tokio::time::timeout(PATIENCE, new).await.map_err(busy)?? else { return Ok(None) };
        let OthersSteps { steps: heard, stream, map_root, heads, excluded, left_out, heeded_sha256 } = new;
        let record = Heard {
            deployment_id: self.id,
            number: steps.taken_in(),
            window: self.engine.window().number(),
            stream,
            map_root,
            heads,
            excluded,
            left_out,
            heeded_sha256,
        };
        Ok(Some((record, heard)))
    }
}
