//! A deployment's log, gone through again: what each decision was made from, and what other policies would have decided there.
//!
//! The market follows from what the log has: what was said of it, what was decided, what was told. So nothing is decided
//! again to know it, and it does not matter who decided. Each decision must have the price and the latency that the market
//! gives; a log with others is not what its deployment made of its records. The log's own policy decides beside the others,
//! for its choice is what exploration kept or replaced: the propensities of what was not done follow from it.

use std::collections::{BTreeMap, VecDeque};

use policy::{Decision, Exploration, Swarm, Told};
use routing_env::{
    Candidate, Choice, Environment, Fate, Market, Observation, ProviderState, Request, Resolution, Rewards,
    Routed, Window,
};

use super::situation::{Situation, Taken};

/// How a deployment decides, beside its policy.
#[derive(Clone, Debug)]
pub struct Terms {
    /// For how many windows, its own included, a job holds the GPU-hours that it was sent for.
    pub hold_windows: u32,
    /// For how many windows after its own an outcome is waited for.
    pub outcome_windows: u32,
    /// How it explores.
    pub exploration: Exploration,
    /// What a request earns.
    pub rewards: Rewards,
}

/// A decision as the log has it.
#[derive(Clone, Copy, Debug)]
pub struct Logged {
    /// Its number, from 0 without gaps.
    pub sequence: u64,
    /// The request.
    pub request: Request,
    /// The decision whose job failed, where this is the second try.
    pub retry_of: Option<u64>,
    /// How long the request waited, in ms, where it was set aside before.
    pub waited_ms: Option<f64>,
    /// What was done.
    pub action: Action,
    /// Whether exploration chose it.
    pub explored: bool,
    /// With what probability.
    pub propensity: f64,
}

/// What was done with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Sent to a provider.
    Routed {
        /// Its index.
        provider: usize,
        /// USD per GPU-hour.
        price: f64,
        /// What was expected, in ms.
        latency_ms: f64,
    },
    /// Refused.
    Held,
    /// Set aside to the end of the window.
    Deferred,
    /// Nothing was possible.
    Dropped,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Whether it was done.
    pub succeeded: bool,
    /// Its latency, in ms; as expected when absent.
    pub latency_ms: Option<f64>,
    /// What it cost, in USD; as expected when absent.
    pub cost_usd: Option<f64>,
    /// GPU-hours that it used.
    pub gpu_hours_used: Option<f64>,
}

/// The log says what cannot have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decision {sequence} cannot have been made from what is recorded before it: {what}")]
pub struct Impossible {
    /// The decision.
    pub sequence: u64,
    /// What is wrong with it.
    pub what: String,
}

/// A job that was sent somewhere.
#[derive(Clone, Copy, Debug)]
struct Job {
    window: u32,
    index: usize,
    provider: usize,
    tenant: usize,
    hours: f64,
    cost: f64,
    wait_ms: f64,
    expected_ms: f64,
    is_second_try: bool,
    was_retried: bool,
    is_told: bool,
}

/// What is known of what a decision came to.
#[derive(Clone, Copy, Debug)]
enum Came {
    /// To this.
    Known(Resolution),
    /// To this, if its job is done.
    Awaited(Resolution),
    /// To whatever a later decision about the same request came to.
    Later(u64),
}

/// The log as far as it was read.
pub struct Replay {
    env: Environment,
    terms: Terms,
    /// The log's own policy, then those in question.
    policies: Vec<Swarm>,
    base: Vec<ProviderState>,
    window: Window,
    jobs: BTreeMap<u64, Job>,
    told: Vec<Told>,
    /// Those that wait: the positions in the window, with the decisions that set them aside.
    waiting: VecDeque<(usize, u64)>,
    came: BTreeMap<u64, Came>,
    /// The first decisions about requests of which there are several.
    first: BTreeMap<u64, u64>,
    situations: Vec<Situation>,
}

