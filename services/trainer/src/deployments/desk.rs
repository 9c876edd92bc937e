//! Whoever serves one deployment: it takes calls one group after the other, and answers each once the ledger has what it
//! says, or the trainer's journal where the deployment promises ([`super::promising`]).
//!
//! The order in the log is the order in which things happen here: nothing is written while something else is, and what
//! could not be written is written before anything else happens. So what is recorded gives the state again.

use std::{collections::HashMap, time::Duration};

use api::{
    FieldError, Hash, Page,
    deployments::{
        ChangeChampion, Clock, DeferredDecision, DeploymentDecisions, DeploymentRequest, DeploymentStream,
        MarketUpdate, OpenDecision,
    },
    policies::{Outcome, ServedDecision},
    remembrancer::{Receipt, RecordReceipt},
};
use chrono::{DateTime, Utc};
use client::Ledger;
use federation::Window;
use futures_util::future::join_all;
use records::deployments::{
    Called, Change, Heard, Inputs, Market, Outcome as Told, Promoted, RolledBack, Stopped, WindowEnded,
};
use tokio::sync::oneshot;
use uuid::Uuid;

mod asked;
mod others;
mod promises;

pub(super) use others::Others;

use super::{
    DeployError,
    calls::{self, Keyed, Remembered},
    checkpoint,
    counters::Counters,
    engine::{Asked, Engine, Made},
    journal::Entry,
    lifecycle::{Lifecycle, Step},
    market::Said,
    promising::{Promising, WriteError, leaves},
    replay::Replayed,
    view,
};
use crate::{ledger::REQUEST_DEADLINE, policies::identity::decision_id, serving};

/// How many windows without any call are gone through one by one; the policy learns that nothing was asked for. What is
/// beyond is skipped.
const MOST_EMPTY_WINDOWS: u32 = 100;

/// How long what others have seen, or a checkpoint, may keep decisions waiting: both can come after the next window as well.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the journal is looked at for what the ledger has by now.
const LOOK_AT_JOURNAL: Duration = Duration::from_secs(1);

/// Who is answered.
pub(super) type Answer<T> = oneshot::Sender<Result<T, DeployError>>;

/// An outcome that is told: of which decision, whether it is recorded even if nobody waits for it, and who is answered.
type Hearing = (u64, Outcome, bool, Answer<Option<(RecordReceipt, bool)>>);

/// What can be asked of a deployment.
pub(super) enum Call {
    Decide(DeploymentRequest, Option<Keyed>, Answer<DeploymentDecisions>),
    /// What became of a decision; `true` of the second figure when it is new. `None` where nobody waits for it.
    Hear {
        sequence: u64,
        outcome: Outcome,
        even_if_unknown: bool,
        answer: Answer<Option<(RecordReceipt, bool)>>,
    },
    Market(MarketUpdate, Answer<DeploymentStream>),
    Look(Option<DateTime<Utc>>, Answer<DeploymentStream>),
    Deferred(u64, Option<DateTime<Utc>>, Answer<Option<DeferredDecision>>),
    Open {
        after: Option<u64>,
        limit: usize,
        answer: Answer<Page<OpenDecision>>,
    },
    Change(Step, ChangeChampion, Answer<()>),
    Stop(Option<String>, Answer<()>),
}

/// One deployment, being served.
pub(super) struct Desk {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) clock: Clock,
    pub(super) session: Uuid,
    pub(super) ledger: Ledger,
    pub(super) ledger_url: String,
    pub(super) engine: Engine,
    lifecycle: Lifecycle,
    pub(super) is_stopped: bool,
    counters: Counters,
    checkpoints: Checkpoints,
    /// Whom it learns with, where it does.
    others: Option<Others>,
    /// What it promises with, where it does.
    promising: Option<Promising>,
    /// What could not be written yet.
    unwritten: Option<Write>,
    /// Decisions made since the last write, and what they were made from.
    made: Vec<Made>,
    inputs: Vec<Inputs>,
    calls: Vec<Called>,
    /// The calls that wait for these decisions.
    owed: Vec<Owed>,
    /// What calls with a key were answered.
    remembered: Remembered,
    /// What became of deferred requests, by their deferrals.
    decided: HashMap<u64, ServedDecision>,
    /// Where decisions about deferred requests stand in the log, where they were made before this session.
    log_indexes: HashMap<u64, u64>,
}

