//! What changes of a run while it is played.

use std::{sync::Arc, time::Instant};

use api::{
    Hash,
    trainer::{Checkpoint, Labels, RunStatus},
};
use chrono::{DateTime, Utc};
use client::Recorder;
use records::run::{Checkpointed, Ended};

use super::History;

/// What changes while it is played.
pub struct RunState {
    /// Where it stands.
    pub status: RunStatus,
    /// What people call it.
    pub labels: Labels,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How many times it was paused.
    pub pauses: u32,
    /// Who has its lease, as far as is known: this trainer or another.
    pub holder: Option<String>,
    /// True while this trainer has the lease: it then knows better than the ledger how far the run is.
    pub held_here: bool,
    /// Episodes done.
    pub episodes_done: u32,
    /// Steps done in the episode under way.
    pub step: u32,
    /// Decisions made, those before a resume included.
    pub decisions: u64,
    /// What it waits for.
    pub waiting_for: Option<&'static str>,
    /// RFC 6962 root over its decisions at the last checkpoint.
    pub run_root: Option<Hash>,
    /// False when it went on without psi-field.
    pub reproducible: bool,
    /// Its checkpoints, the oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// What the state was before each of them.
    before: Vec<Before>,
    /// The newest list of applied interventions in the ledger.
    pub interventions_sha256: Option<Hash>,
    /// The learned policy.
    pub policy_sha256: Option<Hash>,
    /// The id of its last record.
    pub record_id: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Its figures; `None` when they are in its last checkpoint and have not been asked for.
    pub history: Option<History>,
    /// The ledger's windows, the oldest first: a part with each checkpoint.
    pub windows: Vec<records::run::Windows>,
    /// The last record that was taken over, by its place in the log.
    seen: Option<u64>,
    /// The record that gave it its labels, likewise.
    labelled: Option<u64>,
    speed: Option<Speed>,
    recorded: Recorded,
}

/// What a checkpoint replaces.
struct Before {
    interventions_sha256: Option<Hash>,
    run_root: Option<Hash>,
    reproducible: bool,
    /// How many parts of windows there were.
    windows: usize,
}

/// How fast decisions are made.
#[derive(Clone, Copy)]
struct Speed {
    began: Instant,
    decisions_before: u64,
    /// Set when the run has ended, so that the figure stays.
    per_second: Option<f64>,
}

/// How many decisions the ledger holds.
enum Recorded {
    /// So many.
    Count(u64),
    /// So many before, and what the recorder says.
    Live(u64, Arc<Recorder>),
}

