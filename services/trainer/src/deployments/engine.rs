//! A deployment's stream as a function of what happened in it: one long episode whose steps are windows of time.
//!
//! Nothing here reads a clock, draws randomness of its own, or calls anybody. What is fed in the same order gives the same
//! decisions and the same state, so that whoever reads the ledger's records of a deployment in the log's order comes to
//! where the trainer stood that wrote them ([`super::replay`]).

use std::collections::BTreeMap;

use api::{
    Hash,
    deployments::NewDeployment,
    policies::{Alternative, Outcome},
    remembrancer::{Action, Decision},
};
use policy::{DecidedRequest, Decision as Decided, Exploration, PastStep, Swarm, Told};
use records::deployments::Heard;
use routing_env::{
    Choice, Environment, Fate, Market, Preference, ProviderState, Request, Resolution, Reward, Rewards,
    Window,
};
use serde::{Deserialize, Serialize};

use super::{
    arms::{Arms, Draw, Drawn},
    checkpoint::{self, Checkpoint},
    event::{DEFERRED, Event, Real},
    schedule::Schedule,
    steps::Steps,
    trial::Pay,
};
use crate::{
    decisions::{Position, decision},
    digest::sha256,
    serving::alternatives_of,
};

/// How long what became of deferred requests is remembered, in windows.
const WINDOWS_REMEMBERED: u32 = 2;

/// Where a deployment stands, as its ledger makes it again: market, window, open jobs, and what its policies know.
pub(crate) struct Engine {
    env: Environment,
    arms: Arms,
    rewards: Rewards,
    run: Hash,
    schedule: Schedule,
    exploration: Option<Exploration>,
    /// The providers as windows begin with them.
    base: Vec<ProviderState>,
    window: Window,
    /// Jobs of which it may still matter where they went, by their decisions.
    jobs: BTreeMap<u64, Job>,
    /// What was told in this window, in order.
    told: Vec<Told>,
    /// The decisions that deferred the requests that wait, by their positions in the window.
    deferrals: BTreeMap<usize, u64>,
    /// What became of deferred requests: the windows, and the decisions.
    decided: BTreeMap<u64, (u32, u64)>,
    next_sequence: u64,
    market_updates: u64,
    counts: Counts,
    /// Where it learns with other nodes.
    steps: Option<Steps>,
    listeners: Vec<Box<dyn FnMut(Event) + Send>>,
}

/// What was told of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) missing: u64,
}

/// A job that was sent somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    pub(crate) window: u32,
    /// The request's position in its window.
    pub(crate) index: usize,
    pub(crate) provider: usize,
    pub(crate) tenant: usize,
    pub(crate) hours: f64,
    pub(crate) cost: f64,
    pub(crate) wait_ms: f64,
    /// Without the waiting.
    pub(crate) expected_ms: f64,
    pub(crate) is_second_try: bool,
    /// Whether its request has been sent elsewhere, because it failed.
    pub(crate) was_retried: bool,
    pub(crate) is_told: bool,
    /// Which policy sent it there.
    #[serde(default, skip_serializing_if = "is_first")]
    pub(crate) arm: usize,
}

/// A request as it is fed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// The decision whose job failed.
    pub(crate) retry_of: Option<u64>,
    /// Which policy decides.
    pub(crate) arm: usize,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) decision: Decision,
    pub(crate) alternatives: Vec<Alternative>,
    /// The decision that had deferred it.
    pub(crate) deferral: Option<u64>,
}

/// Why a request cannot be a second try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRetry {
    #[error(
        "expected a decision of this deployment that sent its request somewhere, of this window or of one whose outcome is awaited"
    )]
    Unknown,
    #[error("expected a first try: a request is tried twice at most, and this decision was the second")]
    Second,
    #[error("expected a decision whose request was not sent elsewhere yet")]
    Again,
}