/// When checkpoints are made.
pub(super) struct Checkpoints {
    /// After so many decisions.
    pub(super) every: u64,
    /// The window that began with the last one, and how many decisions there were.
    pub(super) last: (u32, u64),
}

/// Decisions of a call: which of those that are made.
struct Owed {
    made: std::ops::Range<usize>,
    keyed: Option<Keyed>,
    /// Who asked, while they wait.
    answer: Option<Answer<DeploymentDecisions>>,
}

/// Something that is to be in the ledger before anything else happens.
enum Write {
    Decisions { entry: Entry, made: Vec<Made> },
    Market { record: Market, said: Said },
    Window { next: u32, record: Option<WindowEnded> },
    Outcomes(Vec<Told>),
    Heard { record: Heard, steps: Window },
    Change { step: Step, change: Change },
}

impl Desk {
    pub(super) fn new(
        (id, name, clock): (Uuid, String, Clock),
        session: Uuid,
        (ledger, ledger_url): (Ledger, String),
        (engine, lifecycle): (Engine, Lifecycle),
        (replayed, counters, checkpoints): (Replayed, Counters, Checkpoints),
    ) -> Self {
        Self {
            id,
            name,
            clock,
            session,
            ledger,
            ledger_url,
            engine,
            lifecycle,
            is_stopped: replayed.is_stopped,
            counters,
            checkpoints,
            others: None,
            promising: None,
            unwritten: None,
            made: Vec::new(),
            inputs: Vec::new(),
            calls: Vec::new(),
            owed: Vec::new(),
            remembered: Remembered::default(),
            decided: HashMap::new(),
            log_indexes: replayed.log_indexes,
        }
    }

    /// The same, which promises what it answers, if it has what it needs for that.
    pub(super) fn promising(self, promising: Option<Promising>) -> Self {
        Self { promising, ..self }
    }

    /// The same, which learns with other nodes, if it is to.
    pub(super) fn federating(self, others: Option<Others>) -> Self {
        Self { others, ..self }
    }

    /// When something happens although nobody calls.
    pub(super) fn next_alarm(&self, now: DateTime<Utc>) -> Option<Duration> {
        let is_waiting = self.promising.as_ref().is_some_and(|promising| !promising.is_idle());
        let look = is_waiting.then_some(LOOK_AT_JOURNAL);
        self.next_window(now).into_iter().chain(look).min()
    }

    fn next_window(&self, now: DateTime<Utc>) -> Option<Duration> {
        if self.clock == Clock::Caller || self.is_stopped {
            return None;
        }
        let window = self.engine.window();
        if window.requests().is_empty() {
            return None; // what is to be learned of a quiet time is learned when somebody calls
        }
        let schedule = self.engine.schedule();
        let at = if window.waiting().is_empty() {
            schedule.ends_at(window.number())
        } else {
            schedule.settles_at(window.number())
        };
        Some((at - now).to_std().unwrap_or(Duration::ZERO))
    }

    /// Does what is due.
    pub(super) async fn tick(&mut self, now: DateTime<Utc>) {
        if let Some(promising) = &mut self.promising {
            promising.trim();
        }
        if self.next_window(now).is_none_or(|time| time > Duration::ZERO) {
            return;
        }
        let due = async {
            self.catch_up().await?;
            self.advance(now).await?;
            self.write_decisions().await?;
            self.judge().await
        };
        if let Err(error) = due.await {
            tracing::warn!(deployment = self.name, %error, "a window waits for the ledger");
        }
    }

