//! One run as everybody sees it: the thread that plays it writes, the routes read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use api::{
    Hash,
    trainer::{AssumedPrice, NewRun, Progress, Recording, Run as WireRun, RunStatus},
};
use chrono::{DateTime, Datelike as _, Utc};
use records::run::{Pause, RunRecord};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod history;
mod state;

pub use history::{History, INTERVENTIONS_KEPT, WINDOWS_KEPT};
pub use state::RunState;

use crate::{algorithm, run_config::assumed_prices_of};

/// A run.
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// What was asked for, without its labels.
    pub config: NewRun,
    /// What its catalog lists without a price.
    assumed_prices: Vec<AssumedPrice>,
    /// The run that was rewound to begin this one.
    pub rewound_from: Option<Uuid>,
    /// Cancelled when it is to end after the episode under way.
    pub cancel: CancellationToken,
    /// Held while a caller's command is recorded and carried out, so that the ledger has them in their order.
    pub commands: tokio::sync::Mutex<()>,
    paused: watch::Sender<bool>,
    /// Whether another trainer has its lease.
    elsewhere: watch::Sender<bool>,
    state: Mutex<RunState>,
}

impl Run {
    /// A run that waits for its turn.
    #[must_use]
    pub fn new(id: Uuid, digest: Hash, mut config: NewRun) -> Self {
        let state = RunState::new(config.take_labels());
        Self {
            id,
            digest,
            assumed_prices: assumed_prices_of(&config.environment),
            config,
            rewound_from: None,
            cancel: CancellationToken::new(),
            commands: tokio::sync::Mutex::default(),
            paused: watch::Sender::new(false),
            elsewhere: watch::Sender::new(false),
            state: Mutex::new(state),
        }
    }

    /// The same, begun by rewinding that one.
    #[must_use]
    pub fn rewound_from(self, other: Option<Uuid>) -> Self {
        Self { rewound_from: other, ..self }
    }

    /// Its state. Held for moments only, never while something is waited for.
    pub fn state(&self) -> MutexGuard<'_, RunState> {
        // A panic between two assignments leaves figures of different moments at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is to stand still. It changes only while the state is held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until it is not to stand still (any more).
    pub async fn resumed(&self) {
        // An error: the sender is gone, but it is a part of the run that is borrowed here.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// Waits until no other trainer has its lease (any more).
    pub async fn free(&self) {
        // An error: as above.
        let _ = self.elsewhere.subscribe().wait_for(|elsewhere| !elsewhere).await;
    }

    /// Whether another trainer has its lease.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        *self.elsewhere.borrow()
    }

    /// Takes over who has its lease, when that is not this trainer; nothing more happens to a run that has ended.
    pub fn played_elsewhere(&self, holder: Option<String>) {
        let mut state = self.state();
        if state.held_here {
            return;
        }
        if !state.status.is_final() {
            state.status = match (&holder, self.is_paused()) {
                (_, true) => RunStatus::Paused,
                (Some(_), false) => RunStatus::Running,
                (None, false) => RunStatus::Queued,
            };
        }
        self.elsewhere.send_replace(holder.is_some() && !state.status.is_final());
        state.holder = holder;
    }

    /// Takes over that this trainer does not play it any more.
    pub fn let_go(&self) {
        let mut state = self.state();
        state.held_here = false;
        state.holder = None;
        state.settle(); // what was not recorded yet is given up
    }

    /// Takes over that it was paused or resumed, once; nothing more happens to a run that has ended.
    pub fn apply_pause(&self, body: &Pause) {
        let mut state = self.state();
        // Commands come from callers and again from the ledger, where others give them too.
        let is_old = (body.number, body.resumed) <= (state.pauses, !self.is_paused());
        if state.status.is_final() || is_old {
            return;
        }
        state.pauses = body.number;
        self.paused.send_replace(!body.resumed);
        let elsewhere = self.is_elsewhere();
        match (body.resumed, state.status) {
            // One that is at work gives its place up at the end of its step.
            (false, RunStatus::Queued) => state.status = RunStatus::Paused,
            (true, RunStatus::Paused) if !elsewhere => state.status = RunStatus::Queued,
            (true, RunStatus::Paused) => state.status = RunStatus::Running,
            _ => {}
        }
    }