impl Engine {
    /// A stream that nothing has been asked of.
    pub(crate) fn new(
        env: Environment,
        mut swarm: Swarm,
        rewards: Rewards,
        run: Hash,
        schedule: Schedule,
        exploration: Option<Exploration>,
    ) -> Self {
        let base: Vec<_> =
            (0..env.catalog().providers.len()).map(|provider| env.base_state(provider)).collect();
        begin_stream(&mut swarm, &run);
        let window = window(&env, &base, &BTreeMap::new(), (0, &schedule), 0, rewards.all);
        let pay = Pay { worth: worth(rewards.all, &env), rewards: rewards.clone() };
        Self {
            arms: Arms::of_champion(swarm, pay),
            env,
            rewards,
            run,
            schedule,
            exploration,
            base,
            window,
            jobs: BTreeMap::new(),
            told: Vec::new(),
            deferrals: BTreeMap::new(),
            decided: BTreeMap::new(),
            next_sequence: 0,
            market_updates: 0,
            counts: Counts::default(),
            steps: None,
            listeners: Vec::new(),
        }
    }

    /// Lets policies challenge the champion: canaries with their swarms, shadows without.
    pub(crate) fn challenge(&mut self, settings: &NewDeployment, canaries: Vec<Option<Swarm>>) {
        let run = self.run;
        let begun = canaries.into_iter().map(|swarm| {
            swarm.map(|mut swarm| {
                begin_stream(&mut swarm, &run);
                swarm
            })
        });
        self.arms.challenge(settings, begun.collect::<Vec<_>>());
    }

    /// Makes a challenger the champion; a shadow brings its swarm.
    pub(crate) fn promote(&mut self, arm: usize, shadow: Option<Swarm>, settings: &NewDeployment) {
        self.arms.promote(arm, shadow, settings);
        self.emit(|| Event::ChampionChanged);
    }

    /// Takes a challenger back, or the champion, where it was one.
    pub(crate) fn roll_back(&mut self, arm: usize, settings: &NewDeployment) {
        let before = self.arms.champion();
        self.arms.roll_back(arm, settings);
        if self.arms.champion() != before {
            self.emit(|| Event::ChampionChanged);
        }
    }

    /// Lets it keep what it sees of providers for others, and act on what they have seen.
    pub(crate) fn federate(&mut self) {
        self.steps = Some(Steps::default());
    }

    /// What it keeps for others, and has heard of them.
    pub(crate) fn steps(&self) -> Option<&Steps> {
        self.steps.as_ref()
    }

    /// Acts on what others have seen from now on, which was recorded.
    pub(crate) fn take_in(&mut self, record: &Heard, heard: federation::Window) {
        if let Some(steps) = &mut self.steps {
            steps.take_in(record, heard);
            self.tell_steps();
        }
    }

    /// The last step that has ended.
    pub(crate) fn last_step(&self) -> u64 {
        self.schedule.step(self.window.number()).saturating_sub(1)
    }

    fn tell_steps(&mut self) {
        let last = self.last_step();
        let Some(past) = self.steps.as_ref().and_then(|steps| steps.past(last)) else { return };
        for swarm in self.arms.swarms_mut() {
            heed(swarm, &past);
        }
        self.emit(|| Event::Heard { steps: past.clone() });
    }

    /// Tells somebody of all that happens from now on.
    pub(crate) fn listen(&mut self, listener: Box<dyn FnMut(Event) + Send>) {
        self.listeners.push(listener);
    }

    pub(crate) fn arms(&self) -> &Arms {
        &self.arms
    }

    /// The policy that decides the next request: the one that decided its first try, or the one that it is drawn for.
    pub(crate) fn arm_for(&self, id: Option<&str>, retry_of: Option<u64>) -> usize {
        match retry_of.and_then(|decision| self.jobs.get(&decision)) {
            Some(job) if self.arms.decides(job.arm) => job.arm,
            Some(_) => self.arms.champion(),
            None => self.arms.drawn(Draw::of(&self.run, id, self.next_sequence)),
        }
    }

    pub(crate) fn env(&self) -> &Environment {
        &self.env
    }

    pub(crate) fn run(&self) -> Hash {
        self.run
    }

    pub(crate) fn rewards(&self) -> &Rewards {
        &self.rewards
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) fn market_updates(&self) -> u64 {
        self.market_updates
    }

    /// What was told so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Jobs of which nothing was told yet, by their decisions.
    pub(crate) fn open_jobs(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.jobs.iter().filter(|(_, job)| !job.is_told).map(|(sequence, job)| (*sequence, job))
    }

