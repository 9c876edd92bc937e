//! Bid-price control (Talluri and van Ryzin 1998): every GPU-hour of a provider and every dollar of a budget
//! has a price, and a request is routed where it earns most beyond what it takes at these prices.
//!
//! The prices are the dual solution of the [`Fluid`] program of the rest of the step. It is solved when a step
//! begins and again after each further quarter of its expected requests. Requests that are hardly worth their
//! prices wait for the end of the step, where the best allocation of all that wait is known.

use limit::{Demand, Use, allocate};
use nalgebra::DVector;
use routing_env::{
    Candidate, Choice, Environment, Market, Observation, Outcome, Preference, Request, physics,
};

use crate::{
    board::{Board, Waiting, longest_first},
    policy::{Decision, Policy},
    prices::fluid::{Fluid, resources},
    prices::forecast::Beliefs,
};

/// The hand rules count latency for a tenth more than the reward does: that costs little of it, and what waits at the
/// end of a step takes longer.
const RULES_PREFERENCE: Preference =
    Preference { latency: Preference::EXCESS_COST.latency * 1.1, ..Preference::EXCESS_COST };

/// How its prices are made and used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Over how many numbers of requests, all as likely, the prices are averaged: their number is not known before
    /// the step has ended, and what a resource is worth is no linear function of it (Talluri and van Ryzin 1999).
    pub(crate) scenarios: usize,
    /// Solutions per step.
    pub(crate) solutions: f64,
    /// Below this net value per GPU-hour a request waits for the end of the step.
    pub(crate) defer_below_per_hour: f64,
    /// By what the spread of the number of requests is multiplied.
    pub(crate) spread_factor: f64,
    /// What is wanted: the prices are in its points.
    pub(crate) preference: Preference,
    /// What is wanted beside that where those that wait compete for what is left. It counts what is asked for, served or
    /// not.
    pub(crate) leftover: Preference,
}

impl Settings {
    /// Those of the hand rules.
    pub(crate) const OF_RULES: Self = Self {
        scenarios: 1,
        solutions: 4.0,
        defer_below_per_hour: 3.0,
        spread_factor: 1.0,
        preference: RULES_PREFERENCE,
        leftover: Preference { gpu_hour: 3.0, ..Preference::NOTHING },
    };
}

/// Prices, and the part of the step that they are for.
#[derive(Clone)]
pub(crate) struct Plan {
    /// `None` before the episode's first solution.
    part: Option<u32>,
    /// Those of each scenario, from which the next ones are sought.
    scenarios: Vec<DVector<f64>>,
    prices: DVector<f64>,
}

impl Plan {
    fn new(env: &Environment, scenarios: usize) -> Self {
        let none = DVector::zeros(resources(env));
        Self { part: None, scenarios: vec![none.clone(); scenarios], prices: none }
    }

    /// What it knows is of the step before.
    pub(crate) fn outlive_step(&mut self) {
        self.part = None;
    }
}

/// Decides at the prices of the step's plan.
#[derive(Clone)]
pub(crate) struct BidPrices {
    settings: Settings,
    candidates: Vec<Candidate>,
}

