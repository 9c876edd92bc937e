//! From where a deployment goes on: its last checkpoint and what the ledger has of it since, or all that the ledger has.

use client::Ledger;
use records::deployments::Created;

use super::{
    Deployments,
    checkpoint::{self, Found},
    desk::Checkpoints,
    engine::Engine,
    lifecycle::Lifecycle,
    replay::{ReplayError, Replayed, replay},
};
use crate::federation::StepsStream;

/// What the ledger made again of a deployment.
pub(super) struct Continued {
    pub(super) engine: Engine,
    pub(super) lifecycle: Lifecycle,
    pub(super) replayed: Replayed,
    pub(super) checkpoints: Checkpoints,
}

impl Deployments {
    /// Brings a stream of which nothing was asked to where the ledger says that it stands.
    ///
    /// A checkpoint is only a shorter way to the same state: the state's hash is recorded beside it, and where it is another one,
    /// or decisions do not follow from it, all is read from the beginning.
    ///
    /// # Errors
    /// As [`replay`].
    pub(super) async fn continued(
        &self,
        ledger: &Ledger,
        created: &Created,
        (mut engine, mut lifecycle): (Engine, Lifecycle),
        steps: Option<&StepsStream>,
    ) -> Result<Continued, ReplayError> {
        let (id, every) = (created.deployment_id, self.0.checkpoint_decisions);
        // deployments with challengers have no checkpoints
        let last =
            if created.settings.challengers.is_empty() { checkpoint::last(ledger, id).await? } else { None };
        if let Some(Found { checkpoint, ended, log_index }) = last {
            let last = (checkpoint.window, checkpoint.next_sequence);
            let mut resumed = engine.resume(checkpoint);
            let state = engine.state_sha256();
            if resumed.is_ok() && (ended.next, ended.state_sha256) != (last.0, state) {
                resumed =
                    Err(format!("it comes to the state {state}, the ledger has {}", ended.state_sha256));
            }
            let why = match resumed {
                Err(why) => why,
                Ok(()) => {
                    let (from, steps) = (Some((log_index, last.1)), steps.cloned());
                    match replay(ledger, id, (&mut engine, &mut lifecycle), (steps, from)).await {
                        Err(ReplayError::Differs(why)) => why,
                        replayed => {
                            let (replayed, checkpoints) = (replayed?, Checkpoints { every, last });
                            tracing::debug!(
                                deployment = created.settings.name,
                                window = last.0,
                                "from a checkpoint"
                            );
                            return Ok(Continued { engine, lifecycle, replayed, checkpoints });
                        }
                    }
                }
            };
            tracing::warn!(
                deployment = created.settings.name,
                why,
                "the last checkpoint is passed over: all is read from the beginning"
            );
            let made = self.engine(created).await;
            (engine, lifecycle) = made.map_err(|error| ReplayError::Engine(error.to_string()))?;
        }
        let replayed = replay(ledger, id, (&mut engine, &mut lifecycle), (steps.cloned(), None)).await?;
        let checkpoints = Checkpoints { every, last: (0, 0) };
        Ok(Continued { engine, lifecycle, replayed, checkpoints })
    }
}