    /// What became of a request that a decision deferred: `None` where it is not known (any more), `Some(None)` while it waits,
    /// and else which decision settled it.
    pub(crate) fn deferred(&self, deferral: u64) -> Option<Option<u64>> {
        if self.deferrals.values().any(|waiting| *waiting == deferral) {
            return Some(None);
        }
        self.decided.get(&deferral).map(|(_, decision)| Some(*decision))
    }

    /// Whether a decision sent its request somewhere, and it may matter what became of it.
    pub(crate) fn knows(&self, sequence: u64) -> bool {
        self.jobs.contains_key(&sequence)
    }

    /// Whether a request may be the second try of this decision's.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn check_retry(&self, retry_of: u64) -> Result<(), NoRetry> {
        match self.jobs.get(&retry_of) {
            None => Err(NoRetry::Unknown),
            Some(job) if job.is_second_try => Err(NoRetry::Second),
            Some(job) if job.was_retried => Err(NoRetry::Again),
            Some(_) => Ok(()),
        }
    }

    /// Takes what somebody says of the market: providers stay so, and what is left of capacities and budgets is of this
    /// window.
    pub(crate) fn hear_market(&mut self, providers: &[(usize, ProviderState)], budgets: &[(usize, f64)]) {
        for (provider, state) in providers {
            self.base[*provider] = ProviderState { remaining: state.capacity, ..*state };
            self.window.market_mut().set_provider(*provider, *state);
        }
        for (tenant, usd) in budgets {
            self.window.market_mut().set_budget(*tenant, *usd);
        }
        self.emit(|| Event::Market { providers: providers.to_vec(), budgets: budgets.to_vec() });
    }

    /// Counts an update of the market that is a record of its own.
    pub(crate) fn count_market_update(&mut self) {
        self.market_updates += 1;
    }

    /// Decides a request, of which [`Engine::check_retry`] has approved. With `explains` it says of each other provider why
    /// not, which changes nothing.
    pub(crate) fn decide(&mut self, asked: Asked, explains: bool) -> Made {
        let before = asked.retry_of.and_then(|decision| self.jobs.get_mut(&decision));
        let failed = before.map(|job| {
            job.was_retried = true;
            *job
        });
        let (index, failed_at) = match failed {
            Some(job) if job.window == self.window.number() => {
                if !job.is_told {
                    // it is not charged for what has failed; an outcome that is told later may say otherwise
                    self.window.market_mut().correct_cost(job.tenant, job.cost, 0.0);
                }
                (job.index, Some(job.provider))
            }
            failed => (self.window.arrive(asked.request), failed.map(|job| job.provider)),
        };
        let made = self.decide_at(index, (asked.arm, asked.retry_of.is_none()), failed_at, explains, None);
        self.emit_decided(asked, index, &made.decision);
        made
    }

    /// Decides those that wait; nobody waits from now on in this window.
    pub(crate) fn settle(&mut self, explains: bool) -> Vec<Made> {
        self.emit(|| Event::Settled);
        let arms = &mut self.arms;
        let waiting = self.window.settle(|requests, waiting| arms.order_waiting(requests, waiting));
        let mut deferrals = std::mem::take(&mut self.deferrals);
        let decided = waiting.into_iter().map(|index| {
            let deferral = deferrals.remove(&index);
            let arm = self.arms.arm_of_deferral(deferral);
            let made = self.decide_at(index, (arm, false), None, explains, deferral);
            if let Some(deferral) = deferral {
                self.decided.insert(deferral, (self.window.number(), made.decision.sequence));
            }
            let champion = self.arms.champion();
            self.emit(|| Event::Resolved { index, real: Real::of(&made.decision, champion) });
            made
        });
        decided.collect()
    }

    /// Hears what became of a decision; `false` where nothing is learned from it: it sent its request nowhere, was told
    /// before, or is not waited for any more.
    pub(crate) fn hear(&mut self, sequence: u64, outcome: &Outcome) -> bool {
        let Some(job) = self.jobs.get_mut(&sequence).filter(|job| !job.is_told) else { return false };
        job.is_told = true;
        let job = *job;
        let told = Told {
            provider: job.provider,
            succeeded: outcome.succeeded,
            expected_ms: job.expected_ms,
            latency_ms: outcome.latency_ms.map(|latency_ms| (latency_ms - job.wait_ms).max(0.0)),
            is_second_try: job.is_second_try,
        };
        self.told.push(told);
        self.arms.hear(sequence, outcome);
        self.emit(|| Event::Told { sequence, told, outcome: outcome.clone() });
        *(if outcome.succeeded { &mut self.counts.succeeded } else { &mut self.counts.failed }) += 1;
        if job.window == self.window.number() {
            let charged = outcome.cost_usd.unwrap_or(if outcome.succeeded { job.cost } else { 0.0 });
            let returned = if job.was_retried { 0.0 } else { job.cost };
            let market = self.window.market_mut();
            market.correct_cost(job.tenant, returned, charged);
            if let Some(used) = outcome.gpu_hours_used {
                market.correct_hours(job.provider, job.hours, used);
            }
        }
        true
    }

    /// Ends the window, of which nobody waits any more, and begins the one with this number.
    pub(crate) fn begin_window(&mut self, next: u32) {
        let told = std::mem::take(&mut self.told);
        let outcome = self.window.end(&self.env);
        self.arms.swarms_mut().for_each(|swarm| swarm.end_window(&outcome, &told));
        if let Some(steps) = &mut self.steps
            && let Some(evidence) = self.arms.swarms_mut().find_map(|swarm| swarm.step_evidence())
        {
            // all of them were told the same
            steps.see(self.schedule.step(self.window.number()), evidence);
        }
        let arrival = self.window.next_arrival();
        let deadline = self.schedule.outcome_windows();
        let mut missing = 0;
        self.jobs.retain(|_, job| {
            if job.is_told {
                return false;
            }
            let is_missing = next - job.window > deadline;
            missing += u64::from(is_missing);
            !is_missing
        });
        self.counts.missing += missing;
        self.decided.retain(|_, (window, _)| next - *window < WINDOWS_REMEMBERED);
        self.window =
            window(&self.env, &self.base, &self.jobs, (next, &self.schedule), arrival, self.rewards.all);
        self.arms.swarms_mut().for_each(|swarm| swarm.begin_window(next));
        let jobs = &self.jobs;
        self.arms.begin_window(|sequence| jobs.contains_key(&sequence));
        self.emit(|| Event::Window { next });
        self.tell_steps();
    }

    /// All that it is a function of from here on, where a window has just begun. `None` where that cannot be written down: where
    /// policies are compared, or the policy has no such state.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        if self.arms.are_several() {
            return None;
        }
        let policy = self.arms.swarm(self.arms.champion()).stream_state()?;
        Some(Checkpoint {
            format: checkpoint::FORMAT.to_owned(),
            window: self.window.number(),
            next_arrival: self.window.next_arrival(),
            base: self.base.clone(),
            jobs: self.jobs.clone(),
            decided: self.decided.clone(),
            next_sequence: self.next_sequence,
            market_updates: self.market_updates,
            counts: self.counts,
            steps: self.steps.as_ref().map(Steps::state),
            policy,
        })
    }

    /// Goes on from a checkpoint, where nothing has been asked for yet.
    ///
    /// # Errors
    /// It is of another stream; nobody may go on with this one then.
    pub(crate) fn resume(&mut self, checkpoint: Checkpoint) -> Result<(), String> {
        let providers = self.env.catalog().providers.len();
        let is_known =
            |job: &Job| job.provider < providers && job.tenant < self.env.workloads().tenants.len();
        if checkpoint.base.len() != providers
            || checkpoint.steps.is_some() != self.steps.is_some()
            || !checkpoint.jobs.values().all(|job| is_known(job) && job.window <= checkpoint.window)
            || self.arms.are_several()
        {
            return Err("it is of a deployment of other providers, tenants or policies".to_owned());
        }
        let champion = self.arms.champion();
        let swarm = self.arms.swarm_mut(champion);
        swarm.go_on(checkpoint.policy).map_err(|error| error.to_string())?;
        swarm.begin_window(checkpoint.window);
        self.steps = checkpoint.steps.map(|steps| Steps::read(steps, providers)).transpose()?;
        (self.base, self.jobs, self.decided) = (checkpoint.base, checkpoint.jobs, checkpoint.decided);
        (self.next_sequence, self.market_updates) = (checkpoint.next_sequence, checkpoint.market_updates);
        self.counts = checkpoint.counts;
        let at = (checkpoint.window, &self.schedule);
        self.window =
            window(&self.env, &self.base, &self.jobs, at, checkpoint.next_arrival, self.rewards.all);
        Ok(())
    }

    /// SHA-256 over the state.
    pub(crate) fn state_sha256(&self) -> Hash {
        let providers = self.window.market().providers().iter();
        let mut state = serde_json::json!({
            "window": self.window.number(),
            "next_arrival": self.window.next_arrival(),
            "has_settled": self.window.has_settled(),
            "providers": providers.map(figures).collect::<Vec<_>>(),
            "base": self.base.iter().map(figures).collect::<Vec<_>>(),
            "budgets": self.window.market().budgets(),
            "jobs": self.jobs.iter().collect::<Vec<_>>(),
            "told": self.told.iter().map(|told| format!("{told:?}")).collect::<Vec<_>>(),
            "deferrals": self.deferrals.iter().collect::<Vec<_>>(),
            "decided": self.decided.iter().collect::<Vec<_>>(),
            "next_sequence": self.next_sequence,
            "market_updates": self.market_updates,
            "counts": self.counts,
            "policy": self.arms.swarm(self.arms.champion()).moment(),
        });
        if let Some(steps) = &self.steps {
            state["steps"] = steps.shown();
        }
        if self.arms.are_several() {
            state["arms"] = self.arms.shown().into();
        }
        sha256(state.to_string().as_bytes())
    }

    /// Lets an arm decide a request, which may have been drawn for it just now.
    fn decide_at(
        &mut self,
        index: usize,
        (arm, was_drawn): (usize, bool),
        failed_at: Option<usize>,
        explains: bool,
        deferral: Option<u64>,
    ) -> Made {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let Self { env, arms, window, exploration, .. } = self;
        let drawn = window
            .observe(env, index, failed_at)
            .map(|observation| arms.decide((arm, was_drawn), &observation, exploration.as_ref(), sequence));
        let (decided, units) = drawn.map(|Drawn { decided, units }| (decided, units)).unzip();
        let choice = decided.map(|decided| decided.choice);
        let mut alternatives = Vec::new();
        if explains {
            let taken = match choice {
                Some(Choice::Route(provider)) => Some(provider),
                _ => None,
            };
            alternatives =
                alternatives_of(arms.swarm_mut(arm), &window.observation(env, index, failed_at), taken);
        }
        let resolution = match choice {
            Some(choice) => window.act(env, index, failed_at, choice),
            None => Some(*window.resolution(index)),
        };
        let decision = self.row((sequence, arm), index, decided, resolution);
        self.arms.note((sequence, arm), units.unwrap_or_default(), resolution, deferral);
        if let Some(routed) = resolution.as_ref().and_then(Resolution::routed) {
            let wait_ms = self.window.wait_ms(index);
            let job = Job {
                window: self.window.number(),
                index,
                provider: routed.provider,
                tenant: self.window.requests()[index].tenant,
                hours: self.window.requests()[index].hours,
                cost: routed.cost,
                wait_ms,
                expected_ms: routed.latency_ms - wait_ms,
                is_second_try: failed_at.is_some(),
                was_retried: false,
                is_told: false,
                arm,
            };
            self.jobs.insert(sequence, job);
        } else if resolution.is_none() {
            self.deferrals.insert(index, sequence);
        }
        Made { decision, alternatives, deferral }
    }

    /// The decision as the ledger keeps it. One that defers says nothing yet of what its request earns.
    fn row(
        &self,
        (sequence, arm): (u64, usize),
        index: usize,
        decided: Option<Decided>,
        resolution: Option<Resolution>,
    ) -> Decision {
        let request = self.window.requests()[index];
        let arrival = self.window.next_arrival() - (self.window.requests().len() - index) as u64;
        let waits = Resolution { fate: Fate::Held, deferred: false, ..*self.window.resolution(index) };
        let decided = DecidedRequest {
            agent: self.arms.swarm(arm).agent_of(request.tenant, arrival),
            request,
            resolution: resolution.unwrap_or(waits),
            wait_ms: self.window.wait_ms(index),
            reward: resolution.map_or(0.0, |resolution| self.rewards.of_request(&resolution)),
            explored: decided.is_some_and(|decided| decided.explored),
            propensity: decided.map_or(1.0, |decided| decided.propensity),
            value: decided.and_then(|decided| decided.value),
        };
        let at = Position { run: self.run, episode: 0, first_sequence: sequence };
        let version = self.arms.swarm(arm).steps_seen();
        let mut decision = decision(&self.env, at, self.window.number(), version, &decided);
        decision.arm = arm as u32; // of few
        if resolution.is_none() {
            (decision.action, decision.reason) = (Action::Hold, DEFERRED.to_owned());
        }
        decision
    }

    fn emit_decided(&mut self, Asked { request, retry_of, .. }: Asked, index: usize, decision: &Decision) {
        let champion = self.arms.champion();
        self.emit(|| Event::Decided { index, request, retry_of, real: Real::of(decision, champion) });
    }

    fn emit(&mut self, event: impl Fn() -> Event) {
        self.listeners.iter_mut().for_each(|listener| listener(event()));
    }
}