impl BidPrices {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, candidates: Vec::new() }
    }

    /// Decides one request as these beliefs have it.
    pub(crate) fn decide(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        board: &mut Board,
    ) -> Decision {
        if observation.waited_ms.is_some()
            && let Some(choice) = self.allocated(observation, beliefs, board)
        {
            return Decision::certain(choice);
        }
        let (candidate, net) = self.best(observation, beliefs, board);
        let request = *observation.request;
        let choice = if observation.may_defer && net < self.settings.defer_below_per_hour * request.hours {
            let wait_ms = physics::wait_ms(1.0 - observation.phase);
            board.waiting.push(Waiting { index: observation.index, request, wait_ms });
            Choice::Defer
        } else if observation.may_hold && net < 0.0 {
            Choice::Hold
        } else {
            Choice::Route(candidate.provider)
        };
        Decision { value: Some(net), ..Decision::certain(choice) }
    }

    /// Orders what waits, and notes how long each has waited by then.
    pub(crate) fn order_waiting(requests: &[Request], waiting: &mut [usize], board: &mut Board) {
        for own in &mut board.waiting {
            own.wait_ms = physics::wait_ms(1.0 - (own.index + 1) as f64 / requests.len() as f64);
        }
        longest_first(requests, waiting);
    }

    /// The prices for this part of the step.
    fn prices<'b>(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        board: &'b mut Board,
    ) -> &'b DVector<f64> {
        let Observation { env, market, index, .. } = *observation;
        let has_waited = observation.waited_ms.is_some();
        let part =
            if has_waited { u32::MAX } else { (beliefs.phase(index) * self.settings.solutions) as u32 };
        let plan = board.plan.get_or_insert_with(|| Plan::new(env, self.settings.scenarios));
        if plan.part != Some(part) {
            let mut fluid = Fluid::new(
                env,
                market,
                beliefs,
                self.settings.preference,
                &board.waiting,
                &mut self.candidates,
            );
            let count = plan.scenarios.len();
            plan.prices.fill(0.0);
            for (i, prices) in plan.scenarios.iter_mut().enumerate() {
                let left = if has_waited {
                    vec![0.0; beliefs.demand.len()]
                } else {
                    let probability = (i as f64 + 0.5) / count as f64;
                    beliefs.still_to_come_at(env, index, probability, self.settings.spread_factor)
                };
                fluid.price(&left, prices);
                plan.prices.axpy(1.0 / count as f64, prices, 1.0);
            }
            plan.part = Some(part);
        }
        &plan.prices
    }

    /// The best provider and its net value.
    fn best(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        board: &mut Board,
    ) -> (Candidate, f64) {
        let Observation { env, request, candidates, .. } = *observation;
        let preference = self.settings.preference;
        let prices = self.prices(observation, beliefs, board);
        let mut best = (candidates[0], f64::NEG_INFINITY);
        for candidate in candidates {
            let net = beliefs.net(env, preference, prices, request, candidate);
            if net > best.1 {
                best = (*candidate, net);
            }
        }
        best
    }

    /// The request's part in the best allocation of all that still wait: what it gets most of.
    fn allocated(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        board: &mut Board,
    ) -> Option<Choice> {
        let Observation { env, market, .. } = *observation;
        let Settings { preference, leftover, .. } = self.settings;
        let own = board.waiting.iter().position(|w| w.index == observation.index)?;
        let mut limits = market.budgets().to_vec();
        limits.extend(market.providers().iter().map(|p| p.remaining));
        let mut demands = Vec::with_capacity(board.waiting.len());
        for Waiting { index, request, wait_ms } in &board.waiting {
            if *index == observation.index {
                // what it may choose from now: its wait is known, and where its job has failed it may not go again
                self.candidates.clear();
                self.candidates.extend_from_slice(observation.candidates);
            } else {
                market.candidates(env, request, *wait_ms, &mut self.candidates);
            }
            let options = self.candidates.iter().map(|candidate| {
                let charge = beliefs.success[candidate.provider] * candidate.price * request.hours;
                let hours = (beliefs.demand.len() + candidate.provider, request.hours);
                let bonus = leftover.reward(&Outcome { gpu_hours: request.hours, ..Outcome::default() });
                let value = beliefs.reward(env, preference, request, candidate) + bonus;
                Use { value, takes: vec![(request.tenant, charge), hours] }
            });
            demands.push(Demand { count: 1.0, options: options.collect() });
        }
        board.waiting.remove(own);
        let shares = allocate(&limits, &demands).ok()?.swap_remove(own);
        let hold = (Choice::Hold, 1.0 - shares.iter().sum::<f64>());
        let routes = observation.candidates.iter().zip(shares);
        let routes = routes.map(|(candidate, share)| (Choice::Route(candidate.provider), share));
        Some(routes.fold(hold, |best, next| if next.1 > best.1 { next } else { best }).0)
    }
}

/// Bid prices from the catalog's word, or from the truth where they are told it.
#[derive(Clone)]
pub(crate) struct BidPrice {
    name: &'static str,
    /// Whether it looks at what others are not told.
    is_informed: bool,
    step: Option<u32>,
    beliefs: Option<Beliefs>,
    prices: BidPrices,
}

impl BidPrice {
    /// The hand rule.
    pub(crate) fn new(name: &'static str, is_informed: bool) -> Self {
        Self { name, is_informed, step: None, beliefs: None, prices: BidPrices::new(Settings::OF_RULES) }
    }
}

impl Policy for BidPrice {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin_episode(&mut self, _seed: u64, _agent: u32) {
        self.step = None;
        self.beliefs = None;
    }

    fn decide(&mut self, observation: &Observation<'_>, board: &mut Board) -> Decision {
        let Observation { env, truth, step, .. } = *observation;
        if self.is_informed && self.step.replace(step) != Some(step) {
            self.beliefs = truth.map(|truth| Beliefs::of_truth(env, truth));
        }
        let beliefs = self.beliefs.get_or_insert_with(|| Beliefs::of_catalog(env));
        self.prices.decide(observation, beliefs, board)
    }

    fn order_waiting(
        &mut self,
        _market: &Market,
        requests: &[Request],
        waiting: &mut [usize],
        board: &mut Board,
    ) {
        BidPrices::order_waiting(requests, waiting, board);
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
