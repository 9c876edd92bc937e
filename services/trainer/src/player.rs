//! A run under way: its swarm, its place, and what happens at the end of every step.
//!
//! Everything that a run decides is a function of its configuration and of psi-field's answers; the
//! player owns the swarm and meets the rest of the world only between steps. At the end of a step: the
//! decisions go to the recorder, the window to psi-field, and its interventions into the swarm. At the
//! end of some episodes: a checkpoint, in an order that leaves, wherever it is cut, the last one whole.

use std::{collections::VecDeque, sync::Arc};

use api::{
    Hash,
    psi_field::{Intervention, InterventionKind, Window, WindowAnswer},
    trainer::{PsiFieldMode, Recording, RunStatus},
};
use merkle_log::{Frontier, canonical_leaf_hash};
use policy::{Command, StepReport, Swarm};
use records::run::{Checkpointed, Ended, Windows};
use routing_env::Episode;

use crate::{
    checkpoint::{CHECKPOINT_FORMAT, CheckpointDocument},
    decisions::{Position, decisions},
    field_link::FieldLink,
    figures::{EpisodeTally, new_agents, update_agents, window, window_metrics},
    ledger::RunLedger,
    metrics::AppMetrics,
    run::{History, Run},
    run_config::RunPlan,
    runs::Turn,
    waiting::{Halt, Waiting},
    windows,
    worker::{Outside, finish},
};

/// Albedo where psi-field does not say how: ε ← min(0.3, 1.5·ε) for a while.
const ALBEDO_FACTOR: f64 = 1.5;
const ALBEDO_MAX: f64 = 0.3;
const ALBEDO_WINDOWS: u64 = 20;