impl Replay {
    /// Of a log whose own policy drew from `seed`, and in whose first window, which begins in this hour of the week, nothing
    /// was asked yet.
    #[must_use]
    pub fn new(
        env: Environment,
        terms: Terms,
        own: Swarm,
        others: Vec<Swarm>,
        (seed, hour_of_week): (u64, u32),
    ) -> Self {
        let mut policies: Vec<Swarm> = std::iter::once(own).chain(others).collect();
        for (policy, seed) in policies.iter_mut().zip(seed..) {
            policy.freeze();
            policy.begin_episode(seed); // each draws for itself
            policy.begin_window(0);
        }
        let base: Vec<_> = (0..env.catalog().providers.len()).map(|p| env.base_state(p)).collect();
        let window = window(&env, &terms, &base, &BTreeMap::new(), (0, hour_of_week), 0);
        Self {
            env,
            terms,
            policies,
            base,
            window,
            jobs: BTreeMap::new(),
            told: Vec::new(),
            waiting: VecDeque::new(),
            came: BTreeMap::new(),
            first: BTreeMap::new(),
            situations: Vec::new(),
        }
    }

    /// What it is a log of.
    #[must_use]
    pub fn env(&self) -> &Environment {
        &self.env
    }

    /// The window under way.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Takes what was said of the market: providers stay so, what is left is of this window.
    pub fn hear_market(&mut self, providers: &[(usize, ProviderState)], budgets: &[(usize, f64)]) {
        for (provider, state) in providers {
            self.base[*provider] = ProviderState { remaining: state.capacity, ..*state };
            self.window.market_mut().set_provider(*provider, *state);
        }
        for (tenant, usd) in budgets {
            self.window.market_mut().set_budget(*tenant, *usd);
        }
    }

    /// Lets nobody wait any more: decisions about those that waited come next.
    pub fn settle(&mut self) {
        if !self.window.has_settled() {
            self.window.settle(|_, _| {});
        }
    }

    /// Takes the next decision.
    ///
    /// # Errors
    /// It cannot have been made here.
    pub fn decide(&mut self, logged: &Logged) -> Result<(), Impossible> {
        let impossible = |what: String| Impossible { sequence: logged.sequence, what };
        let (index, failed_at) = match logged.waited_ms {
            Some(waited_ms) => {
                self.settle();
                (
                    self.waited(logged, waited_ms)
                        .ok_or_else(|| impossible("nothing like it waits".into()))?,
                    None,
                )
            }
            None => self.arrived(logged),
        };
        let choices = self.choices(index, failed_at);
        let choice = match (logged.action, &choices) {
            (Action::Dropped, None) => None,
            (Action::Routed { provider, .. }, Some(_)) => Some(Choice::Route(provider)),
            (Action::Deferred, Some(_)) => Some(Choice::Defer),
            (Action::Held | Action::Dropped, Some(_)) => Some(Choice::Hold),
            (_, None) => return Err(impossible("no provider is feasible".into())),
        };
        let resolution = match choice {
            Some(choice) => self.window.act(&self.env, index, failed_at, choice),
            None => Some(*self.window.resolution(index)),
        };
        self.check(logged, resolution.as_ref()).map_err(impossible)?;
        if let (Some(choices), Some(choice)) = (choices, choice) {
            self.situate(logged, choices, choice);
        }
        self.remember(logged, index, failed_at.is_some(), resolution);
        Ok(())
    }

    /// Takes what became of a decision's job. What is told after the deadline is known, but no policy learned from it.
    pub fn hear(&mut self, sequence: u64, outcome: &Outcome) {
        if let Some(came) = self.came.get_mut(&sequence)
            && let Came::Awaited(expected) = *came
        {
            *came = Came::Known(met(expected, outcome));
        }
        let Some(job) = self.jobs.get_mut(&sequence).filter(|job| !job.is_told) else { return };
        job.is_told = true;
        let job = *job;
        self.told.push(Told {
            provider: job.provider,
            succeeded: outcome.succeeded,
            expected_ms: job.expected_ms,
            latency_ms: outcome.latency_ms.map(|latency_ms| (latency_ms - job.wait_ms).max(0.0)),
            is_second_try: job.is_second_try,
        });
        if job.window == self.window.number() {
            let charged = outcome.cost_usd.unwrap_or(if outcome.succeeded { job.cost } else { 0.0 });
            let returned = if job.was_retried { 0.0 } else { job.cost };
            let market = self.window.market_mut();
            market.correct_cost(job.tenant, returned, charged);
            if let Some(used) = outcome.gpu_hours_used {
                market.correct_hours(job.provider, job.hours, used);
            }
        }
    }

    /// Goes on to a later window, which begins in this hour of the week.
    pub fn begin_window(&mut self, next: u32, hour_of_week: u32) {
        self.settle();
        self.waiting.clear();
        let told = std::mem::take(&mut self.told);
        let outcome = self.window.end(&self.env);
        for policy in &mut self.policies {
            policy.end_window(&outcome, &told);
            policy.begin_window(next);
        }
        let arrival = self.window.next_arrival();
        let deadline = self.terms.outcome_windows;
        self.jobs.retain(|_, job| !job.is_told && next.saturating_sub(job.window) <= deadline);
        self.window = window(&self.env, &self.terms, &self.base, &self.jobs, (next, hour_of_week), arrival);
    }