    /// Takes calls, all of which came while nobody was waiting for another: outcomes first.
    pub(super) async fn take(&mut self, calls: Vec<Call>, now: DateTime<Utc>) {
        let (mut outcomes, mut others) = (Vec::new(), Vec::new());
        for call in calls {
            match call {
                Call::Hear { sequence, outcome, even_if_unknown, answer } => {
                    outcomes.push((sequence, outcome, even_if_unknown, answer));
                }
                other => others.push(other),
            }
        }
        let caught_up = async {
            self.catch_up().await?;
            self.judge().await
        };
        if let Err(error) = caught_up.await {
            let error = error.told();
            outcomes.into_iter().for_each(|(.., answer)| drop(answer.send(Err(error.again()))));
            others.into_iter().for_each(|call| call.refuse(&error));
            return;
        }
        if !outcomes.is_empty() {
            self.hear(outcomes).await;
        }
        for call in others {
            self.one(call, now).await;
        }
        // what cannot be written now is written before anything else
        if self.write_decisions().await.is_ok() {
            _ = self.judge().await;
        }
    }

    /// Does what is beyond doubt: what breaches its guardrails or earns less is rolled back, what earns more is promoted.
    async fn judge(&mut self) -> Result<(), WriteError> {
        while !self.is_stopped
            && self.unwritten.is_none()
            && let Some((step, change)) = self.lifecycle.due(&self.engine)
        {
            let number = change.number;
            self.write(Write::Change { step, change }).await?;
            if self.lifecycle.changes() == number {
                break; // what was recorded could not be done, which was said
            }
        }
        Ok(())
    }

    /// Promotes or rolls back what somebody asks for.
    async fn change(&mut self, step: Step, asked: &ChangeChampion) -> Result<(), DeployError> {
        if self.is_stopped {
            return Err(DeployError::Stopped(self.name.clone()));
        }
        self.write_decisions().await.map_err(|error| error.told())?;
        let change = self.lifecycle.asked(&self.engine, step, asked)?;
        self.write(Write::Change { step, change }).await.map_err(|error| error.told())
    }

    async fn one(&mut self, call: Call, now: DateTime<Utc>) {
        if self.unwritten.is_some() {
            call.refuse(&DeployError::Away("something else is to be written first".to_owned()));
            return;
        }
        if let Some(most) = self.is_full(&call) {
            call.refuse(&DeployError::Full { most });
            return;
        }
        let call = match call {
            Call::Decide(asked, Some(keyed), answer) => match self.repeated(&keyed).await {
                Ok(None) => Call::Decide(asked, Some(keyed), answer),
                Ok(Some(decisions)) => return drop(answer.send(Ok(decisions))),
                Err(error) => return drop(answer.send(Err(error))),
            },
            call => call,
        };
        let told = match &call {
            Call::Decide(asked, ..) => asked.now,
            Call::Market(update, _) => update.now,
            Call::Look(now, _) | Call::Deferred(_, now, _) => *now,
            _ => None,
        };
        if let Err(error) = self.go_to(told, now, matches!(call, Call::Decide(..) | Call::Market(..))).await {
            call.refuse(&error);
            return;
        }
        match call {
            Call::Decide(asked, keyed, answer) => self.decide(&asked, keyed, answer),
            Call::Market(update, answer) => {
                let result = self.market(update).await;
                _ = answer.send(result.map(|()| self.stream()));
            }
            Call::Look(_, answer) => {
                let written = self.write_decisions().await.map_err(|error| error.told());
                _ = answer.send(written.map(|()| self.stream()));
            }
            Call::Deferred(deferral, _, answer) => {
                let written = self.write_decisions().await.map_err(|error| error.told());
                let found = match written {
                    Ok(()) => self.deferred(deferral).await,
                    Err(error) => Err(error),
                };
                _ = answer.send(found);
            }
            Call::Open { after, limit, answer } => {
                _ = answer.send(Ok(view::open_decisions(&self.engine, after, limit)));
            }
            Call::Change(step, asked, answer) => {
                let changed = self.change(step, &asked).await;
                _ = answer.send(changed);
            }
            Call::Stop(reason, answer) => {
                let stopped = async {
                    self.write_decisions().await?;
                    self.drained().await?;
                    let record = Stopped { deployment_id: self.id, reason };
                    self.ledger().append_body_once(&record).await.map_err(WriteError::from)
                };
                let result = match stopped.await {
                    // Two who stop it at once say the same, whatever their reasons.
                    Err(WriteError::Ledger(error)) if error.is_conflict() => Ok(()),
                    Err(error) => Err(error.told()),
                    Ok(_) => Ok(()),
                };
                self.is_stopped |= result.is_ok();
                _ = answer.send(result);
            }
            Call::Hear { .. } => {} // they were heard before
        }
    }

