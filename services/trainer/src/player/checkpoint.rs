//! Checkpoints of a run under way.

use api::Hash;
use records::run::{Checkpointed, Windows};

use super::Player;
use crate::{
    checkpoint::{CHECKPOINT_FORMAT, CheckpointDocument},
    run::History,
    run_waiter::Halt,
    windows,
};

impl Player<'_> {
    /// Makes a checkpoint, unless the last one stands here. In this order: the decisions, psi-field's
    /// state, the document, and at last the record that names it, so that a checkpoint that is named is
    /// whole, and nothing that it counts on can be lost.
    pub(super) fn checkpoint(&mut self) -> Result<(), Halt> {
        let last = self.run.state().checkpoints.last().map(|checkpoint| checkpoint.episodes_done);
        let resumed_here = self.run.config.resume_from.is_some() && self.frontier.len() == self.began_at;
        if self.episodes_done == 0 || last == Some(self.episodes_done) || (last.is_none() && resumed_here) {
            return Ok(());
        }
        self.ledger.flush()?;
        let field = self.field.checkpoint()?;
        self.reproducible &= self.field.is_complete();
        let (episodes, agents, interventions) = {
            let mut state = self.run.state();
            let History { episodes, agents, interventions, .. } = state.history_mut();
            (episodes.clone(), agents.clone(), interventions.clone())
        };
        let document = CheckpointDocument {
            format: CHECKPOINT_FORMAT.to_owned(),
            config: CheckpointDocument::config_of(&self.run.config),
            digest: self.plan.digest,
            episodes_done: self.episodes_done,
            windows_done: self.windows_done,
            decisions: self.frontier.len(),
            frontier: self.frontier.clone(),
            swarm: self.swarm.state(),
            field,
            pending_acknowledgements: self.field.pending().applied.clone(),
            pending_trials: self.field.pending().trials.clone(),
            windows_tried: self.windows_tried,
            episodes,
            agents,
            reproducible: self.reproducible,
            content_sha256: None, // it is written with the bytes
        };
        let unwritable = |error: serde_json::Error| Halt::Failed(format!("writing a checkpoint: {error}"));
        let checkpoint_sha256 =
            self.ledger.put_json("a checkpoint", document.to_bytes().map_err(unwritable)?)?;
        let interventions_sha256 = if interventions.is_empty() {
            None
        } else {
            let list = serde_json::to_vec(&interventions).map_err(unwritable)?;
            Some(self.ledger.put_json("the interventions", list)?)
        };
        let windows = self.put_windows()?;
        let body = Checkpointed {
            run_id: self.run.id,
            digest: self.plan.digest,
            episodes_done: self.episodes_done,
            decisions: self.frontier.len(),
            run_root: Hash(self.frontier.root()),
            checkpoint_sha256,
            interventions_sha256,
            windows,
            reproducible: self.reproducible,
        };
        let recorded = self.ledger.append_checkpoint(body)?;
        self.windows_recorded = self.windows_done;
        self.run.state().add_checkpoint(&recorded);
        Ok(())
    }

    /// Stores the windows since the last checkpoint; of a long way only the newest are in memory.
    fn put_windows(&self) -> Result<Option<Windows>, Halt> {
        let windows: Vec<_> = {
            let mut state = self.run.state();
            let all = &state.history_mut().windows;
            let recorded = all.partition_point(|window| window.window < self.windows_recorded);
            all.range(recorded..).cloned().collect()
        };
        let Some(first) = windows.first().map(|window| window.window) else { return Ok(None) };
        let artifact = windows::encode(&windows)
            .map_err(|error| Halt::Failed(format!("writing the windows of a checkpoint: {error}")))?;
        let sha256 = self.ledger.put("the windows", windows::MEDIA_TYPE, artifact)?;
        Ok(Some(Windows { sha256, first, count: windows.len() as u64 }))
    }
}
