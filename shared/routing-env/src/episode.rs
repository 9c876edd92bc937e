//! One episode: the simulator asks, a policy answers, providers and budgets change.

use crate::{
    calendar::Calendar,
    environment::Environment,
    events::{Event, Timeline},
    market::{Candidate, Market},
    metrics::{Fate, Metrics, Resolution, Routed},
    physics::wait_ms,
    request::{Demand, Request},
    reward::Reward,
    streams::{Stream, generator},
    trace::Trace,
    truth::Truth,
    workloads::Knowledge,
};

/// How many requests may wait at a time.
pub const MAX_WAITING: usize = 10;

/// What a policy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Send it to this provider (its index). If the provider is not feasible, the request is dropped.
    Route(usize),
    /// Refuse it.
    Hold,
    /// Set it aside to the end of the step.
    Defer,
}

/// What a policy sees when it decides one request.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The environment.
    pub env: &'a Environment,
    /// Providers and budgets before this request.
    pub market: &'a Market,
    /// The request.
    pub request: &'a Request,
    /// The feasible providers in catalog order; never empty.
    pub candidates: &'a [Candidate],
    /// Whether [`Choice::Hold`] is allowed.
    pub may_hold: bool,
    /// Whether [`Choice::Defer`] is allowed: not for a request that has waited, nor when enough wait.
    pub may_defer: bool,
    /// How long it has waited, in ms; `None` when it has just arrived.
    pub waited_ms: Option<f64>,
    /// The provider where the job has just failed; it is no candidate, and there is no third try. The time
    /// that this took adds to the latency, but does not count against the SLA.
    pub failed_at: Option<usize>,
    /// The step, from 0.
    pub step: u32,
    /// The hour of the week in which the step begins, from 0 (Monday 00:00 UTC) to 167. In what is simulated a step is an
    /// hour.
    pub hour_of_week: u32,
    /// The request's position in its step, from 0.
    pub index: usize,
    /// The request's position in the episode, from 0.
    pub arrival: u64,
    /// Share of the step's expected requests that had been seen, at most 1.
    pub phase: f64,
}

/// What the simulator asks for next.
#[derive(Debug)]
pub enum Turn<'a> {
    /// Decide this request: answer with [`Episode::act`].
    Request(Observation<'a>),
    /// All requests have been seen and these wait (positions in the step, in order of arrival). They
    /// come next, in the order given to [`Episode::order_waiting`].
    Waiting {
        /// Providers and budgets now.
        market: &'a Market,
        /// The step's requests.
        requests: &'a [Request],
        /// Which of them wait.
        waiting: &'a [usize],
    },
}

/// What a step came to.
#[derive(Debug)]
pub struct StepOutcome<'a> {
    /// The step, from 0.
    pub step: u32,
    /// The hour of the week in which the step begins.
    pub hour_of_week: u32,
    /// The first request's position in the episode.
    pub first_arrival: u64,
    /// The requests in order of arrival.
    pub requests: &'a [Request],
    /// What became of each.
    pub resolutions: &'a [Resolution],
    /// What each waiting cost, in ms; 0 for those that did not wait.
    pub waits_ms: &'a [f64],
    /// For every turn in order: the request's position, and its resolution unless it comes again.
    pub turns: &'a [(usize, Option<Resolution>)],
    /// What a request earns.
    pub reward: Reward,
    /// The step's figures.
    pub metrics: &'a Metrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Arrivals,
    AnnounceWaiting,
    Waiting,
}

enum Source<'e> {
    Demand(Box<Demand>),
    Trace(&'e Trace),
    /// One step that is given whole.
    Given(Market, Vec<Request>),
}

/// A job that failed and may be tried once more.
#[derive(Clone, Copy, Debug)]
struct Failure {
    index: usize,
    provider: usize,
    latency_ms: f64,
}

/// An episode under way. See [`Environment`] for its rules.
pub struct Episode<'e> {
    env: &'e Environment,
    source: Source<'e>,
    reward: Reward,
    events: Timeline,
    truth: Option<Truth>,
    market: Market,
    next_step: u32,
    steps: u32,
    first_arrival: u64,
    /// Requests of the steps so far, at all sites.
    drawn: u64,
    expected_requests: f64,
    phase: Phase,
    cursor: usize,
    requests: Vec<Request>,
    waiting: Vec<usize>,
    candidates: Vec<Candidate>,
    current: Option<usize>,
    failed: Option<Failure>,
    resolutions: Vec<Resolution>,
    waits_ms: Vec<f64>,
    turns: Vec<(usize, Option<Resolution>)>,
    metrics: Metrics,
}