    /// Goes on to the moment that it is.
    async fn go_to(
        &mut self,
        told: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        must_be_told: bool,
    ) -> Result<(), DeployError> {
        let wrong = |detail: &str| {
            let errors = vec![FieldError { pointer: "/now".to_owned(), detail: detail.to_owned() }];
            Err(DeployError::Invalid(errors))
        };
        let now = match (self.clock, told) {
            (Clock::System, None) => now,
            (Clock::System, Some(_)) => {
                return wrong("expected none: this deployment goes by the trainer's clock");
            }
            (Clock::Caller, Some(told)) => told,
            (Clock::Caller, None) if must_be_told => {
                return wrong("expected what time it is: this deployment goes by its callers' clock");
            }
            (Clock::Caller, None) => return Ok(()),
        };
        if self.is_stopped {
            return Ok(());
        }
        self.advance(now).await.map_err(|error| error.told())
    }

    /// Settles and ends windows up to this moment. A clock that goes back changes nothing.
    async fn advance(&mut self, now: DateTime<Utc>) -> Result<(), WriteError> {
        let target = self.engine.schedule().window_at(now);
        let mut passed = 0;
        while self.engine.window().number() < target {
            self.settle();
            self.write_decisions().await?;
            passed += 1;
            let following = self.engine.window().number() + 1;
            let next = if passed > MOST_EMPTY_WINDOWS { target } else { following };
            self.write(Write::Window { next, record: None }).await?;
        }
        if passed > 0 {
            self.exchange().await?;
        }
        let window = self.engine.window();
        if !window.has_settled() && self.engine.schedule().settles(window.number(), now) {
            self.settle();
        }
        Ok(())
    }

    fn settle(&mut self) {
        if !self.engine.window().has_settled() {
            self.made.extend(self.engine.settle(true));
        }
    }

    /// What a call with this key was answered before.
    async fn repeated(&mut self, keyed: &Keyed) -> Result<Option<DeploymentDecisions>, DeployError> {
        if self.owed.iter().any(|owed| owed.keyed.as_ref().is_some_and(|other| other.key == keyed.key)) {
            return Err(DeployError::KeyInUse);
        }
        let known = match self.remembered.get(&keyed.key) {
            Some(known) => Some(known),
            None => {
                // perhaps on its way there
                self.drained().await.map_err(|error| error.told())?;
                let (ledger, ledger_url) = (&self.ledger(), self.ledger_url.as_str());
                let (deployment_id, name, run) = (self.id, self.name.as_str(), self.engine.run());
                calls::Asked { ledger, ledger_url, deployment_id, name, run }.earlier(&keyed.key).await?
            }
        };
        match known {
            Some((request_sha256, _)) if request_sha256 != keyed.request_sha256 => {
                Err(DeployError::KeyReused)
            }
            known => Ok(known.map(|(_, answer)| answer)),
        }
    }