/// A run under way.
pub(crate) struct Player<'a> {
    run: &'a Arc<Run>,
    waiting: &'a Waiting,
    turn: Turn,
    gauges: &'a AppMetrics,
    plan: RunPlan,
    ledger: RunLedger,
    field: FieldLink,
    swarm: Swarm,
    frontier: Frontier,
    report: StepReport,
    episodes_done: u32,
    windows_done: u64,
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
    /// At the run's beginning, or at the checkpoint that it goes on from.
    ///
    /// # Errors
    /// The trainer shuts down, or the run cannot go on.
    pub(crate) fn new(
        outside: &'a Outside,
        waiting: &'a Waiting,
        run: &'a Arc<Run>,
        turn: Turn,
    ) -> Result<Self, Halt> {
        let plan = RunPlan::of_record(&run.config).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect();
            Halt::Failed(format!("the run's settings are not valid any more: {}", errors.join("; ")))
        })?;
        if plan.digest != run.digest {
            return Err(Halt::Failed(format!(
                "the run was begun under the digest {}, but its settings now have {}: another version of the program \
                 made it. Go on with that version, or start a new run",
                run.digest, plan.digest
            )));
        }
        let mut ledger = RunLedger::new(&outside.ledger, waiting.clone());
        let from = loop {
            let Some(name) = run.goes_on_from() else { break None };
            match checkpoint(ledger.artifact(name)?, run, &plan, name) {
                Ok(document) => break Some(document),
                // The one before leads to the same decisions, only later.
                Err(why) if run.drop_checkpoint() => {
                    tracing::warn!(run = %run.id, why, "a checkpoint cannot be resumed and is passed over");
                }
                Err(why) => return Err(Halt::Failed(why)),
            }
        };
        let mut swarm = Swarm::new(plan.swarm.clone(), &plan.environment)
            .map_err(|error| Halt::Failed(error.to_string()))?;
        if let Some(document) = &from {
            swarm.restore(&document.swarm).map_err(|e| Halt::Failed(format!("the checkpoint: {e}")))?;
        }
        let frontier = from.as_ref().map_or_else(Frontier::new, |document| document.frontier.clone());
        let windows_done = from.as_ref().map_or(0, |document| document.windows_done);
        let mut field = FieldLink::new(
            outside.psi_field.clone(),
            waiting.clone(),
            run.config.psi_field,
            run.id,
            swarm.is_learner(),
        );
        if let Some(document) = &from {
            let pending = document.pending_acknowledgements.clone();
            field = field.going_on(document.windows_done, document.field.clone(), pending);
        }
        let recorded_before = match run.config.recording {
            Recording::All => ledger.run_head(plan.digest)?.map_or(0, |head| head.next_sequence),
            Recording::None => 0,
        };
        let recorder = (run.config.recording == Recording::All).then(|| ledger.start_recorder(&frontier));
        let mut player = Self {
            run,
            waiting,
            turn,
            gauges: &outside.gauges,
            report: StepReport::new(&plan.environment),
            plan,
            ledger,
            field,
            swarm,
            began_at: frontier.len(),
            recorded_before,
            frontier,
            episodes_done: from.as_ref().map_or(0, |document| document.episodes_done),
            windows_done,
            windows_recorded: windows_done,
            reproducible: from.as_ref().is_none_or(|document| document.reproducible),
        };
        let interventions = fetch_interventions(&player.ledger, run)?;
        player.show_beginning(from, interventions);
        if let Some(recorder) = recorder {
            run.state().watch(player.began_at, recorder);
        }
        Ok(player)
    }

    fn show_beginning(&mut self, from: Option<CheckpointDocument>, interventions: VecDeque<Intervention>) {
        let mut state = self.run.state();
        state.episodes_done = self.episodes_done;
        state.decisions = self.frontier.len();
        state.step = 0;
        state.reproducible = self.reproducible;
        let (episodes, agents) = from.map_or_else(
            || (Vec::new(), new_agents(&self.swarm)),
            |document| (document.episodes, document.agents),
        );
        state.history = Some(History { episodes, agents, interventions, ..History::default() });
        state.start_clock();
        if self.episodes_done > 0 {
            state.run_root = Some(Hash(self.frontier.root()));
        }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// The trainer shuts down, or the run cannot go on.
    pub(crate) fn play(mut self) -> Result<(), Halt> {
        while self.episodes_done < self.plan.last_episode && !self.run.cancel.is_cancelled() {
            self.play_episode()?;
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
            self.waiting.check()?;
            self.stand_still_while_paused()?;
            if !self.swarm.run_step(&mut episode, self.plan.reward, &mut self.report) {
                break;
            }
            self.record_step()?;
            let answer = self.exchange()?;
            let applied = self.intervene(answer.as_ref());
            tally.add(&self.report, answer.as_ref(), applied.len() as u32);
            self.show_step(answer.as_ref(), applied);
            self.windows_done += 1;
        }
        self.swarm.end_episode();
        self.episodes_done += 1;
        let metrics = tally.metrics(&self.swarm);
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
            self.waiting.wait_for(self.turn.pause())?;
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

    /// Applies what the field commands at the boundary between two steps; what was applied. A swarm of
    /// hand rules has nothing to reset or to raise, so it applies nothing and acknowledges nothing.
    fn intervene(&mut self, answer: Option<&WindowAnswer>) -> Vec<Intervention> {
        let commands = answer.map(|answer| answer.interventions.clone()).unwrap_or_default();
        if !self.swarm.is_learner() {
            return Vec::new();
        }
        for intervention in &commands {
            self.swarm.apply(command_of(intervention), &intervention.targets);
            tracing::info!(run = %self.run.id, window = self.windows_done, intervention = %intervention.id,
                kind = ?intervention.kind, reason = intervention.reason, "intervention applied");
        }
        commands
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

    /// Makes a checkpoint, unless the last one stands here. In this order: the decisions, psi-field's
    /// state, the document, and at last the record that names it, so that a checkpoint that is named is
    /// whole, and nothing that it counts on can be lost.
    fn checkpoint(&mut self) -> Result<(), Halt> {
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
            pending_acknowledgements: self.field.pending_acknowledgements().to_vec(),
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

    fn end(mut self) -> Result<(), Halt> {
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

/// The checkpoint that an artifact is for this run, or why it is none.
fn checkpoint(
    artifact: Option<Vec<u8>>,
    run: &Run,
    plan: &RunPlan,
    name: Hash,
) -> Result<CheckpointDocument, String> {
    let missing = || format!("the remembrancer does not have the checkpoint {name} any more: PUT it again");
    let document = CheckpointDocument::parse(&artifact.ok_or_else(missing)?).map_err(|e| e.to_string())?;
    let begins_here = run.config.fork.is_some_and(|fork| fork.checkpoint == name);
    if begins_here {
        document.check_fork(plan).map_err(|error| error.to_string())?;
    } else if document.digest != run.digest {
        let error = document.check(plan).err().map(|error| error.to_string());
        return Err(error.unwrap_or_else(|| "the checkpoint is of another run".to_owned()));
    }
    Ok(document)
}

/// Those that an earlier process applied in this run.
fn fetch_interventions(ledger: &RunLedger, run: &Run) -> Result<VecDeque<Intervention>, Halt> {
    let Some(name) = run.state().interventions_sha256 else { return Ok(VecDeque::new()) };
    let Some(bytes) = ledger.artifact(name)? else { return Ok(VecDeque::new()) };
    // It is only shown: whoever planted something else is not to stop the run.
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(run = %run.id, %name, %error, "a list of interventions is passed over");
        VecDeque::new()
    }))
}

fn command_of(intervention: &Intervention) -> Command {
    let parameters = &intervention.parameters;
    match intervention.kind {
        InterventionKind::Nigredo => Command::Nigredo,
        InterventionKind::Albedo => Command::Albedo {
            factor: parameters.epsilon_factor.unwrap_or(ALBEDO_FACTOR),
            max: parameters.epsilon_max.unwrap_or(ALBEDO_MAX),
            windows: parameters.duration_windows.unwrap_or(ALBEDO_WINDOWS),
        },
    }
}