    /// Takes over a record from the ledger, unless that was done before. Of a run that this trainer plays only
    /// commands count: the rest it wrote itself.
    pub fn take_over(&self, record: &RunRecord, id: &str, log_index: u64, recorded_at: DateTime<Utc>) {
        if !self.can_have(record) {
            tracing::warn!(run = %self.id, record = record.id(), "a record that the run cannot have is passed over");
            return;
        }
        match record {
            RunRecord::Pause(body) => self.apply_pause(body),
            RunRecord::Cancelling(_) => self.cancel.cancel(),
            RunRecord::Labelled(body) => self.state().label(body.labels.clone(), log_index),
            RunRecord::Created(_) | RunRecord::Checkpointed(_) | RunRecord::Ended(_) => {}
        }
        let mut state = self.state();
        if !state.is_news(log_index) {
            return;
        }
        let recording = self.config.recording == Recording::All;
        match record {
            // A run ends once: what is told of it later, somebody planted.
            RunRecord::Checkpointed(_) if state.status.is_final() => {}
            RunRecord::Ended(body) if state.has_ended_otherwise(body) => {}
            RunRecord::Checkpointed(body) => state.checkpointed(body, recording),
            RunRecord::Ended(body) => {
                state.ended(body, id.to_owned(), recorded_at);
                self.elsewhere.send_replace(false);
            }
            _ => {}
        }
    }

    /// Whether a record can be of this run: whoever can post to the ledger can plant others.
    fn can_have(&self, record: &RunRecord) -> bool {
        let within = |episodes: u32| episodes <= self.config.episodes;
        record.digest() == self.digest
            && match record {
                RunRecord::Checkpointed(body) => within(body.episodes_done),
                RunRecord::Ended(body) => within(body.episodes_done),
                _ => true,
            }
    }

    /// The checkpoint that it goes on from: its own last one, or the one that it was started with, or the one
    /// where it leaves another run's path.
    #[must_use]
    pub fn goes_on_from(&self) -> Option<Hash> {
        let own = self.state().checkpoints.last().map(|checkpoint| checkpoint.sha256);
        own.or(self.config.resume_from).or(self.config.fork.map(|fork| fork.checkpoint))
    }

    /// When it was asked for: its id (UUIDv7) tells it to the millisecond.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        let time = self.id.get_timestamp().and_then(|timestamp| {
            let (seconds, nanos) = timestamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        let time = time.filter(|time| time.year() <= 9999); // RFC 3339 has no later ones
        time.unwrap_or_default()
    }

    /// As the API shows it.
    #[must_use]
    pub fn to_wire(&self) -> WireRun {
        let state = self.state();
        let waiting_for = state.waiting_for.or(state.waits_for_ledger().then_some("remembrancer"));
        WireRun {
            id: self.id,
            digest: self.digest,
            status: state.status,
            config: algorithm::shown(&self.config),
            assumed_prices: self.assumed_prices.clone(),
            rewound_from: self.rewound_from,
            labels: state.labels.clone(),
            trainer: state.holder.clone(),
            created_at: self.created_at(),
            ended_at: state.ended_at,
            progress: Progress {
                episodes_done: state.episodes_done,
                episodes_total: self.config.episodes,
                step: state.step,
                decisions: state.decisions,
                decisions_recorded: state.decisions_recorded(),
                decisions_per_second: state.decisions_per_second(),
                waiting_for: waiting_for.filter(|_| !state.status.is_final()).map(str::to_owned),
            },
            run_root: state.run_root,
            reproducible: state.reproducible,
            checkpoint: state.checkpoints.last().cloned(),
            policy_sha256: state.policy_sha256,
            record_id: state.record_id.clone(),
            error: state.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::trainer::Checkpoint;

    use super::*;

    #[test]
    fn a_run_was_created_when_its_id_says() {
        // RFC 9562, appendix A.6: the UUIDv7 of Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00.
        let id: Uuid = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F".parse().unwrap();
        let run = Run::new(id, Hash([0; 32]), NewRun::default());
        assert_eq!(run.created_at().to_rfc3339(), "2022-02-22T19:22:22+00:00");
    }

    #[test]
    fn a_run_goes_on_from_its_own_last_checkpoint_before_the_one_that_it_was_started_with() {
        let config = NewRun { resume_from: Some(Hash([1; 32])), ..NewRun::default() };
        let run = Run::new(Uuid::now_v7(), Hash([0; 32]), config);
        assert_eq!(run.goes_on_from(), Some(Hash([1; 32])));
        let checkpoint =
            Checkpoint { sha256: Hash([2; 32]), episodes_done: 1, decisions: 1, run_root: Hash([3; 32]) };
        run.state().checkpoints.push(checkpoint);
        assert_eq!(run.goes_on_from(), Some(Hash([2; 32])));
    }

    #[test]
    fn no_speed_is_told_before_the_first_decision() {
        let run = Run::new(Uuid::now_v7(), Hash([0; 32]), NewRun::default());
        run.state().start_clock();
        assert_eq!(run.to_wire().progress.decisions_per_second, None);
        run.state().decisions = 10;
        let speed = run.to_wire().progress.decisions_per_second;
        assert!(speed.is_some_and(|speed| speed > 0.0));
        run.state().settle();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let (settled, later) = (run.to_wire(), run.to_wire());
        assert_eq!(settled.progress.decisions_per_second, later.progress.decisions_per_second);
    }
}