/// Lets a policy act on what others have seen, if it keeps such figures. They were checked when they were read.
pub(crate) fn heed(swarm: &mut Swarm, past: &[PastStep]) {
    if let Err(error) = swarm.heed_steps(past) {
        tracing::error!(%error, "what others have seen cannot be acted on and is passed over");
    }
}

/// Makes a swarm one that decides in this stream: what is random in it is drawn from the stream's digest.
pub(crate) fn begin_stream(swarm: &mut Swarm, run: &Hash) {
    swarm.freeze();
    swarm.begin_episode(seed_of(run));
    swarm.begin_window(0);
}

/// What a request that is served for nothing and at once is worth, in points.
fn worth(reward: Reward, env: &Environment) -> f64 {
    let scale = reward.preference().map_or(1.0, |preference| preference.scale(env));
    Preference::EXCESS_COST.request * scale
}

fn is_first(arm: &usize) -> bool {
    *arm == 0
}

/// A window that begins, in which jobs of earlier ones may still hold what they were sent for.
pub(crate) fn window(
    env: &Environment,
    base: &[ProviderState],
    jobs: &BTreeMap<u64, Job>,
    (number, schedule): (u32, &Schedule),
    first_arrival: u64,
    reward: Reward,
) -> Window {
    let mut states = base.to_vec();
    for job in jobs.values().filter(|job| number - job.window < schedule.hold_windows()) {
        let state = &mut states[job.provider];
        state.remaining = (state.remaining - job.hours).max(0.0);
    }
    let budgets = (0..env.workloads().tenants.len()).map(|tenant| env.budget(tenant)).collect();
    let market = Market::of(env, states, budgets);
    Window::new(env, market, (number, schedule.hour_of_week(number)), first_arrival, reward)
}