    /// All decisions with a choice to make.
    #[must_use]
    pub fn situations(mut self) -> Vec<Situation> {
        let mut situations = std::mem::take(&mut self.situations);
        for situation in &mut situations {
            situation.reward = self.reward(situation.sequence);
        }
        situations
    }

    /// The position of a request that has waited: of several alike it does not matter which.
    fn waited(&mut self, logged: &Logged, waited_ms: f64) -> Option<usize> {
        let is_it = |(index, _): &(usize, u64)| {
            let waits = self.window.requests()[*index];
            let Request { tenant, workload, gpu_type, hours, .. } = logged.request;
            (waits.tenant, waits.workload, waits.gpu_type, waits.hours) == (tenant, workload, gpu_type, hours)
                && self.window.wait_ms(*index) == waited_ms
        };
        let found = self.waiting.iter().position(is_it)?;
        let (index, deferral) = self.waiting.remove(found)?;
        self.follows(logged.sequence, deferral);
        Some(index)
    }

    /// A request that has come, or whose job has failed: its position, and where.
    fn arrived(&mut self, logged: &Logged) -> (usize, Option<usize>) {
        let before = logged.retry_of.and_then(|sequence| Some((sequence, self.jobs.get_mut(&sequence)?)));
        let failed = before.map(|(sequence, job)| {
            job.was_retried = true;
            (sequence, *job)
        });
        if let Some((sequence, _)) = failed {
            self.follows(logged.sequence, sequence);
        }
        match failed {
            Some((_, job)) if job.window == self.window.number() => {
                if !job.is_told {
                    self.window.market_mut().correct_cost(job.tenant, job.cost, 0.0);
                }
                (job.index, Some(job.provider))
            }
            failed => (self.window.arrive(logged.request), failed.map(|(_, job)| job.provider)),
        }
    }

    /// A decision about the same request as an earlier one.
    fn follows(&mut self, sequence: u64, earlier: u64) {
        self.came.insert(earlier, Came::Later(sequence));
        let first = self.first.get(&earlier).copied().unwrap_or(earlier);
        self.first.insert(sequence, first);
    }

    /// What each policy would do there, the log's own first, and what everything promises; `None` where nothing is feasible.
    fn choices(&mut self, index: usize, failed_at: Option<usize>) -> Option<Choices> {
        let Self { env, window, policies, terms, .. } = self;
        let observation = window.observe(env, index, failed_at)?;
        let decided = policies.iter_mut().map(|policy| policy.decide(&observation)).collect();
        let promised = Promised::of(&observation, &terms.rewards);
        Some(Choices { decided, candidates: observation.candidates.to_vec(), promised })
    }

    /// Whether a decision has the figures that the market gives.
    fn check(&self, logged: &Logged, resolution: Option<&Resolution>) -> Result<(), String> {
        let routed = resolution.and_then(Resolution::routed);
        match (logged.action, routed) {
            (Action::Routed { price, latency_ms, .. }, Some(routed)) => {
                if (price, latency_ms) == (routed.price, routed.latency_ms) {
                    return Ok(());
                }
                Err(format!(
                    "it has the price {price} and the latency {latency_ms} ms, and the market gives {} and {} ms",
                    routed.price, routed.latency_ms
                ))
            }
            (Action::Routed { .. }, None) => Err("its provider is not feasible".to_owned()),
            (Action::Deferred, _) if resolution.is_some() => Err("nothing may wait".to_owned()),
            _ => Ok(()),
        }
    }

    fn situate(&mut self, logged: &Logged, choices: Choices, choice: Choice) {
        let Choices { mut decided, candidates, promised } = choices;
        let own = decided.remove(0);
        // what was decided without exploration is what was done, whoever decided it
        let kept = match logged.explored {
            true => own,
            false if own.propensity < 1.0 => Decision { choice, ..own },
            false => Decision::certain(choice),
        };
        let exploration = self.terms.exploration;
        let taken = |choice| Taken {
            choice,
            propensity: exploration.probability(&kept, &candidates, choice),
            promised: promised.by(choice),
        };
        self.situations.push(Situation {
            sequence: logged.sequence,
            request: self.first.get(&logged.sequence).copied().unwrap_or(logged.sequence),
            logged: Taken { propensity: logged.propensity, ..taken(choice) },
            reward: None,
            own: taken(own.choice),
            others: decided.iter().map(|decision| taken(decision.choice)).collect(),
        });
    }