impl RunState {
    /// Of a run that waits for its turn.
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            status: RunStatus::Queued,
            labels,
            ended_at: None,
            pauses: 0,
            holder: None,
            held_here: false,
            episodes_done: 0,
            step: 0,
            decisions: 0,
            waiting_for: None,
            run_root: None,
            reproducible: true,
            checkpoints: Vec::new(),
            before: Vec::new(),
            interventions_sha256: None,
            policy_sha256: None,
            record_id: None,
            error: None,
            history: Some(History::default()),
            windows: Vec::new(),
            seen: None,
            labelled: None,
            speed: None,
            recorded: Recorded::Count(0),
        }
    }

    /// Begins to count decisions a second.
    pub fn start_clock(&mut self) {
        self.speed =
            Some(Speed { began: Instant::now(), decisions_before: self.decisions, per_second: None });
    }

    /// Tells no speed while nothing is decided.
    pub fn stop_clock(&mut self) {
        self.speed = None;
    }

    /// Lets the recorder say how many decisions the ledger holds, beside those recorded before.
    pub fn watch(&mut self, recorded_before: u64, recorder: Arc<Recorder>) {
        self.recorded = Recorded::Live(recorded_before, recorder);
    }

    /// Writes down what the recorder and the clock said last, and lets go of both.
    pub fn settle(&mut self) {
        let per_second = self.decisions_per_second();
        if let Some(speed) = &mut self.speed {
            speed.per_second = per_second;
        }
        self.recorded = Recorded::Count(self.decisions_recorded());
        self.waiting_for = None;
    }

    /// Forgets how far it is, so that the ledger can tell it again from the beginning.
    pub fn forget(&mut self) {
        self.status = RunStatus::Queued;
        (self.episodes_done, self.step, self.decisions) = (0, 0, 0);
        (self.waiting_for, self.run_root, self.reproducible) = (None, None, true);
        self.checkpoints.clear();
        self.before.clear();
        self.windows.clear();
        self.interventions_sha256 = None;
        self.history = Some(History::default());
        self.speed = None;
        self.recorded = Recorded::Count(0);
        self.seen = None;
    }

    /// Gives it these labels, unless those of a later record are there.
    pub fn label(&mut self, labels: Labels, log_index: u64) {
        if self.labelled.is_none_or(|last| last < log_index) {
            self.labels = labels;
            self.labelled = Some(log_index);
        }
    }

    /// Whether a record is one that was not taken over before. Of a run that this trainer plays it knows better.
    pub(super) fn is_news(&mut self, log_index: u64) -> bool {
        let news = !self.held_here && self.seen.is_none_or(|seen| log_index > seen);
        if news {
            self.seen = Some(log_index);
        }
        news
    }

    /// Forgets the last checkpoint, which nothing can go on from; false when it has none.
    pub fn drop_checkpoint(&mut self) -> bool {
        let (dropped, before) = (self.checkpoints.pop(), self.before.pop());
        if let Some(before) = before {
            let Before { interventions_sha256, run_root, reproducible, windows } = before;
            (self.interventions_sha256, self.run_root, self.reproducible) =
                (interventions_sha256, run_root, reproducible);
            self.windows.truncate(windows);
        }
        dropped.is_some()
    }

    pub(super) fn checkpointed(&mut self, body: &Checkpointed, recording: bool) {
        // One that this trainer made itself, before it gave the run back.
        if self.checkpoints.last().is_some_and(|last| last.episodes_done >= body.episodes_done) {
            return;
        }
        self.add_checkpoint(body);
        self.episodes_done = body.episodes_done;
        self.decisions = body.decisions;
        self.recorded = Recorded::Count(if recording { body.decisions } else { 0 });
        self.history = None;
    }

    /// Takes a checkpoint that is in the ledger into the list.
    pub fn add_checkpoint(&mut self, body: &Checkpointed) {
        self.before.push(Before {
            interventions_sha256: self.interventions_sha256,
            run_root: self.run_root,
            reproducible: self.reproducible,
            windows: self.windows.len(),
        });
        self.checkpoints.push(body.checkpoint());
        self.windows.extend(body.windows);
        self.interventions_sha256 = body.interventions_sha256;
        self.reproducible = body.reproducible;
        self.run_root = Some(body.run_root);
    }

    /// Takes over how it ended.
    pub fn ended(&mut self, body: &Ended, record_id: String, at: DateTime<Utc>) {
        self.settle();
        self.status = body.status;
        self.ended_at = Some(at);
        self.run_root = body.run_root;
        self.decisions = body.decisions;
        self.episodes_done = body.episodes_done;
        self.policy_sha256 = body.policy_sha256;
        self.reproducible = body.reproducible;
        self.error = body.error.clone();
        self.record_id = Some(record_id);
        self.step = 0;
        self.holder = None;
    }

    pub(super) fn has_ended_otherwise(&self, body: &Ended) -> bool {
        let same =
            (self.status, self.decisions, self.run_root) == (body.status, body.decisions, body.run_root);
        self.status.is_final() && !same
    }

    /// Decisions that the ledger holds.
    #[must_use]
    pub fn decisions_recorded(&self) -> u64 {
        match &self.recorded {
            Recorded::Count(count) => *count,
            Recorded::Live(before, recorder) => before + recorder.recorded(),
        }
    }

    /// The figures, to be added to.
    pub fn history_mut(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    /// Whether decisions wait for the ledger.
    pub(super) fn waits_for_ledger(&self) -> bool {
        matches!(&self.recorded, Recorded::Live(_, recorder) if recorder.waiting())
    }

    pub(super) fn decisions_per_second(&self) -> Option<f64> {
        let speed = self.speed?;
        speed.per_second.or_else(|| {
            let seconds = speed.began.elapsed().as_secs_f64();
            let made = self.decisions.saturating_sub(speed.decisions_before);
            (made > 0 && seconds > 0.0).then(|| made as f64 / seconds)
        })
    }
}