    /// Decides a call's requests; they are answered once they are written.
    fn decide(
        &mut self,
        asked: &DeploymentRequest,
        keyed: Option<Keyed>,
        answer: Answer<DeploymentDecisions>,
    ) {
        if self.is_stopped {
            drop(answer.send(Err(DeployError::Stopped(self.name.clone()))));
            return;
        }
        let (said, requests) = match self.checked(asked) {
            Ok(checked) => checked,
            Err(errors) => {
                drop(answer.send(Err(DeployError::Invalid(errors))));
                return;
            }
        };
        let inputs = self.special(asked, &requests);
        self.calls.extend(keyed.clone().map(|Keyed { key, request_sha256 }| Called {
            deployment_id: self.id,
            session_id: self.session,
            idempotency_key: key,
            request_sha256,
            first_sequence: self.engine.next_sequence(),
            decisions: requests.len() as u32, // at most 1000
        }));
        said.tell(&mut self.engine);
        let first = self.made.len();
        for (asked, request) in asked.requests.iter().zip(requests) {
            let arm = self.engine.arm_for(asked.id.as_deref(), request.retry_of);
            let made = self.engine.decide(Asked { arm, ..request }, true);
            self.made.push(made);
        }
        self.inputs.extend(inputs);
        self.owed.push(Owed { made: first..self.made.len(), keyed, answer: Some(answer) });
    }

    async fn market(&mut self, update: MarketUpdate) -> Result<(), DeployError> {
        let said =
            Said::of(&self.engine, &update.providers, &update.tenants).map_err(DeployError::Invalid)?;
        if self.is_stopped {
            return Err(DeployError::Stopped(self.name.clone()));
        }
        let written = async {
            self.write_decisions().await?;
            if update.providers.is_empty() && update.tenants.is_empty() {
                return Ok(()); // it says what time it is
            }
            let MarketUpdate { providers, tenants, .. } = update;
            let number = self.engine.market_updates();
            let record = Market { deployment_id: self.id, number, providers, tenants };
            self.write(Write::Market { record, said }).await
        };
        written.await.map_err(|error| error.told())
    }

    /// Records what became of decisions, and learns it in the log's order.
    async fn hear(&mut self, calls: Vec<Hearing>) {
        let mut heard = Vec::new();
        for (sequence, outcome, even_if_unknown, answer) in calls {
            if !even_if_unknown && !self.engine.knows(sequence) {
                drop(answer.send(Ok(None)));
                continue;
            }
            let decision_id = decision_id(&self.engine.run(), sequence);
            heard.push((Told { deployment_id: self.id, decision_id, sequence, outcome }, answer));
        }
        // The log's order is the order in which things are learned.
        if let Err(error) = self.drained().await {
            let error = error.told();
            heard.into_iter().for_each(|(_, answer)| drop(answer.send(Err(error.again()))));
            return;
        }
        let ledger = self.ledger();
        let answers = join_all(heard.iter().map(|(told, _)| ledger.append_body_once(told))).await;
        let (mut new, mut unknown) = (Vec::new(), Vec::new());
        for ((told, answer), result) in heard.into_iter().zip(answers) {
            let result = match result {
                Ok((receipt, is_new)) => {
                    new.push((receipt.log_index, told));
                    Ok(Some((receipt, is_new)))
                }
                Err(error) if error.is_conflict() => Err(DeployError::OutcomeConflict(told.decision_id)),
                Err(error) => {
                    unknown.push(told); // perhaps it is recorded: it will be heard before anything else
                    Err(DeployError::away(&error))
                }
            };
            drop(answer.send(result));
        }
        new.sort_by_key(|(log_index, _)| *log_index);
        if unknown.is_empty() {
            new.iter().for_each(|(_, told)| _ = self.engine.hear(told.sequence, &told.outcome));
        } else {
            // Those that are recorded and those that may be are brought into one order by the ledger.
            unknown.extend(new.into_iter().map(|(_, told)| told));
            self.unwritten = Some(Write::Outcomes(unknown));
        }
    }

    async fn deferred(&mut self, deferral: u64) -> Result<Option<DeferredDecision>, DeployError> {
        let deferral_id = decision_id(&self.engine.run(), deferral);
        let Some(decided) = self.engine.deferred(deferral) else { return Ok(None) };
        let Some(sequence) = decided else {
            return Ok(Some(DeferredDecision { deferral_id, is_waiting: true, decision: None }));
        };
        if !self.decided.contains_key(&deferral) {
            // it was decided before this session
            let log_index = self.log_indexes.get(&sequence).copied();
            let row = view::decision(&self.ledger(), self.engine.run(), sequence).await?;
            if let (Some(row), Some(log_index)) = (row, log_index) {
                let served = serving::served(&self.ledger_url, &row, Vec::new(), Some(log_index));
                self.decided.insert(deferral, served);
            }
        }
        let decision = self.decided.get(&deferral).cloned();
        Ok(Some(DeferredDecision { deferral_id, is_waiting: false, decision }))
    }

