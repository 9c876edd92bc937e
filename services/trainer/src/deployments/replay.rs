//! A deployment's state from the ledger: what was recorded of it, in the log's order, is fed to a new stream. Each decision
//! is made again, and must be the recorded one.

use std::collections::{HashMap, VecDeque};

use api::{
    policies::RoutingRequest,
    remembrancer::{Decision, Record, RecordedDecision},
};
use client::{Entry, Ledger, LedgerError, body_of};
use records::{
    Body,
    deployments::{
        Change, Heard, Inputs, Market, Opened, Outcome, Promoted, RolledBack, Special, Stopped, WindowEnded,
        subject,
    },
};
use uuid::Uuid;

use super::{
    engine::{Asked, Engine, Made},
    lifecycle::{Lifecycle, Step},
    market::Said,
};
use crate::{
    federation::{FederationError, StepsStream, knowledge},
    serving::request_of,
};

/// Why a deployment cannot be continued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The remembrancer is away.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no stream to begin with.
    #[error("{0}")]
    Engine(String),
    /// What is recorded is not what this program makes of it.
    #[error("{0}")]
    Differs(String),
}

/// Where the ledger says that a deployment stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) is_stopped: bool,
    /// Where the decisions of the window under way that were deferred ones stand in the log.
    pub(crate) log_indexes: HashMap<u64, u64>,
}

/// Feeds all that is recorded of a deployment to its stream; where it goes on from a checkpoint, what came `from` there on:
/// records after this place of the log, and decisions from this number on.
///
/// # Errors
/// The remembrancer is away; a decision is not the one that the stream makes: another version of this program, or another
/// policy file, made it, or somebody else wrote into the ledger.
pub(crate) async fn replay(
    ledger: &Ledger,
    id: Uuid,
    (engine, lifecycle): (&mut Engine, &mut Lifecycle),
    (steps, from): (Option<StepsStream>, Option<(u64, u64)>),
) -> Result<Replayed, ReplayError> {
    let mut replay = Replay {
        engine,
        lifecycle,
        steps,
        inputs: HashMap::new(),
        special: HashMap::new(),
        expected: VecDeque::new(),
        replayed: Replayed::default(),
    };
    let mut history = ledger.history(subject(id), replay.engine.run(), from);
    while let Some(entry) = history.next().await? {
        match entry {
            Entry::Record(record) => match body_of::<Heard>(&record) {
                Some(heard) => replay.heard(ledger, &heard).await?,
                None => replay.record(&record)?,
            },
            Entry::Decision(row) => replay.decision(*row)?,
        }
    }
    Ok(replay.replayed)
}

struct Replay<'a> {
    engine: &'a mut Engine,
    lifecycle: &'a mut Lifecycle,
    /// What others tell of, where it learns with them.
    steps: Option<StepsStream>,
    /// By the sequence number of the first decision.
    inputs: HashMap<u64, Inputs>,
    /// What is special about requests that come next, by their decisions.
    special: HashMap<u64, Special>,
    /// Decisions of those that waited, which come next.
    expected: VecDeque<Made>,
    replayed: Replayed,
}