impl<'e> Episode<'e> {
    /// An episode with generated requests.
    #[must_use]
    pub fn new(env: &'e Environment, seed: u64, reward: Reward) -> Self {
        Self::with_source(env, seed, reward, Source::Demand(Box::new(Demand::new(env, seed))), env.steps())
    }

    /// An episode that replays a trace, as long as the trace is.
    #[must_use]
    pub fn replaying(env: &'e Environment, trace: &'e Trace, seed: u64, reward: Reward) -> Self {
        Self::with_source(env, seed, reward, Source::Trace(trace), trace.steps())
    }

    /// One step that is given whole: these requests in this market. `first_arrival` is the position of the
    /// first of them in the stream that they belong to. No event changes anything.
    #[must_use]
    pub fn of_step(
        env: &'e Environment,
        market: Market,
        requests: Vec<Request>,
        first_arrival: u64,
        reward: Reward,
    ) -> Self {
        let expected_requests = requests.len() as f64;
        let episode = Self::with_source(env, 0, reward, Source::Given(market, requests), 1);
        Self { first_arrival, expected_requests, ..episode }
    }

    /// Another future of this episode from the next step on, drawn from a seed of its own: the market is as it is, events that
    /// are active go on, and of what was to come nothing is known. Between two steps. `None` where the requests are given:
    /// there is no other future.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Option<Self> {
        let Source::Demand(demand) = &self.source else { return None };
        let mut fork = Self::with_source(
            self.env,
            seed,
            self.reward,
            Source::Demand(Box::new(demand.fork(seed))),
            self.steps,
        );
        fork.events = self.events.standing();
        fork.truth = self.truth.as_ref().map(|truth| truth.fork(seed));
        fork.next_step = self.next_step;
        fork.first_arrival = self.first_arrival + self.requests.len() as u64;
        fork.drawn = self.drawn;
        Some(fork)
    }

    fn with_source(env: &'e Environment, seed: u64, reward: Reward, source: Source<'e>, steps: u32) -> Self {
        let random = env.workloads().random_events;
        let mut events = if random == 0 {
            env.timed_events().to_vec()
        } else {
            let mut rng = generator(seed, Stream::Events);
            (0..random).map(|_| Event::draw(&mut rng, env.catalog().providers.len(), steps.max(1))).collect()
        };
        // of a step that was given there is no truth but what comes of it
        let given = matches!(source, Source::Given(..));
        let hidden = env.workloads().knowledge == Knowledge::Hidden && !given;
        let truth = hidden.then(|| Truth::new(env, seed, steps, &mut events));
        events.retain(|event| !hidden || event.is_announced());
        Self {
            env,
            source,
            reward,
            events: Timeline::new(events),
            truth,
            market: Market::new(env),
            next_step: 0,
            steps,
            first_arrival: 0,
            drawn: 0,
            expected_requests: env.expected_requests_of_all(),
            phase: Phase::Arrivals,
            cursor: 0,
            requests: Vec::new(),
            waiting: Vec::with_capacity(MAX_WAITING),
            candidates: Vec::new(),
            current: None,
            failed: None,
            resolutions: Vec::new(),
            waits_ms: Vec::new(),
            turns: Vec::new(),
            metrics: Metrics::new(env),
        }
    }

    /// Goes on to the next step; false when the episode is over.
    pub fn begin_step(&mut self) -> bool {
        if self.next_step == self.steps {
            return false;
        }
        self.first_arrival += self.requests.len() as u64;
        self.market.begin_step(self.env, self.events.begin_step(self.next_step));
        if let Some(truth) = &mut self.truth {
            truth.begin_step(self.env, self.next_step, self.market.providers());
        }
        match &mut self.source {
            Source::Demand(demand) => demand.draw_step(self.env, self.truth.as_ref(), &mut self.requests),
            Source::Trace(trace) => {
                self.requests.clear();
                self.requests.extend_from_slice(trace.requests(self.next_step));
            }
            Source::Given(market, requests) => {
                self.market.clone_from(market);
                self.requests.clone_from(requests);
            }
        }
        if !matches!(self.source, Source::Given(..)) {
            self.deal();
        }
        self.resolutions.clear();
        self.resolutions.extend(self.requests.iter().map(|r| Resolution {
            tenant: r.tenant,
            hours: r.hours,
            deferred: false,
            fate: Fate::NoViableProvider,
        }));
        self.waits_ms.clear();
        self.waits_ms.resize(self.requests.len(), 0.0);
        self.turns.clear();
        self.waiting.clear();
        self.failed = None;
        self.metrics = Metrics::new(self.env);
        self.phase = Phase::Arrivals;
        self.cursor = 0;
        self.next_step += 1;
        true
    }

    /// Leaves those of the step's requests that come to this site.
    fn deal(&mut self) {
        let mut arrivals = self.drawn..;
        self.drawn += self.requests.len() as u64;
        self.requests.retain(|_| arrivals.next().is_some_and(|arrival| self.env.is_dealt(arrival)));
    }

    /// What to decide next in this step; `None` when everything is decided. Requests without a feasible
    /// provider are dropped on the way: capacity and budget only shrink within a step, so waiting
    /// could not help them.
    pub fn turn(&mut self) -> Option<Turn<'_>> {
        let index = loop {
            if let Some(failure) = &self.failed {
                break failure.index; // its candidates have been found when it failed
            }
            if self.phase == Phase::AnnounceWaiting {
                self.phase = Phase::Waiting;
                let Self { market, requests, waiting, .. } = self;
                return Some(Turn::Waiting { market, requests, waiting });
            }
            let index = match self.phase {
                Phase::Arrivals if self.cursor < self.requests.len() => self.cursor,
                Phase::Arrivals if !self.waiting.is_empty() => {
                    self.phase = Phase::AnnounceWaiting;
                    self.cursor = 0;
                    continue;
                }
                Phase::Waiting if self.cursor < self.waiting.len() => self.waiting[self.cursor],
                _ => return None,
            };
            let Self { env, market, requests, waits_ms, candidates, .. } = self;
            market.candidates(env, &requests[index], waits_ms[index], candidates);
            if !self.candidates.is_empty() {
                break index;
            }
            self.cursor += 1;
            self.resolve(index, Fate::NoViableProvider);
        };
        self.current = Some(index);
        let has_waited = self.phase == Phase::Waiting;
        Some(Turn::Request(Observation {
            env: self.env,
            market: &self.market,
            request: &self.requests[index],
            candidates: &self.candidates,
            may_hold: self.env.workloads().actions.hold,
            may_defer: self.may_defer(),
            failed_at: self.failed.map(|failure| failure.provider),
            waited_ms: has_waited.then_some(self.waits_ms[index]),
            step: self.next_step - 1,
            hour_of_week: self.hour_of_week(),
            index,
            arrival: self.first_arrival + index as u64,
            phase: if has_waited { 1.0 } else { (self.cursor as f64 / self.expected_requests).min(1.0) },
        }))
    }

    /// Sets the order in which the waiting requests come: a permutation of the announced positions.
    ///
    /// # Panics
    /// When it is not a permutation of them: that is a mistake of the policy's code.
    pub fn order_waiting(&mut self, order: &[usize]) {
        let sorted = |positions: &[usize]| {
            let mut positions = positions.to_vec();
            positions.sort_unstable();
            positions
        };
        assert_eq!(
            sorted(order),
            sorted(&self.waiting),
            "the order must be a permutation of the waiting requests"
        );
        self.waiting.copy_from_slice(order);
    }

    /// Decides the request that [`Episode::turn`] asked for. Without one it does nothing.
    pub fn act(&mut self, choice: Choice) {
        let Some(index) = self.current.take() else { return };
        let may_defer = self.may_defer();
        let actions = self.env.workloads().actions;
        let request = self.requests[index];
        let before = self.failed.take();
        if before.is_none() {
            self.cursor += 1;
        }
        match choice {
            Choice::Defer if may_defer => {
                let still_to_come = 1.0 - (index + 1) as f64 / self.requests.len() as f64;
                self.waits_ms[index] = wait_ms(still_to_come);
                self.resolutions[index].deferred = true;
                self.waiting.push(index);
                self.turns.push((index, None));
            }
            Choice::Hold if actions.hold => self.resolve(index, Fate::Held),
            Choice::Defer | Choice::Hold => self.resolve(index, Fate::InfeasibleChoice),
            Choice::Route(provider) => {
                let Some(&candidate) = self.candidates.iter().find(|c| c.provider == provider) else {
                    return self.resolve(index, Fate::InfeasibleChoice);
                };
                let already_ms = before.map_or(0.0, |failure| failure.latency_ms);
                let arrival = self.env.arrival_in_all(self.first_arrival + index as u64);
                let attempt = self.truth.as_ref().map(|truth| truth.attempt(arrival, provider));
                let factor = attempt.map_or(1.0, |attempt| attempt.latency_factor);
                let waited_ms = self.waits_ms[index];
                let latency_ms = already_ms + (candidate.latency_ms - waited_ms) * factor;
                if attempt.is_some_and(|attempt| !attempt.succeeds) {
                    self.market.occupy(&request, provider);
                    return self.fail(Failure { index, provider, latency_ms }, before.is_none());
                }
                self.market.take(&request, candidate);
                let latency_ms =
                    if attempt.is_some() { latency_ms + waited_ms } else { candidate.latency_ms };
                let list_price = self.env.list_price(request.gpu_type).unwrap_or(candidate.price);
                self.resolve(
                    index,
                    Fate::Routed(Routed {
                        provider,
                        price: candidate.price,
                        cost: candidate.price * request.hours,
                        list_cost: list_price * request.hours,
                        latency_ms,
                    }),
                );
            }
        }
    }

    /// What the step came to, once [`Episode::turn`] has answered `None`.
    #[must_use]
    pub fn outcome(&self) -> StepOutcome<'_> {
        StepOutcome {
            step: self.next_step - 1,
            hour_of_week: self.hour_of_week(),
            first_arrival: self.first_arrival,
            requests: &self.requests,
            resolutions: &self.resolutions,
            waits_ms: &self.waits_ms,
            turns: &self.turns,
            reward: self.reward,
            metrics: &self.metrics,
        }
    }

    /// What is so in this step where it differs from what policies are told; `None` where they are told all. No
    /// observation has it: whoever plays the episode decides who is told.
    #[must_use]
    pub fn truth(&self) -> Option<&Truth> {
        self.truth.as_ref()
    }

    /// What it is an episode of.
    #[must_use]
    pub fn env(&self) -> &'e Environment {
        self.env
    }

    /// What a request earns in it.
    #[must_use]
    pub fn reward(&self) -> Reward {
        self.reward
    }

    /// Providers and budgets now.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    fn hour_of_week(&self) -> u32 {
        let calendar = match &self.source {
            Source::Trace(trace) => trace.calendar(),
            Source::Demand(_) | Source::Given(..) => Calendar::SIMULATED,
        };
        calendar.hour_of_week(self.next_step - 1)
    }

    fn may_defer(&self) -> bool {
        self.env.workloads().actions.defer
            && self.phase != Phase::Waiting
            && self.failed.is_none()
            && self.waiting.len() < MAX_WAITING
    }

    /// The request comes again if it may and another provider is feasible.
    fn fail(&mut self, failure: Failure, may_try_again: bool) {
        let Failure { index, provider, .. } = failure;
        let Self { env, market, requests, waits_ms, candidates, .. } = self;
        market.candidates(env, &requests[index], waits_ms[index], candidates);
        candidates.retain(|candidate| candidate.provider != provider);
        if may_try_again && !candidates.is_empty() {
            self.failed = Some(failure);
            self.turns.push((index, None));
        } else {
            self.resolve(index, Fate::Failed);
        }
    }

    fn resolve(&mut self, index: usize, fate: Fate) {
        let resolution = &mut self.resolutions[index];
        resolution.fate = fate;
        let resolution = *resolution;
        self.metrics.add(&resolution, self.reward.of_request(&resolution));
        self.turns.push((index, Some(resolution)));
    }
}
