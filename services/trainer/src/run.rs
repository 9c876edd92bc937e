//! One run as everybody sees it: the thread that plays it writes, the routes read.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use api::{
    Hash,
    psi_field::Intervention,
    trainer::{
        Agent, AssumedPrice, Checkpoint, EpisodeMetrics, Labels, NewRun, Progress, Recording, Run as WireRun,
        RunStatus, WindowMetrics,
    },
};
use chrono::{DateTime, Datelike as _, Utc};
use client::Recorder;
use records::run::{Checkpointed, Ended, Pause, RunRecord};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{algorithm, run_config::assumed_prices_of};

/// The newest windows that are kept of a run.
pub const WINDOWS_KEPT: usize = 100_000;

/// The newest interventions that are kept of a run.
pub const INTERVENTIONS_KEPT: usize = 1000;

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

/// A run's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// All episodes, the first first.
    pub episodes: Vec<EpisodeMetrics>,
    /// The newest windows, the oldest first.
    pub windows: VecDeque<WindowMetrics>,
    /// The agents.
    pub agents: Vec<Agent>,
    /// The newest interventions, the oldest first.
    pub interventions: VecDeque<Intervention>,
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

impl Run {
    /// A run that waits for its turn.
    #[must_use]
    pub fn new(id: Uuid, digest: Hash, mut config: NewRun) -> Self {
        let state = RunState {
            status: RunStatus::Queued,
            labels: config.take_labels(),
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
        };
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
        if state.held_here || state.seen.is_some_and(|seen| log_index <= seen) {
            return;
        }
        state.seen = Some(log_index);
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

    /// Forgets the last checkpoint, which nothing can go on from; false when it has none.
    pub fn drop_checkpoint(&self) -> bool {
        let mut state = self.state();
        let (dropped, before) = (state.checkpoints.pop(), state.before.pop());
        if let Some(before) = before {
            let Before { interventions_sha256, run_root, reproducible, windows } = before;
            (state.interventions_sha256, state.run_root, state.reproducible) =
                (interventions_sha256, run_root, reproducible);
            state.windows.truncate(windows);
        }
        dropped.is_some()
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
        let waits_for_ledger = matches!(&state.recorded, Recorded::Live(_, recorder) if recorder.waiting());
        let waiting_for = state.waiting_for.or(waits_for_ledger.then_some("remembrancer"));
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

impl RunState {
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

    fn checkpointed(&mut self, body: &Checkpointed, recording: bool) {
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

    fn has_ended_otherwise(&self, body: &Ended) -> bool {
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

    fn decisions_per_second(&self) -> Option<f64> {
        let speed = self.speed?;
        speed.per_second.or_else(|| {
            let seconds = speed.began.elapsed().as_secs_f64();
            let made = self.decisions.saturating_sub(speed.decisions_before);
            (made > 0 && seconds > 0.0).then(|| made as f64 / seconds)
        })
    }
}

impl History {
    /// Adds a window; the oldest goes when there are too many.
    pub fn add_window(&mut self, window: WindowMetrics) {
        if self.windows.len() == WINDOWS_KEPT {
            self.windows.pop_front();
        }
        self.windows.push_back(window);
    }

    /// Adds an intervention; the oldest goes when there are too many.
    pub fn add_intervention(&mut self, intervention: Intervention) {
        if self.interventions.len() == INTERVENTIONS_KEPT {
            self.interventions.pop_front();
        }
        self.interventions.push_back(intervention);
    }
}

#[cfg(test)]
mod tests {
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
