//! A run's exchange with psi-field: windows out, interventions in, and what to do when either side
//! has lost its memory.
//!
//! psi-field answers the same windows with the same answers, so the link only has to see to it that the
//! field meets every window once and in order. It keeps the last snapshot and the windows after it. A
//! field that forgot (it restarted) gets them again, from where it stands or from the snapshot. A field
//! that stands where neither leads (it moved on and dropped the answers that this run needs, because
//! the trainer was killed between the field's checkpoint and its own) gets them as a new swarm: its
//! answers do not depend on the swarm's name.

use std::time::Duration;

use api::{
    psi_field::{Snapshot, Trial, Window, WindowAnswer},
    trainer::PsiFieldMode,
};
use client::{ClientError, PsiField};
use uuid::Uuid;

use crate::run_waiter::{Halt, RunWaiter};

/// How long a `best_effort` run waits for an answer.
const BEST_EFFORT_DEADLINE: Duration = Duration::from_millis(500);

/// A `best_effort` run keeps at most so many agents' windows for a field that is away.
const MOST_UNSENT: usize = 200_000;

/// After so many agents' windows a snapshot is taken into memory, so that a long way to the next
/// checkpoint does not fill it.
const MOST_KEPT: usize = 1_000_000;

/// How often in a row a field may lose its place without taking a single window.
const MOST_RESYNCS: u32 = 10;

/// The name of the service in what a run says that it waits for.
const WHOM: &str = "psi-field";

/// What became of what the last answer commanded, to be told with the next window.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Interventions that were applied untried.
    pub applied: Vec<Uuid>,
    /// Those that were tried.
    pub trials: Vec<Trial>,
}

/// The link of one run.
pub struct FieldLink {
    field: PsiField,
    waiter: RunWaiter,
    mode: PsiFieldMode,
    run: Uuid,
    swarm: String,
    renamed: u32,
    /// The field's state right before the first window of `kept`; `None` for a swarm without windows.
    snapshot: Option<Snapshot>,
    /// The number of the first window after the snapshot.
    base: u64,
    /// The windows after the snapshot, the oldest first.
    kept: Vec<Window>,
    pending: Pending,
    /// Whether the run's swarm obeys, and so acknowledges.
    obeys: bool,
    /// The number of the window that the field is believed to expect.
    next: u64,
    /// False once a window went without an answer.
    complete: bool,
    /// True when a `best_effort` run cannot catch up with its field any more.
    given_up: bool,
    resyncs: u32,
}

impl FieldLink {
    /// The link of a run that begins here.
    #[must_use]
    pub fn new(field: PsiField, waiter: RunWaiter, mode: PsiFieldMode, run: Uuid, obeys: bool) -> Self {
        Self {
            field,
            waiter,
            mode,
            run,
            swarm: run.to_string(),
            renamed: 0,
            snapshot: None,
            base: 0,
            kept: Vec::new(),
            pending: Pending::default(),
            obeys,
            next: 0,
            complete: true,
            given_up: mode == PsiFieldMode::Off,
            resyncs: 0,
        }
    }

    /// The link of a run that goes on at window `next`; `snapshot` is the field's state there, and
    /// `pending` is told with it.
    #[must_use]
    pub fn going_on(self, next: u64, snapshot: Option<Snapshot>, pending: Pending) -> Self {
        Self { base: next, next, snapshot, pending, ..self }
    }

    /// What is told with the next window.
    #[must_use]
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Instead of acknowledging what the last answer commanded, tells what trying it came to.
    pub fn tell_trials(&mut self, trials: Vec<Trial>) {
        self.pending = Pending { applied: Vec::new(), trials };
    }

    /// False once the run went on without an answer of the field.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Sends a window, with the acknowledgements of what the last answer commanded, and waits for its
    /// answer; `None` when the run goes on without one. The caller carries out what it commands.
    ///
    /// # Errors
    /// The trainer shuts down, or psi-field refuses the window for good.
    pub fn exchange(&mut self, mut window: Window) -> Result<Option<WindowAnswer>, Halt> {
        if self.given_up {
            return Ok(None);
        }
        let agents = window.agents.len();
        if self.mode == PsiFieldMode::Required && (self.kept.len() + 1) * agents > MOST_KEPT {
            self.snapshot_into_memory()?;
        }
        let Pending { applied, trials } = std::mem::take(&mut self.pending);
        (window.acknowledged, window.trials) = (applied, trials);
        self.kept.push(window);
        let answer = self.deliver()?;
        self.pending.applied = answer.as_ref().map(|answer| self.commanded(answer)).unwrap_or_default();
        if answer.is_none() && self.complete {
            self.complete = false;
            tracing::warn!(run = %self.run, "the run continues without psi-field and cannot be repeated exactly");
        }
        if self.mode == PsiFieldMode::BestEffort && self.unsent() * agents > MOST_UNSENT {
            self.give_up("it was away for too long");
        }
        Ok(answer)
    }