impl Replay<'_> {
    fn record(&mut self, record: &Record) -> Result<(), ReplayError> {
        let kind = record.kind.as_str();
        if kind == Opened::KIND.name {
            // what was asked for and not decided was never answered
            self.inputs.clear();
        } else if let Some(inputs) = body_of::<Inputs>(record) {
            self.inputs.insert(inputs.first_sequence, inputs);
        } else if let Some(market) = body_of::<Market>(record) {
            if market.number == self.engine.market_updates() {
                self.hear(&market.providers, &market.tenants)?;
                self.engine.count_market_update();
            }
        } else if let Some(outcome) = body_of::<Outcome>(record) {
            self.engine.hear(outcome.sequence, &outcome.outcome);
        } else if let Some(window) = body_of::<WindowEnded>(record) {
            if window.number == self.engine.window().number() && window.next > window.number {
                self.settle();
                self.engine.begin_window(window.next);
                let state = self.engine.state_sha256();
                if state != window.state_sha256 {
                    return Err(ReplayError::Differs(format!(
                        "the window {} begins with the state {state}, the ledger has {}",
                        window.next, window.state_sha256
                    )));
                }
                self.replayed.log_indexes.clear();
            }
        } else if let Some(Promoted(change)) = body_of(record) {
            self.change(Step::Promote, &change)?;
        } else if let Some(RolledBack(change)) = body_of(record) {
            self.change(Step::RollBack, &change)?;
        } else if kind == Stopped::KIND.name {
            self.replayed.is_stopped = true;
        }
        Ok(())
    }

    /// Takes in what was taken in of others.
    async fn heard(&mut self, ledger: &Ledger, heard: &Heard) -> Result<(), ReplayError> {
        let Some((steps, stream)) = self.engine.steps().zip(self.steps.as_ref()) else { return Ok(()) };
        if heard.number != steps.taken_in() || heard.window != self.engine.window().number() {
            return Ok(()); // none of this program's
        }
        let told = match knowledge(ledger, &heard.heeded_sha256).await {
            Ok(told) => told,
            Err(FederationError::Ledger(error)) => return Err(error.into()),
            Err(error) => return Err(ReplayError::Differs(format!("what was heard of others: {error}"))),
        };
        let steps = stream.read(&told).map_err(|error| {
            ReplayError::Differs(format!("what was heard of others, {}: {error}", heard.heeded_sha256))
        })?;
        self.engine.take_in(heard, steps);
        Ok(())
    }

    /// Makes a change that was recorded, with the figures that were: they follow from what was recorded before.
    fn change(&mut self, step: Step, change: &Change) -> Result<(), ReplayError> {
        if change.number != self.lifecycle.changes() {
            return Ok(()); // none of this program's
        }
        let (arm, reason) = (change.arm as usize, change.reason.clone());
        let made = self.lifecycle.change(self.engine, step, arm, change.cause, reason);
        if made != *change {
            return Err(ReplayError::Differs(format!(
                "the change {} of the policies is {change:?} in the ledger, and this trainer makes {made:?}",
                change.number
            )));
        }
        self.lifecycle.apply(self.engine, step, change).map_err(ReplayError::Differs)
    }

    fn decision(&mut self, row: RecordedDecision) -> Result<(), ReplayError> {
        let RecordedDecision { log_index, decision } = row;
        if let Some(inputs) = self.inputs.remove(&decision.sequence) {
            if inputs.has_settled {
                self.settle();
            }
            self.hear(&inputs.providers, &inputs.tenants)?;
            let first = inputs.first_sequence;
            self.special.extend(inputs.requests.into_iter().map(|special| (first + special.offset, special)));
        }
        if self.expected.is_empty() && decision.deferred && !self.engine.window().has_settled() {
            self.settle();
        }
        let made = match self.expected.pop_front() {
            Some(made) => made,
            None => {
                let asked = self.asked(&decision)?;
                self.engine.decide(asked, false)
            }
        };
        if made.decision != decision {
            return Err(ReplayError::Differs(format!(
                "the decision {} is {} in the ledger, and this trainer makes {}",
                decision.sequence,
                shown(&decision),
                shown(&made.decision)
            )));
        }
        if made.deferral.is_some() {
            self.replayed.log_indexes.insert(decision.sequence, log_index);
        }
        Ok(())
    }

    fn settle(&mut self) {
        if !self.engine.window().has_settled() {
            self.expected.extend(self.engine.settle(false));
        }
    }

    fn hear(
        &mut self,
        providers: &[api::policies::ProviderNow],
        tenants: &[api::policies::TenantNow],
    ) -> Result<(), ReplayError> {
        let said = Said::of(self.engine, providers, tenants);
        let wrong = |errors: Vec<api::FieldError>| {
            let wrong: Vec<_> = errors.into_iter().map(|error| error.detail).collect();
            ReplayError::Differs(format!("what was said of the market cannot be: {}", wrong.join("; ")))
        };
        said.map_err(wrong)?.tell(self.engine);
        Ok(())
    }

    /// What was asked for, from what was decided and what was special about it.
    fn asked(&mut self, decision: &Decision) -> Result<Asked, ReplayError> {
        let special = self.special.remove(&decision.sequence).unwrap_or_default();
        let asked = RoutingRequest {
            tenant: decision.tenant.clone(),
            workload: decision.workload.clone(),
            gpu_type: Some(decision.gpu_type.clone()),
            gpu_hours: decision.gpu_hours,
            max_latency_ms: special.max_latency_ms,
            min_reputation: special.min_reputation,
        };
        let request = request_of(self.engine.env(), &asked, "", &mut Vec::new());
        let request = request.ok_or_else(|| {
            ReplayError::Differs(format!(
                "the request of the decision {} is of no such tenant",
                decision.sequence
            ))
        })?;
        let arm = decision.arm as usize;
        if !self.engine.arms().decides(arm) {
            let Decision { sequence, .. } = decision;
            return Err(ReplayError::Differs(format!(
                "the decision {sequence} is of the arm {arm}, which decides nothing"
            )));
        }
        Ok(Asked { request, retry_of: special.retry_of, arm })
    }
}

fn shown(decision: &Decision) -> String {
    serde_json::to_string(decision).unwrap_or_default()
}
