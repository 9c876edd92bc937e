//! A step of a stream that is under way: its requests come one by one and are decided as they come, and what became of
//! them is told later, if ever.
//!
//! An [`Episode`](crate::Episode) knows its step's requests and draws what comes of them. Whoever decides real requests
//! knows neither: a window has the same rules (`environment.rs`), and takes what it is told.

use crate::{
    environment::Environment,
    episode::{Choice, MAX_WAITING, Observation, StepOutcome},
    market::{Candidate, Market},
    metrics::{Fate, Metrics, Resolution, Routed},
    physics::wait_ms,
    request::Request,
    reward::Reward,
};

/// A window under way.
#[derive(Clone, Debug)]
pub struct Window {
    number: u32,
    hour_of_week: u32,
    first_arrival: u64,
    reward: Reward,
    market: Market,
    requests: Vec<Request>,
    resolutions: Vec<Resolution>,
    waits_ms: Vec<f64>,
    turns: Vec<(usize, Option<Resolution>)>,
    /// The turn that resolved a request, where one did.
    resolved_at: Vec<Option<usize>>,
    waiting: Vec<usize>,
    /// The candidates of the request that was asked for last.
    candidates: Vec<Candidate>,
    has_settled: bool,
    metrics: Metrics,
}

impl Window {
    /// A window that begins with this market. `first_arrival` is the position of its first request in the stream.
    #[must_use]
    pub fn new(
        env: &Environment,
        market: Market,
        (number, hour_of_week): (u32, u32),
        first_arrival: u64,
        reward: Reward,
    ) -> Self {
        Self {
            number,
            hour_of_week,
            first_arrival,
            reward,
            market,
            requests: Vec::new(),
            resolutions: Vec::new(),
            waits_ms: Vec::new(),
            turns: Vec::new(),
            resolved_at: Vec::new(),
            waiting: Vec::with_capacity(MAX_WAITING),
            candidates: Vec::new(),
            has_settled: false,
            metrics: Metrics::new(env),
        }
    }

    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Providers and budgets now.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// Providers and budgets, to be put right by who knows better.
    pub fn market_mut(&mut self) -> &mut Market {
        &mut self.market
    }

    /// The requests that have come, in order.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The position in the stream of the request that comes next.
    #[must_use]
    pub fn next_arrival(&self) -> u64 {
        self.first_arrival + self.requests.len() as u64
    }

    /// The requests that wait, in order of arrival until they are ordered otherwise.
    #[must_use]
    pub fn waiting(&self) -> &[usize] {
        &self.waiting
    }