    /// Tells the field that the run is about to be checkpointed, and takes its state. `None` when there
    /// is no state that a run could go on from.
    ///
    /// # Errors
    /// As [`FieldLink::exchange`].
    pub fn checkpoint(&mut self) -> Result<Option<Snapshot>, Halt> {
        loop {
            if self.given_up || (self.kept.is_empty() && self.snapshot.is_none()) {
                return Ok(None);
            }
            let expected = self.end();
            if self.next != expected {
                // Only a best_effort run has windows that were not sent; without them the state is not its own.
                self.deliver()?;
                if self.next != expected {
                    return Ok(None);
                }
            }
            let (field, swarm) = (&self.field, &self.swarm);
            match self.ask(|| field.checkpoint(swarm))? {
                None => {
                    self.complete = false;
                    return Ok(None);
                }
                Some(Ok(snapshot)) if snapshot.next_window == expected => {
                    self.take(&snapshot);
                    return Ok(Some(snapshot));
                }
                // It restarted just now and stands at an older window; or it went on, before the trainer was
                // killed, to a window that the run has yet to come to.
                Some(Ok(snapshot)) => self.resync(&format!(
                    "its snapshot expects window {}, the run has done {expected}",
                    snapshot.next_window
                ))?,
                Some(Err(refusal)) => self.refused(&refusal)?,
            }
            self.deliver()?;
        }
    }

    /// Tells the field that no window comes any more, so that nothing stays on its way to this run. A `best_effort` run
    /// tells it once; psi-field finds out from the ledger what it was not told.
    ///
    /// # Errors
    /// The trainer shuts down, or has lost the run.
    pub fn tell_end(&mut self) -> Result<(), Halt> {
        if self.given_up || (self.kept.is_empty() && self.snapshot.is_none()) {
            return Ok(());
        }
        let (field, swarm) = (&self.field, &self.swarm);
        if let Some(Err(refusal)) = self.ask(|| field.end_swarm(swarm))? {
            tracing::info!(run = %self.run, swarm = self.swarm, %refusal, "psi-field was not told that the run ends");
        }
        Ok(())
    }

    /// Sends what is kept and not sent; the answer to the last window, `None` when the field is away.
    fn deliver(&mut self) -> Result<Option<WindowAnswer>, Halt> {
        let mut last = None;
        while !self.given_up && self.next < self.end() {
            let index = (self.next - self.base) as usize; // `next` is never below `base`
            let (field, swarm, window) = (&self.field, &self.swarm, &self.kept[index]);
            match self.ask(|| field.post_window(swarm, window))? {
                None => return Ok(None),
                Some(Ok(answer)) => {
                    self.next += 1;
                    self.resyncs = 0;
                    self.renew_acknowledgement(index + 1, &answer);
                    last = (self.next == self.end()).then_some(answer);
                }
                Some(Err(refusal)) => self.refused(&refusal)?,
            }
        }
        Ok(last)
    }

    /// A window that is told again may have been acknowledged under the ids of a swarm of another name.
    fn renew_acknowledgement(&mut self, index: usize, answer: &WindowAnswer) {
        let commanded = self.commanded(answer);
        let (applied, trials) = match self.kept.get_mut(index) {
            Some(next) => (&mut next.acknowledged, &mut next.trials),
            None => (&mut self.pending.applied, &mut self.pending.trials),
        };
        for (trial, id) in trials.iter_mut().zip(&commanded) {
            trial.intervention = *id; // each was tried, in this order
        }
        // Where nothing was acknowledged, the answer came too late to be carried out.
        if !applied.is_empty() {
            *applied = commanded;
        }
    }

    fn commanded(&self, answer: &WindowAnswer) -> Vec<Uuid> {
        let ids = answer.interventions.iter().map(|intervention| intervention.id);
        if self.obeys { ids.collect() } else { Vec::new() }
    }

    /// 404, 409 and 410 say that the field does not stand where the run does; anything else is final.
    fn refused(&mut self, refusal: &ClientError) -> Result<(), Halt> {
        match refusal {
            error if error.code() == Some("window_conflict") => self.rename(&error.to_string()),
            error if matches!(error.status(), Some(404 | 409 | 410)) => self.resync(&error.to_string()),
            _ => Err(Halt::Failed(format!("psi-field refused a window: {refusal}"))),
        }
    }