    fn remember(
        &mut self,
        logged: &Logged,
        index: usize,
        is_second_try: bool,
        resolution: Option<Resolution>,
    ) {
        let Some(resolution) = resolution else {
            self.waiting.push_back((index, logged.sequence));
            return;
        };
        let Some(routed) = resolution.routed() else {
            self.came.insert(logged.sequence, Came::Known(resolution));
            return;
        };
        self.came.insert(logged.sequence, Came::Awaited(resolution));
        let wait_ms = self.window.wait_ms(index);
        let job = Job {
            window: self.window.number(),
            index,
            provider: routed.provider,
            tenant: resolution.tenant,
            hours: resolution.hours,
            cost: routed.cost,
            wait_ms,
            expected_ms: routed.latency_ms - wait_ms,
            is_second_try,
            was_retried: false,
            is_told: false,
        };
        self.jobs.insert(logged.sequence, job);
    }

    /// What a decision's request came to in the end, as far as it was told.
    fn reward(&self, mut sequence: u64) -> Option<f64> {
        loop {
            match self.came.get(&sequence)? {
                Came::Known(resolution) => return Some(self.terms.rewards.of_request(resolution)),
                Came::Awaited(_) => return None,
                Came::Later(later) => sequence = *later,
            }
        }
    }
}

/// What could be done with a request.
struct Choices {
    decided: Vec<Decision>,
    candidates: Vec<Candidate>,
    promised: Promised,
}

/// What choices earn if everything comes as it is expected.
struct Promised {
    routed: Vec<(usize, f64)>,
    refused: f64,
}

impl Promised {
    fn of(observation: &Observation<'_>, rewards: &Rewards) -> Self {
        let request = observation.request;
        let earns = |fate| {
            let resolution =
                Resolution { tenant: request.tenant, hours: request.hours, deferred: false, fate };
            rewards.of_request(&resolution)
        };
        let routed = observation.candidates.iter().map(|candidate| {
            let list_price = observation.env.list_price(request.gpu_type).unwrap_or(candidate.price);
            let routed = Routed {
                provider: candidate.provider,
                price: candidate.price,
                cost: candidate.price * request.hours,
                list_cost: list_price * request.hours,
                latency_ms: candidate.latency_ms,
            };
            (candidate.provider, earns(Fate::Routed(routed)))
        });
        Self { routed: routed.collect(), refused: earns(Fate::Held) }
    }

    fn by(&self, choice: Choice) -> f64 {
        match choice {
            Choice::Hold => self.refused,
            Choice::Defer => self.routed.iter().map(|(_, earns)| *earns).fold(self.refused, f64::max),
            Choice::Route(provider) => self
                .routed
                .iter()
                .find(|(known, _)| *known == provider)
                .map_or(self.refused, |(_, earns)| *earns),
        }
    }
}

/// What a job came to that was expected to come to this.
fn met(expected: Resolution, outcome: &Outcome) -> Resolution {
    let fate = match expected.fate {
        Fate::Routed(routed) if outcome.succeeded => Fate::Routed(Routed {
            cost: outcome.cost_usd.unwrap_or(routed.cost),
            latency_ms: outcome.latency_ms.unwrap_or(routed.latency_ms),
            ..routed
        }),
        _ => Fate::Failed,
    };
    Resolution { fate, ..expected }
}

/// A window that begins, in which jobs of earlier ones may still hold what they were sent for.
fn window(
    env: &Environment,
    terms: &Terms,
    base: &[ProviderState],
    jobs: &BTreeMap<u64, Job>,
    (number, hour_of_week): (u32, u32),
    first_arrival: u64,
) -> Window {
    let mut states = base.to_vec();
    for job in jobs.values().filter(|job| number - job.window < terms.hold_windows) {
        let state = &mut states[job.provider];
        state.remaining = (state.remaining - job.hours).max(0.0);
    }
    let budgets = (0..env.workloads().tenants.len()).map(|tenant| env.budget(tenant)).collect();
    Window::new(
        env,
        Market::of(env, states, budgets),
        (number, hour_of_week),
        first_arrival,
        terms.rewards.all,
    )
}