    /// Whether those that waited have been decided: nobody waits any more then.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        self.has_settled
    }

    /// What a request that waited waits for in all, in ms; 0 for others, and until it is known.
    #[must_use]
    pub fn wait_ms(&self, index: usize) -> f64 {
        self.waits_ms[index]
    }

    /// Takes a request in; its position in the window.
    pub fn arrive(&mut self, request: Request) -> usize {
        let fate = Fate::NoViableProvider;
        let resolution = Resolution { tenant: request.tenant, hours: request.hours, deferred: false, fate };
        self.requests.push(request);
        self.resolutions.push(resolution);
        self.waits_ms.push(0.0);
        self.resolved_at.push(None);
        self.requests.len() - 1
    }

    /// What a policy sees of a request that is to be decided; `failed_at` is where its job has failed before. `None`, and
    /// the request is dropped, when no provider is feasible.
    pub fn observe<'a>(
        &'a mut self,
        env: &'a Environment,
        index: usize,
        failed_at: Option<usize>,
    ) -> Option<Observation<'a>> {
        let Self { market, requests, waits_ms, candidates, .. } = self;
        market.candidates(env, &requests[index], waits_ms[index], candidates);
        candidates.retain(|candidate| Some(candidate.provider) != failed_at);
        if self.candidates.is_empty() {
            self.resolve(index, Fate::NoViableProvider);
            return None;
        }
        Some(self.observation(env, index, failed_at))
    }

    /// The same of the request that was asked for last, for who looks again at what is still as it was.
    #[must_use]
    pub fn observation<'a>(
        &'a self,
        env: &'a Environment,
        index: usize,
        failed_at: Option<usize>,
    ) -> Observation<'a> {
        let has_waited = self.resolutions[index].deferred && self.has_settled;
        let seen = if failed_at.is_some() { self.requests.len() } else { index };
        let phase =
            if self.has_settled { 1.0 } else { (seen as f64 / env.expected_requests_of_all()).min(1.0) };
        Observation {
            env,
            market: &self.market,
            request: &self.requests[index],
            candidates: &self.candidates,
            may_hold: env.workloads().actions.hold,
            may_defer: self.may_defer(env, failed_at),
            waited_ms: has_waited.then_some(self.waits_ms[index]),
            failed_at,
            step: self.number,
            hour_of_week: self.hour_of_week,
            index,
            arrival: self.first_arrival + index as u64,
            phase,
        }
    }

    /// Decides the request that [`Window::observe`] was asked for last; what became of it, as far as it is known: a job
    /// that is sent somewhere is taken to succeed there. `None` when it waits.
    pub fn act(
        &mut self,
        env: &Environment,
        index: usize,
        failed_at: Option<usize>,
        choice: Choice,
    ) -> Option<Resolution> {
        let actions = env.workloads().actions;
        match choice {
            Choice::Defer if self.may_defer(env, failed_at) => {
                self.resolutions[index].deferred = true;
                self.waiting.push(index);
                self.turns.push((index, None));
                return None;
            }
            Choice::Hold if actions.hold => self.resolve(index, Fate::Held),
            Choice::Defer | Choice::Hold => self.resolve(index, Fate::InfeasibleChoice),
            Choice::Route(provider) => {
                let fate = match self.candidates.iter().find(|candidate| candidate.provider == provider) {
                    Some(&candidate) => {
                        let request = self.requests[index];
                        self.market.take(&request, candidate);
                        let list_price = env.list_price(request.gpu_type).unwrap_or(candidate.price);
                        Fate::Routed(Routed {
                            provider,
                            price: candidate.price,
                            cost: candidate.price * request.hours,
                            list_cost: list_price * request.hours,
                            latency_ms: candidate.latency_ms,
                        })
                    }
                    None => Fate::InfeasibleChoice,
                };
                self.resolve(index, fate);
            }
        }
        Some(self.resolutions[index])
    }

    /// What became of a request, as far as it is known.
    #[must_use]
    pub fn resolution(&self, index: usize) -> &Resolution {
        &self.resolutions[index]
    }

    /// Lets nobody wait from now on: those that wait are decided next, in the order given to them.
    pub fn settle(&mut self, order: impl FnOnce(&[Request], &mut [usize])) -> Vec<usize> {
        self.has_settled = true;
        let mut waiting = std::mem::take(&mut self.waiting);
        for index in &waiting {
            self.waits_ms[*index] = wait_ms(1.0 - (index + 1) as f64 / self.requests.len() as f64);
        }
        if !waiting.is_empty() {
            order(&self.requests, &mut waiting);
        }
        waiting
    }

    /// Ends it: what it came to, as far as it is known.
    pub fn end(&mut self, env: &Environment) -> StepOutcome<'_> {
        self.metrics = Metrics::new(env);
        for resolution in self.turns.iter().filter_map(|(_, turn)| turn.as_ref()) {
            self.metrics.add(resolution, self.reward.of_request(resolution));
        }
        StepOutcome {
            step: self.number,
            hour_of_week: self.hour_of_week,
            first_arrival: self.first_arrival,
            requests: &self.requests,
            resolutions: &self.resolutions,
            waits_ms: &self.waits_ms,
            turns: &self.turns,
            reward: self.reward,
            metrics: &self.metrics,
        }
    }

    fn may_defer(&self, env: &Environment, failed_at: Option<usize>) -> bool {
        env.workloads().actions.defer
            && !self.has_settled
            && failed_at.is_none()
            && self.waiting.len() < MAX_WAITING
    }

    fn resolve(&mut self, index: usize, fate: Fate) {
        // a request that is tried again had been taken to be done
        if let Some(before) = self.resolved_at[index].replace(self.turns.len()) {
            self.turns[before].1 = None;
        }
        self.resolutions[index].fate = fate;
        self.turns.push((index, Some(self.resolutions[index])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Preset, episode::Episode, episode::Turn};

    /// Plays a step of an episode and the same requests in a window, deciding alike: what a policy sees is the same.
    #[test]
    fn where_every_job_succeeds_a_window_is_a_step_of_an_episode() {
        let env = Environment::built_in(Preset::Contended);
        let mut episode = Episode::new(&env, 3, Reward::EXCESS_COST);
        assert!(episode.begin_step());
        let requests = episode.outcome().requests.to_vec();
        let market = episode.market().clone();
        let mut window = Window::new(&env, market, (0, 0), 0, Reward::EXCESS_COST);
        let choice = |observation: &Observation<'_>| {
            let first = Choice::Route(observation.candidates[0].provider);
            match observation.index % 7 {
                0 if observation.may_defer => Choice::Defer,
                3 if observation.may_hold => Choice::Hold,
                _ => first,
            }
        };
        let shown = |observation: &Observation<'_>| {
            let Observation { candidates, may_hold, may_defer, waited_ms, index, arrival, phase, .. } =
                observation;
            (candidates.to_vec(), *may_hold, *may_defer, *waited_ms, *index, *arrival, *phase)
        };
        let mut seen = Vec::new();
        while let Some(turn) = episode.turn() {
            let Turn::Request(observation) = turn else { continue };
            seen.push(shown(&observation));
            let choice = choice(&observation);
            episode.act(choice);
        }
        let mut met = Vec::new();
        let mut decide = |window: &mut Window, index: usize| {
            let Some(observation) = window.observe(&env, index, None) else { return };
            met.push(shown(&observation));
            let choice = choice(&observation);
            window.act(&env, index, None, choice);
        };
        for request in requests {
            let index = window.arrive(request);
            decide(&mut window, index);
        }
        for index in window.settle(|_, _| {}) {
            decide(&mut window, index);
        }
        assert!(seen.len() > 100 && seen.iter().any(|(_, _, _, waited, ..)| waited.is_some()));
        assert_eq!(met, seen);
        let (outcome, expected) = (window.end(&env), episode.outcome());
        assert_eq!(outcome.resolutions, expected.resolutions);
        assert_eq!(outcome.turns, expected.turns);
        assert_eq!(outcome.metrics, expected.metrics);
    }

    #[test]
    fn a_job_that_failed_is_tried_elsewhere_and_counts_as_one_request() {
        let env = Environment::built_in(Preset::Default);
        let market = Episode::new(&env, 1, Reward::EXCESS_COST).market().clone();
        let mut window = Window::new(&env, market, (4, 4), 10, Reward::EXCESS_COST);
        let a100 = env.gpu_types().iter().position(|gpu| gpu == "A100").unwrap();
        let index = window.arrive(Request::of_tenant(&env, 0, 0, a100, 2.0));
        let first = window.observe(&env, index, None).unwrap().candidates[0].provider;
        assert!(window.act(&env, index, None, Choice::Route(first)).unwrap().routed().is_some());
        let again = window.observe(&env, index, Some(first)).unwrap();
        assert!(!again.may_defer && again.candidates.iter().all(|candidate| candidate.provider != first));
        let second = again.candidates[0].provider;
        window.act(&env, index, Some(first), Choice::Route(second));
        let outcome = window.end(&env);
        assert_eq!((outcome.metrics.overall.requests, outcome.metrics.overall.routed), (1, 1));
        assert_eq!(outcome.resolutions[0].routed().unwrap().provider, second);
        assert_eq!(outcome.turns.iter().map(|(_, turn)| turn.is_some()).collect::<Vec<_>>(), [false, true]);
    }
}