    /// Finds the window from which the field can go on.
    fn resync(&mut self, why: &str) -> Result<(), Halt> {
        self.count_resync(why)?;
        tracing::info!(run = %self.run, swarm = self.swarm, why, "psi-field does not stand where the run does");
        let (field, swarm) = (&self.field, &self.swarm);
        let known = match self.ask(|| field.swarm(swarm))? {
            None => return Ok(()), // a best_effort run; it tries again at its next window
            Some(Ok(known)) => Some(known),
            Some(Err(refusal)) if matches!(refusal.status(), Some(404 | 410)) => None, // it is new, or was deleted
            Some(Err(refusal)) => {
                return Err(Halt::Failed(format!("psi-field refused the swarm: {refusal}")));
            }
        };
        match known {
            // Where it stands at `end` or beyond, it has dropped an answer that is needed; where it stands
            // right and refuses all the same, it holds something else against the swarm.
            Some(known)
                if (self.base..self.end()).contains(&known.next_window) && known.next_window != self.next =>
            {
                self.next = known.next_window;
                Ok(())
            }
            Some(_) => self.rename(why),
            None => self.restore(),
        }
    }

    /// Goes on as another swarm, from the snapshot.
    fn rename(&mut self, why: &str) -> Result<(), Halt> {
        self.count_resync(why)?;
        self.renamed += 1;
        self.swarm = format!("{}-{}", self.run, self.renamed);
        tracing::warn!(run = %self.run, swarm = self.swarm, why, "the run continues as another swarm of psi-field");
        self.restore()
    }

    /// Gives an unknown swarm the last snapshot.
    fn restore(&mut self) -> Result<(), Halt> {
        self.next = self.base;
        let Some(snapshot) = self.snapshot.clone() else {
            if self.base > 0 {
                // The checkpoint was made while psi-field was away: the windows before it are gone.
                self.give_up("it has no state of this run to resume from");
            }
            return Ok(()); // window 0 makes a new swarm
        };
        let (field, swarm, given) = (&self.field, &self.swarm, &snapshot);
        match self.ask(|| field.put_snapshot(swarm, given))? {
            None | Some(Ok(_)) => Ok(()),
            // Somebody's swarm has this name already.
            Some(Err(refusal)) if refusal.status() == Some(409) => self.rename(&refusal.to_string()),
            Some(Err(refusal)) => Err(Halt::Failed(format!("psi-field refused its own snapshot: {refusal}"))),
        }
    }

    fn count_resync(&mut self, why: &str) -> Result<(), Halt> {
        self.resyncs += 1;
        if self.resyncs > MOST_RESYNCS {
            return Err(Halt::Failed(format!("psi-field takes no window of the run any more: {why}")));
        }
        Ok(())
    }

    /// Replaces snapshot and kept windows by a newer snapshot. The field keeps its answers, which a run
    /// that is started again from an older checkpoint will ask for.
    fn snapshot_into_memory(&mut self) -> Result<(), Halt> {
        let (field, swarm) = (&self.field, &self.swarm);
        match self.ask(|| field.snapshot(swarm))? {
            Some(Ok(snapshot)) if snapshot.next_window == self.end() => {
                self.take(&snapshot);
                Ok(())
            }
            // It has just lost its place, which the next window finds out; until then more is kept.
            _ => Ok(()),
        }
    }

    fn take(&mut self, snapshot: &Snapshot) {
        self.base = snapshot.next_window;
        self.next = snapshot.next_window;
        self.kept.clear();
        self.snapshot = Some(snapshot.clone());
    }

    /// The number after the last window.
    fn end(&self) -> u64 {
        self.base + self.kept.len() as u64
    }

    fn unsent(&self) -> usize {
        (self.end() - self.next) as usize // `next` is at most `end`
    }

    fn give_up(&mut self, why: &str) {
        tracing::warn!(run = %self.run, why, "the run continues without psi-field until its end");
        self.given_up = true;
        self.complete = false;
        self.kept = Vec::new();
        self.next = self.base;
    }

    /// `None`: the run is `best_effort` and there was no answer in a short time.
    fn ask<T, A, F>(&self, mut ask: A) -> Result<Option<Result<T, ClientError>>, Halt>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, ClientError>>,
    {
        match self.mode {
            PsiFieldMode::BestEffort => self.waiter.ask_once(BEST_EFFORT_DEADLINE, ask()),
            _ => self.waiter.ask(WHOM, ask).map(Some),
        }
    }
}
