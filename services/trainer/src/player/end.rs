//! How a run ends when nothing keeps it from ending.

use api::{
    Hash,
    trainer::{Recording, RunStatus},
};
use records::run::Ended;

use super::Player;
use crate::{run_waiter::Halt, worker::finish};

impl Player<'_> {
    pub(super) fn end(mut self) -> Result<(), Halt> {
        let status = if self.episodes_done == self.run.config.episodes {
            RunStatus::Completed
        } else if self.episodes_done >= self.plan.last_episode {
            RunStatus::Stopped
        } else {
            RunStatus::Cancelled
        };
        self.ledger.flush()?;
        self.compare_roots(status)?;
        let policy_sha256 = if status == RunStatus::Completed && self.swarm.is_learner() {
            let file = self.plan.policy(&self.swarm, self.episodes_done, self.frontier.len());
            let bytes = serde_json::to_vec(&file)
                .map_err(|error| Halt::Failed(format!("writing the policy: {error}")))?;
            Some(self.ledger.put_json("the policy", bytes)?)
        } else {
            None
        };
        // before the record: whoever reads that the run has ended finds nothing on its way to it
        self.field.tell_end()?;
        let checkpoint_sha256 = self.run.goes_on_from();
        let ended = Ended {
            run_id: self.run.id,
            digest: self.plan.digest,
            status,
            run_root: (!self.frontier.is_empty()).then(|| Hash(self.frontier.root())),
            decisions: self.frontier.len(),
            episodes_done: self.episodes_done,
            policy_sha256,
            checkpoint_sha256,
            reproducible: self.reproducible,
            error: None,
        };
        finish(&self.ledger, self.run, ended)
    }

    /// The log must hold exactly what this run decided. Another run of the same configuration may have
    /// been further on the same log; then only the recorder's receipts speak for this one.
    fn compare_roots(&self, status: RunStatus) -> Result<(), Halt> {
        let own = self.frontier.len();
        if self.run.config.recording == Recording::None || own == self.began_at {
            return Ok(());
        }
        let (recorded, root) = self
            .ledger
            .run_head(self.plan.digest)?
            .map_or((0, None), |head| (head.next_sequence, Some(head.run_root)));
        let further = recorded > own && status != RunStatus::Completed;
        if further || (recorded == own && root == Some(Hash(self.frontier.root()))) {
            return Ok(());
        }
        let root = root.map_or_else(|| "none".to_owned(), |root| root.to_string());
        Err(Halt::Failed(format!(
            "the log does not hold what the run decided: {own} decisions with the root {} were made, the log has \
             {recorded} with the root {root} under the digest {}",
            Hash(self.frontier.root()),
            self.plan.digest
        )))
    }
}
