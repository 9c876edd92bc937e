//! A run under way: its swarm, its place, and what happens at the end of every step.
//!
//! Everything that a run decides is a function of its configuration and of psi-field's answers; the
//! player owns the swarm and meets the rest of the world only between steps. At the end of a step: the
//! decisions go to the recorder, the window to psi-field, and its interventions into the swarm. At the
//! end of some episodes: a checkpoint, in an order that leaves, wherever it is cut, the last one whole.

use std::sync::Arc;

use api::{
    psi_field::{Intervention, Window, WindowAnswer},
    trainer::PsiFieldMode,
};
use merkle_log::{Frontier, canonical_leaf_hash};
use policy::{StepReport, Swarm};
use routing_env::Episode;

mod baseline;
mod beginning;
mod checkpoint;
mod end;
mod evidence;
mod interventions;

use self::{baseline::Baseline, evidence::Others};
use crate::{
    decisions::{Position, decisions},
    field_link::FieldLink,
    figures::{EpisodeTally, update_agents, window, window_metrics},
    ledger::RunLedger,
    metrics::AppMetrics,
    run::Run,
    run_config::RunPlan,
    run_waiter::{Halt, RunWaiter},
    runs::RunSlot,
};

/// A run under way.
pub(crate) struct Player<'a> {
    run: &'a Arc<Run>,
    waiter: &'a RunWaiter,
    slot: RunSlot,
    gauges: &'a AppMetrics,
    plan: RunPlan,
    ledger: RunLedger,
    field: FieldLink,
    /// Its part in the federation, where it has one.
    others: Option<Others>,
    swarm: Swarm,
    baseline: Baseline,
    frontier: Frontier,
    report: StepReport,
    episodes_done: u32,
    windows_done: u64,
    /// Windows played in trials of interventions.
    windows_tried: u64,
    /// Windows before this one are in the ledger with the checkpoints.
    windows_recorded: u64,
    /// False when this run, or the one that its checkpoint is of, went on without psi-field.
    reproducible: bool,
    /// Sequence number of the first decision that this thread makes.
    began_at: u64,
    /// Sequence number up to which the log held this run's decisions before.
    recorded_before: u64,
}

impl<'a> Player<'a> {
    /// Plays it to its end.
    ///
    /// # Errors
    /// The trainer shuts down, or the run cannot go on.
    pub(crate) fn play(mut self) -> Result<(), Halt> {
        while self.episodes_done < self.plan.last_episode && !self.run.cancel.is_cancelled() {
            self.play_episode()?;
            self.exchange_evidence()?;
            if self.episodes_done.is_multiple_of(self.run.config.checkpoint_every)
                && self.episodes_done < self.plan.last_episode
            {
                self.checkpoint()?;
            }
        }
        self.checkpoint()?;
        self.end()
    }

    fn play_episode(&mut self) -> Result<(), Halt> {
        let seed = self.run.config.seed + u64::from(self.episodes_done);
        self.swarm.begin_episode(seed);
        let environment = Arc::clone(&self.plan.environment);
        let mut episode = Episode::new(&environment, seed, self.plan.reward);
        let mut tally = EpisodeTally::new(self.episodes_done, &environment, self.swarm.agents());
        loop {
            self.waiter.check()?;
            self.stand_still_while_paused()?;
            if !self.swarm.run_step(&mut episode, self.plan.reward, &mut self.report) {
                break;
            }
            self.record_step()?;
            let answer = self.exchange()?;
            let applied = self.intervene(answer.as_ref(), &episode);
            tally.add(&self.report, answer.as_ref(), &applied);
            self.show_step(answer.as_ref(), applied);
            self.windows_done += 1;
        }
        self.swarm.end_episode();
        let baseline_reward = self.baseline.play(seed, self.waiter)?;
        let metrics = tally.metrics(&self.swarm, baseline_reward);
        self.episodes_done += 1;
        let mut state = self.run.state();
        state.episodes_done = self.episodes_done;
        state.step = 0;
        let history = state.history_mut();
        tally.write_rewards(&mut history.agents);
        history.episodes.push(metrics);
        Ok(())
    }

    /// Between two steps nothing of the run is under way: standing still here changes none of its decisions.
    fn stand_still_while_paused(&mut self) -> Result<(), Halt> {
        while self.run.is_paused() && !self.run.cancel.is_cancelled() {
            // for as long as nobody knows, so that nothing waits in this process that could be in the ledger
            self.ledger.flush()?;
            self.run.state().stop_clock();
            tracing::info!(run = %self.run.id, window = self.windows_done, "the run is paused");
            self.waiter.wait_for(self.slot.pause())?;
            self.run.state().start_clock();
            tracing::info!(run = %self.run.id, window = self.windows_done, "the run resumes");
        }
        Ok(())
    }

    fn record_step(&mut self) -> Result<(), Halt> {
        let at = Position {
            run: self.plan.digest,
            episode: self.episodes_done,
            first_sequence: self.frontier.len(),
        };
        let decisions = decisions(&self.plan.environment, at, &self.report);
        for decision in &decisions {
            let leaf = canonical_leaf_hash(decision).map_err(|error| {
                Halt::Failed(format!(
                    "decision {} of the run cannot be written: {error}. A learning rate or a discount that is too high \
                     lets values grow without bound",
                    decision.sequence
                ))
            })?;
            self.frontier.push(leaf);
        }
        if decisions.is_empty() { Ok(()) } else { self.ledger.record(decisions) }
    }

    fn exchange(&mut self) -> Result<Option<WindowAnswer>, Halt> {
        if self.run.config.psi_field == PsiFieldMode::Off {
            return Ok(None);
        }
        // what psi-field answers changes the next step; is that in the ledger already, no operator may
        let repeated = self.recorded_before > self.frontier.len();
        let window = Window { repeated, ..window(self.windows_done, &self.swarm, &self.report) };
        let answer = self.field.exchange(window)?;
        self.reproducible &= self.field.is_complete();
        Ok(answer)
    }

    fn show_step(&self, answer: Option<&WindowAnswer>, applied: Vec<Intervention>) {
        let metrics = window_metrics(self.windows_done, self.episodes_done, &self.report, answer);
        let mut state = self.run.state();
        state.step = self.report.step + 1;
        state.decisions = self.frontier.len();
        state.reproducible = self.reproducible;
        let history = state.history_mut();
        update_agents(&mut history.agents, &self.swarm, &self.report);
        self.gauges.window(&metrics, &history.agents, applied.len());
        history.add_window(metrics);
        applied.into_iter().for_each(|intervention| history.add_intervention(intervention));
    }
}