    /// Writes what could not be written.
    async fn catch_up(&mut self) -> Result<(), WriteError> {
        match self.unwritten.take() {
            Some(write) => self.write(write).await,
            None => Ok(()),
        }
    }

    /// Writes the decisions that were made, and answers.
    async fn write_decisions(&mut self) -> Result<(), WriteError> {
        if self.made.is_empty() {
            return Ok(());
        }
        let (made, inputs) = (std::mem::take(&mut self.made), std::mem::take(&mut self.inputs));
        let calls = std::mem::take(&mut self.calls);
        let decisions = made.iter().map(|made| made.decision.clone()).collect();
        let entry = Entry::Decisions { inputs, calls, decisions };
        self.write(Write::Decisions { entry, made }).await
    }

    /// Writes something and lets it happen; else it is written before anything else happens.
    async fn write(&mut self, mut write: Write) -> Result<(), WriteError> {
        let result = self.try_write(&mut write).await;
        if let Err(error) = &result {
            let error = error.told();
            for owed in &mut self.owed {
                if let Some(answer) = owed.answer.take() {
                    drop(answer.send(Err(error.again())));
                }
            }
            self.unwritten = Some(write);
        }
        result
    }

    async fn try_write(&mut self, write: &mut Write) -> Result<(), WriteError> {
        match write {
            Write::Decisions { entry, made } => {
                let promised = match &self.promising {
                    Some(_) => leaves(made.iter().map(|made| &made.decision))?,
                    None => Vec::new(),
                };
                let receipts = self.record(entry).await?;
                let made = std::mem::take(made);
                self.answer(made, &receipts, &promised);
            }
            Write::Market { record, said } => {
                self.record(&mut Entry::Market(record.clone())).await?;
                said.tell(&mut self.engine);
                self.engine.count_market_update();
            }
            Write::Window { next, record } => {
                // The record says with which state the next window begins, so that it is begun first; nothing else happens
                // before the record is written.
                let ended = match record {
                    Some(ended) => ended,
                    None => {
                        let (number, missing) = (self.engine.window().number(), self.engine.counts().missing);
                        self.engine.begin_window(*next);
                        self.counters.missing.increment(self.engine.counts().missing - missing);
                        self.decided.retain(|deferral, _| self.engine.deferred(*deferral).is_some());
                        let checkpoint_sha256 = self.checkpoint().await;
                        let ended = view::ended(self.id, number, &self.engine);
                        record.insert(WindowEnded { checkpoint_sha256, ..ended })
                    }
                };
                let ended = ended.clone();
                self.record(&mut Entry::Window(ended)).await?;
            }
            Write::Heard { record, steps } => {
                self.record(&mut Entry::Heard(record.clone())).await?;
                self.engine.take_in(record, std::mem::take(steps));
            }
            Write::Change { step, change } => {
                let mut entry = match step {
                    Step::Promote => Entry::Promoted(Promoted(change.clone())),
                    Step::RollBack => Entry::RolledBack(RolledBack(change.clone())),
                };
                self.record(&mut entry).await?;
                tracing::info!(deployment = self.name, arm = change.arm, cause = ?change.cause, ?step, "the policies change");
                if let Err(error) = self.lifecycle.apply(&mut self.engine, *step, change) {
                    tracing::error!(deployment = self.name, %error, "what was recorded cannot be done");
                }
                self.counters.changed(*step);
            }
            Write::Outcomes(outcomes) => {
                let ledger = self.ledger();
                let answers = join_all(outcomes.iter().map(|told| ledger.append_body_once(told))).await;
                let mut heard = Vec::new();
                for (told, answer) in outcomes.iter().zip(answers) {
                    match answer {
                        Ok((receipt, _)) => heard.push((receipt.log_index, told)),
                        Err(error) if error.is_conflict() => {} // another outcome was recorded
                        Err(error) => return Err(error.into()),
                    }
                }
                heard.sort_by_key(|(log_index, _)| *log_index);
                heard.iter().for_each(|(_, told)| _ = self.engine.hear(told.sequence, &told.outcome));
            }
        }
        Ok(())
    }

