//! Going back to a checkpoint of a run, and on from there as a new run.

use std::sync::Arc;

use api::{
    Hash,
    trainer::{Checkpoint, NewRewind},
};

use super::{CreateError, Runs};
use crate::run::Run;

/// Why a run was not rewound.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// Neither an episode nor a checkpoint is named, or both are.
    #[error("expected either `episodes_done` or `checkpoint`")]
    Where,
    /// It has no such checkpoint; these are the episodes at which it has one.
    #[error("the run has no such checkpoint")]
    NoCheckpoint(Vec<u32>),
    /// The new run was not started.
    #[error(transparent)]
    Create(#[from] CreateError),
}

impl Runs {
    /// Starts a new run from a checkpoint of an old one, which stays as it is. What the old one decided up to
    /// there is the beginning of what the new one decides.
    ///
    /// # Errors
    /// Nothing was started.
    pub async fn rewind(
        &self,
        old: &Run,
        rewind: NewRewind,
        key: Option<String>,
    ) -> Result<Arc<Run>, RewindError> {
        let checkpoint = find(&old.state().checkpoints, &rewind)?;
        let run = rewind.run(&old.config, checkpoint);
        Ok(self.create_rewound(run, key, Some(old.id)).await?)
    }
}

fn find(checkpoints: &[Checkpoint], rewind: &NewRewind) -> Result<Hash, RewindError> {
    let wanted = |checkpoint: &&Checkpoint| match (rewind.episodes_done, rewind.checkpoint) {
        (Some(episodes), _) => checkpoint.episodes_done == episodes,
        (None, sha256) => Some(checkpoint.sha256) == sha256,
    };
    if rewind.episodes_done.is_some() == rewind.checkpoint.is_some() {
        return Err(RewindError::Where);
    }
    let found = checkpoints.iter().find(wanted).map(|checkpoint| checkpoint.sha256);
    found.ok_or_else(|| RewindError::NoCheckpoint(checkpoints.iter().map(|c| c.episodes_done).collect()))
}
