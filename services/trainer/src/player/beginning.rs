//! Where a run begins: anew, or at a checkpoint.

use std::{collections::VecDeque, sync::Arc};

use api::{Hash, psi_field::Intervention, trainer::Recording};
use merkle_log::Frontier;
use policy::{Prior, StepReport, Swarm};

use super::{Player, baseline::Baseline, evidence::Others};
use crate::{
    checkpoint::CheckpointDocument,
    field_link::{FieldLink, Pending},
    figures::new_agents,
    ledger::RunLedger,
    run::{History, Run},
    run_config::RunPlan,
    run_waiter::{Halt, RunWaiter},
    runs::RunSlot,
    worker::Outside,
};

impl<'a> Player<'a> {
    /// At the run's beginning, or at the checkpoint that it goes on from.
    ///
    /// # Errors
    /// The trainer shuts down, or the run cannot go on.
    pub(crate) fn new(
        outside: &'a Outside,
        waiter: &'a RunWaiter,
        run: &'a Arc<Run>,
        slot: RunSlot,
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
        let mut ledger = RunLedger::new(&outside.ledger, waiter.clone());
        let from = loop {
            let Some(name) = run.goes_on_from() else { break None };
            match checkpoint(ledger.artifact(name)?, run, &plan, name) {
                Ok(document) => break Some(document),
                // The one before leads to the same decisions, only later.
                Err(why) if run.state().drop_checkpoint() => {
                    tracing::warn!(run = %run.id, why, "a checkpoint cannot be resumed and is passed over");
                }
                Err(why) => return Err(Halt::Failed(why)),
            }
        };
        let mut swarm = begun(&ledger, &plan)?;
        if let Some(preference) = plan.reward.preference() {
            swarm.prefer(preference, &plan.environment); // who does not heed it learns it from the reward
        }
        if let Some(document) = &from {
            swarm.restore(&document.swarm).map_err(|e| Halt::Failed(format!("the checkpoint: {e}")))?;
        }
        let frontier = from.as_ref().map_or_else(Frontier::new, |document| document.frontier.clone());
        let windows_done = from.as_ref().map_or(0, |document| document.windows_done);
        let mut field = FieldLink::new(
            outside.psi_field.clone(),
            waiter.clone(),
            run.config.psi_field,
            run.id,
            swarm.is_learner(),
        );
        if let Some(document) = &from {
            let pending = Pending {
                applied: document.pending_acknowledgements.clone(),
                trials: document.pending_trials.clone(),
            };
            field = field.going_on(document.windows_done, document.field.clone(), pending);
        }
        let recorded_before = match run.config.recording {
            Recording::All => ledger.run_head(plan.digest)?.map_or(0, |head| head.next_sequence),
            Recording::None => 0,
        };
        let recorder = (run.config.recording == Recording::All).then(|| ledger.start_recorder(&frontier));
        let others = Others::of(&plan, &outside.federation)?;
        if let (Some(others), Some(document)) = (&others, &from) {
            others.go_on(&ledger, run, document.episodes_done, &mut swarm)?;
        }
        let mut player = Self {
            run,
            waiter,
            slot,
            gauges: &outside.gauges,
            report: StepReport::new(&plan.environment),
            baseline: Baseline::new(&plan.environment, plan.reward),
            plan,
            ledger,
            field,
            others,
            swarm,
            began_at: frontier.len(),
            recorded_before,
            frontier,
            episodes_done: from.as_ref().map_or(0, |document| document.episodes_done),
            windows_done,
            windows_tried: from.as_ref().map_or(0, |document| document.windows_tried),
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
}

/// The swarm before its first episode: anew, or with the run's prior.
fn begun(ledger: &RunLedger, plan: &RunPlan) -> Result<Swarm, Halt> {
    let made = match plan.run.prior {
        None => Swarm::new(plan.swarm.clone(), &plan.environment),
        Some(name) => {
            let missing = || {
                Halt::Failed(format!(
                    "the remembrancer does not have the prior {name} any more: PUT it again"
                ))
            };
            let bytes = ledger.artifact(name)?.ok_or_else(missing)?;
            Prior::parse(&bytes)
                .and_then(|prior| Swarm::with_prior(plan.swarm.clone(), &plan.environment, &prior))
        }
    };
    made.map_err(|error| Halt::Failed(error.to_string()))
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