    /// Stores a checkpoint of the window that has just begun, when it is time. Where that cannot be done now, it is time again
    /// when the next one begins.
    async fn checkpoint(&mut self) -> Option<Hash> {
        let (window, decisions) = (self.engine.window().number(), self.engine.next_sequence());
        let Checkpoints { every, last } = &self.checkpoints;
        if decisions - last.1 < *every && window - last.0 < checkpoint::MOST_WINDOWS {
            return None;
        }
        let bytes = self.engine.checkpoint()?.bytes()?;
        // promises are made also while the ledger is away: they do not wait for this
        match self.ledger.within(PATIENCE).put_artifact("application/json", bytes).await {
            Ok(name) => {
                self.checkpoints.last = (window, decisions);
                Some(name)
            }
            Err(error) => {
                tracing::warn!(deployment = self.name, %error, "a checkpoint cannot be stored now");
                None
            }
        }
    }

    /// Brings something where it is safe: into the ledger, or into the journal. The receipts of its decisions, if the ledger has
    /// them.
    async fn record(&mut self, entry: &mut Entry) -> Result<Vec<Receipt>, WriteError> {
        match &mut self.promising {
            None => Ok(entry.append_to(&self.ledger()).await?),
            Some(promising) => promising.append(entry.clone()).map(|()| Vec::new()),
        }
    }

    /// Answers all who asked for these decisions.
    fn answer(&mut self, made: Vec<Made>, receipts: &[Receipt], promised: &[(u64, merkle_log::Hash)]) {
        let window = made.last().map_or(0, |made| made.decision.step);
        let mut served: Vec<Option<ServedDecision>> = Vec::with_capacity(made.len());
        for Made { decision, alternatives, deferral } in made {
            let log_index = self.promising.is_none().then(|| view::log_index(receipts, &decision));
            let answer = serving::served(&self.ledger_url, &decision, alternatives, log_index);
            if let Some(deferral) = deferral {
                self.decided.insert(deferral, answer.clone());
            }
            served.push(Some(answer));
        }
        let now = Utc::now();
        for Owed { made, keyed, answer } in std::mem::take(&mut self.owed) {
            let promise = self.promise(promised.get(made.clone()).unwrap_or_default(), now);
            let decisions = served[made].iter_mut().filter_map(Option::take).collect();
            let (deployment, run) = (self.name.clone(), self.engine.run());
            let decided =
                promise.map(|promise| DeploymentDecisions { deployment, run, window, decisions, promise });
            if let (Some(keyed), Ok(decided)) = (keyed, &decided) {
                self.remembered.insert(keyed, decided.clone());
            }
            if let Some(answer) = answer {
                drop(answer.send(decided));
            }
        }
    }

    /// The ledger, for what is to be written next.
    fn ledger(&self) -> Ledger {
        self.ledger.within(REQUEST_DEADLINE)
    }
}

impl Call {
    /// Says why nothing is done.
    pub(super) fn refuse(self, error: &DeployError) {
        match self {
            Self::Decide(.., answer) => drop(answer.send(Err(error.again()))),
            Self::Hear { answer, .. } => drop(answer.send(Err(error.again()))),
            Self::Market(_, answer) | Self::Look(_, answer) => drop(answer.send(Err(error.again()))),
            Self::Deferred(_, _, answer) => drop(answer.send(Err(error.again()))),
            Self::Open { answer, .. } => drop(answer.send(Err(error.again()))),
            Self::Change(_, _, answer) => drop(answer.send(Err(error.again()))),
            Self::Stop(_, answer) => drop(answer.send(Err(error.again()))),
        }
    }
}