fn seed_of(run: &Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = run.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) & api::MAX_SAFE_INTEGER
}

fn figures(state: &ProviderState) -> (bool, [f64; 5]) {
    let ProviderState { active, latency_ms, price_multiplier, capacity, remaining, reputation } = *state;
    (active, [latency_ms, price_multiplier, capacity, remaining, reputation])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use policy::Rule;
    use routing_env::Preset;

    use super::*;

    const RUN: Hash = Hash([7; 32]);

    fn engine(rule: Rule, preset: Preset, exploration: Option<Exploration>) -> Engine {
        let env = Environment::built_in(preset);
        let swarm = Swarm::of_rule(rule, &env);
        let settings: NewDeployment =
            serde_json::from_value(serde_json::json!({"name": "x", "policy_id": uuid::Uuid::nil()})).unwrap();
        let schedule = Schedule::new(&settings, "2026-11-30T00:00:00Z".parse().unwrap());
        Engine::new(env, swarm, Reward::EXCESS_COST.into(), RUN, schedule, exploration)
    }

    /// An A100 for the research tenant: flux, akash and aethir serve it.
    fn asked(engine: &Engine, hours: f64) -> Asked {
        let a100 = engine.env().gpu_types().iter().position(|gpu| gpu == "A100").unwrap();
        Asked { request: Request::of_tenant(engine.env(), 0, 0, a100, hours), retry_of: None, arm: 0 }
    }

    /// What was decided, by what was said of its probability: as often as was said, in a million decisions.
    #[test]
    fn what_is_said_of_probabilities_is_true() {
        let exploration = Exploration::new(5, 0.3, 0.2);
        let mut engine = engine(Rule::Cheapest, Preset::Default, Some(exploration));
        let mut counts: HashMap<(String, u64), u64> = HashMap::new();
        let decisions: u64 = 1_000_000;
        let sizes = [1e-4, 2e-4, 3e-4, 4e-4, 5e-4];
        for n in 0..decisions {
            if n % 100_000 == 99_999 {
                engine.settle(false);
                engine.begin_window(engine.window().number() + 1);
            }
            let asked = asked(&engine, sizes[n as usize % sizes.len()]);
            let Made { decision, .. } = engine.decide(asked, false);
            assert!(decision.explored || decision.provider.as_deref() == Some("flux"));
            *counts.entry((decision.provider.unwrap(), (1e9 * decision.propensity) as u64)).or_default() += 1;
        }
        // flux is the cheapest, akash costs 6 % more, and aethir half as much again, which is too much
        assert_eq!(counts.len(), 2, "{counts:?}");
        for ((provider, propensity), count) in &counts {
            let expected = decisions as f64 * *propensity as f64 / 1e9;
            let deviation = (expected * (1.0 - *propensity as f64 / 1e9)).sqrt();
            let off = (*count as f64 - expected) / deviation;
            assert!(
                off.abs() < 4.0,
                "{provider}: {count} of {decisions}, expected {expected}: {off} deviations"
            );
        }
        assert!(counts.contains_key(&("flux".to_owned(), 850_000_000)), "{counts:?}");
        assert!(counts.contains_key(&("akash".to_owned(), 150_000_000)), "{counts:?}");
    }

    #[test]
    fn a_job_holds_what_it_was_sent_for_until_its_outcome_is_told() {
        let held_for = |hold_seconds: u32, is_told: bool| {
            let mut engine = engine(Rule::Cheapest, Preset::Default, None);
            let settings: NewDeployment = serde_json::from_value(serde_json::json!({
                "name": "x", "policy_id": uuid::Uuid::nil(), "hold_seconds": hold_seconds
            }))
            .unwrap();
            engine.schedule = Schedule::new(&settings, "2026-11-30T00:00:00Z".parse().unwrap());
            let asked = asked(&engine, 50.0);
            let sequence = engine.decide(asked, false).decision.sequence;
            if is_told {
                assert!(engine.hear(sequence, &Outcome { succeeded: true, ..Outcome::default() }));
            }
            let flux = 3;
            let left = |engine: &Engine| engine.window().market().providers()[flux].remaining;
            let mut lefts = vec![left(&engine)];
            for next in 1..4 {
                engine.settle(false);
                engine.begin_window(next);
                lefts.push(left(&engine));
            }
            lefts
        };
        assert_eq!(held_for(3600, false), [90.0, 140.0, 140.0, 140.0]);
        assert_eq!(held_for(3 * 3600, false), [90.0, 90.0, 90.0, 140.0]);
        assert_eq!(held_for(3 * 3600, true), [90.0, 140.0, 140.0, 140.0]);
    }

    #[test]
    fn an_outcome_puts_the_budget_and_the_hours_of_its_window_right() {
        let mut engine = engine(Rule::Cheapest, Preset::Default, None);
        let asked = asked(&engine, 10.0);
        let budget = |engine: &Engine| engine.window().market().budgets()[0];
        let whole = budget(&engine);
        let made = engine.decide(asked, false).decision;
        assert!((whole - budget(&engine) - made.cost_usd.unwrap()).abs() < 1e-9);
        let outcome =
            Outcome { succeeded: true, cost_usd: Some(3.0), gpu_hours_used: Some(4.0), ..Outcome::default() };
        assert!(engine.hear(made.sequence, &outcome));
        assert!((whole - budget(&engine) - 3.0).abs() < 1e-9);
        assert_eq!(engine.window().market().providers()[3].remaining, 136.0);
        assert!(!engine.hear(made.sequence, &outcome), "it is heard once");
        assert_eq!(engine.counts(), Counts { succeeded: 1, failed: 0, missing: 0 });
    }
}
