//! Bid-price control (Talluri and van Ryzin 1998): every GPU-hour of a provider and every dollar of a budget
//! has a price, and a request is routed where it earns most beyond what it takes at these prices.
//!
//! The prices are the dual solution of the [`Fluid`] program of the rest of the step. It is solved when a step
//! begins and again after each further quarter of its expected requests. Requests that are hardly worth their
//! prices wait for the end of the step, where the best allocation of all that wait is known.

use limit::{Demand, Prices, Use, allocate};
use routing_env::{Candidate, Choice, Market, Observation, Request, StepOutcome};

use crate::{
    experience::Experience,
    fluid::Fluid,
    forecast::Beliefs,
    policy::{Decision, Policy},
};

/// Solutions per step.
const SOLUTIONS: f64 = 4.0;

/// Below this net value per GPU-hour a request waits for the end of the step.
const DEFER_BELOW_PER_HOUR: f64 = 3.0;

/// Where its beliefs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The catalog's word.
    Catalog,
    /// What has arrived and what came of its decisions, the catalog's word at first.
    Experience,
    /// The truth, where the catalog's word is not all.
    Truth,
}

/// The policy.
#[derive(Clone)]
pub(crate) struct BidPrice {
    name: &'static str,
    source: Source,
    /// Where that is the source.
    experience: Option<Experience>,
    beliefs: Option<Beliefs>,
    plan: Option<Plan>,
    waiting: Vec<Waiting>,
    candidates: Vec<Candidate>,
}

/// Prices, and the part of the step that they are for.
#[derive(Clone)]
struct Plan {
    step: u32,
    part: u32,
    prices: Prices,
}

/// A request that it has set aside.
#[derive(Clone)]
struct Waiting {
    index: usize,
    request: Request,
    /// An estimate until the step's requests are all known.
    wait_ms: f64,
}

impl BidPrice {
    /// The policy with beliefs from there.
    pub(crate) fn new(name: &'static str, source: Source) -> Self {
        let (waiting, candidates) = (Vec::new(), Vec::new());
        Self { name, source, experience: None, beliefs: None, plan: None, waiting, candidates }
    }

    /// The prices for this part of the step.
    fn plan(&mut self, observation: &Observation<'_>) -> (&Beliefs, &Prices) {
        let Observation { env, market, step, .. } = *observation;
        if self.plan.as_ref().is_none_or(|plan| plan.step != step) {
            self.waiting.clear();
            self.beliefs = match self.source {
                Source::Catalog => None,
                Source::Experience => {
                    Some(self.experience.get_or_insert_with(|| Experience::new(env)).beliefs())
                }
                Source::Truth => observation.truth.map(|truth| Beliefs::of_truth(env, truth)),
            };
        }
        let beliefs = self.beliefs.get_or_insert_with(|| Beliefs::of_catalog(env));
        let seen = if observation.waited_ms.is_some() { usize::MAX } else { observation.index };
        let part = (beliefs.phase(seen) * SOLUTIONS) as u32;
        let plan = match self.plan.take() {
            Some(plan) if (plan.step, plan.part) == (step, part) => plan,
            _ => {
                let waiting = self.waiting.iter().map(|w| (&w.request, w.wait_ms));
                let fluid = Fluid::new(env, market, beliefs);
                Plan { step, part, prices: fluid.prices(seen, waiting, &mut self.candidates) }
            }
        };
        (beliefs, &self.plan.insert(plan).prices)
    }

    /// The best provider and its net value.
    fn best(&mut self, observation: &Observation<'_>) -> (Candidate, f64) {
        let Observation { env, request, candidates, .. } = *observation;
        let (beliefs, prices) = self.plan(observation);
        let mut best = (candidates[0], f64::NEG_INFINITY);
        for candidate in candidates {
            let net = beliefs.net(env, prices, request, candidate);
            if net > best.1 {
                best = (*candidate, net);
            }
        }
        best
    }

    /// The request's part in the best allocation of all that still wait: what it gets most of.
    fn allocated(&mut self, observation: &Observation<'_>) -> Option<Choice> {
        let Observation { env, market, .. } = *observation;
        let own = self.waiting.iter().position(|w| w.index == observation.index)?;
        let beliefs = self.beliefs.as_ref()?;
        let mut limits = market.budgets().to_vec();
        limits.extend(market.providers().iter().map(|p| p.remaining));
        let mut demands = Vec::with_capacity(self.waiting.len());
        for Waiting { index, request, wait_ms } in &self.waiting {
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
                let value = beliefs.reward(env, request, candidate);
                Use { value, takes: vec![(request.tenant, charge), hours] }
            });
            demands.push(Demand { count: 1.0, options: options.collect() });
        }
        self.waiting.remove(own);
        let shares = allocate(&limits, &demands).ok()?.swap_remove(own);
        let hold = (Choice::Hold, 1.0 - shares.iter().sum::<f64>());
        let routes = observation.candidates.iter().zip(shares);
        let routes = routes.map(|(candidate, share)| (Choice::Route(candidate.provider), share));
        Some(routes.fold(hold, |best, next| if next.1 > best.1 { next } else { best }).0)
    }

    fn decided(&mut self, observation: &Observation<'_>) -> Decision {
        if observation.waited_ms.is_some()
            && let Some(choice) = self.allocated(observation)
        {
            return Decision::certain(choice);
        }
        let (candidate, net) = self.best(observation);
        let request = *observation.request;
        let choice = if observation.may_defer && net < DEFER_BELOW_PER_HOUR * request.hours {
            let wait_ms = routing_env::wait_ms(1.0 - observation.phase);
            self.waiting.push(Waiting { index: observation.index, request, wait_ms });
            Choice::Defer
        } else if observation.may_hold && net < 0.0 {
            Choice::Hold
        } else {
            Choice::Route(candidate.provider)
        };
        Decision { value: Some(net), ..Decision::certain(choice) }
    }
}

impl Policy for BidPrice {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin_episode(&mut self, _seed: u64, _agent: u32) {
        self.experience = None;
        self.beliefs = None;
        self.plan = None;
        self.waiting.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let decision = self.decided(observation);
        if let (Some(experience), Choice::Route(provider)) = (&mut self.experience, decision.choice)
            && let Some(candidate) = observation.candidates.iter().find(|c| c.provider == provider)
        {
            experience.tried(observation.index, provider, candidate.latency_ms);
        }
        decision
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>) {
        if let Some(experience) = &mut self.experience {
            experience.observe(outcome);
        }
    }

    fn order_waiting(&mut self, _market: &Market, requests: &[Request], waiting: &mut [usize]) {
        for own in &mut self.waiting {
            own.wait_ms = routing_env::wait_ms(1.0 - (own.index + 1) as f64 / requests.len() as f64);
        }
        // the longest first: what is left over is small enough to find a place
        waiting.sort_by(|a, b| requests[*b].hours.total_cmp(&requests[*a].hours));
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}
