//! The hand rules that know that one big job crowds out many small ones, which earn as much each.

use routing_env::{Candidate, Choice, Environment, MAX_WAITING, Market, Observation, Preferences};

use crate::{
    policy::{Decision, Order},
    prices::forecast::Beliefs,
    rules::{hand_rule::HandRule, scored::greedy},
};

/// Jobs below this never wait in [`DeferLarge`], in GPU-hours.
const LARGE_FROM_HOURS: f64 = 3.0;

/// `defer-large`: the longest jobs wait for the end of the step, and come back the smallest first. A job waits
/// when the places left are more than the longer jobs that are still expected.
#[derive(Clone)]
pub(crate) struct DeferLarge {
    wanted: Preferences,
    beliefs: Option<Beliefs>,
    step: u32,
    waiting: usize,
}

impl DeferLarge {
    /// For those who want this.
    pub(crate) fn new(wanted: Preferences) -> Self {
        Self { wanted, beliefs: None, step: 0, waiting: 0 }
    }
}

impl HandRule for DeferLarge {
    type Shared = ();

    const ORDER: Order = Order::ShortestFirst;

    fn begin_episode(&mut self, _seed: u64, _agent: u32) {
        (self.beliefs, self.step, self.waiting) = (None, 0, 0);
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        self.wanted.clone_from(wanted);
        true
    }

    fn decide(&mut self, observation: &Observation<'_>, (): &mut ()) -> Decision {
        let Observation { env, request, step, index, .. } = *observation;
        if self.step != step {
            (self.step, self.waiting) = (step, 0);
        }
        let beliefs = self.beliefs.get_or_insert_with(|| Beliefs::of_catalog(env));
        if observation.may_defer && request.hours >= LARGE_FROM_HOURS {
            let longer =
                beliefs.jobs_to_come(env, index).map(|jobs| jobs.above(request.hours).0).sum::<f64>();
            if longer < (MAX_WAITING - self.waiting) as f64 {
                self.waiting += 1;
                return Decision::certain(Choice::Defer);
            }
        }
        Decision::certain(greedy(observation, observation.candidates, &self.wanted))
    }
}

/// `reserve`: nested booking limits (Littlewood 1972). A job may take of its tenant's budget and of a provider
/// what the shorter jobs that are still expected leave over; else it is deferred, or held.
#[derive(Clone)]
pub(crate) struct Reserve {
    wanted: Preferences,
    beliefs: Option<Beliefs>,
    allowed: Vec<Candidate>,
}

impl Reserve {
    /// For those who want this.
    pub(crate) fn new(wanted: Preferences) -> Self {
        Self { wanted, beliefs: None, allowed: Vec::new() }
    }
}

impl HandRule for Reserve {
    type Shared = ();

    const ORDER: Order = Order::ShortestFirst;

    fn begin_episode(&mut self, _seed: u64, _agent: u32) {
        self.beliefs = None;
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        self.wanted.clone_from(wanted);
        true
    }

    fn decide(&mut self, observation: &Observation<'_>, (): &mut ()) -> Decision {
        let Observation { env, market, request, index, .. } = *observation;
        let beliefs = self.beliefs.get_or_insert_with(|| Beliefs::of_catalog(env));
        // what has waited comes when nothing else is expected
        let seen = if observation.waited_ms.is_some() { usize::MAX } else { index };
        let (mut hours_below, mut budget_below) = (0.0, 0.0);
        for jobs in beliefs.jobs_to_come(env, seen) {
            let below = jobs.below(request.hours).1;
            if jobs.gpu_type == request.gpu_type {
                hours_below += below;
            }
            if jobs.tenant == request.tenant {
                budget_below += below * cheapest(env, market, jobs.gpu_type);
            }
        }
        let supply = serving(env, market, request.gpu_type).map(|(p, _)| market.providers()[p].remaining);
        let taken = hours_below / supply.sum::<f64>();
        self.allowed.clear();
        self.allowed.extend(observation.candidates.iter().filter(|candidate| {
            let hours = market.providers()[candidate.provider].remaining * (1.0 - taken);
            let budget = market.budgets()[request.tenant] - budget_below;
            request.hours <= hours && candidate.price * request.hours <= budget
        }));
        Decision::certain(match self.allowed.as_slice() {
            [] if observation.may_defer => Choice::Defer,
            [] if observation.may_hold => Choice::Hold,
            [] => greedy(observation, observation.candidates, &self.wanted),
            allowed => greedy(observation, allowed, &self.wanted),
        })
    }
}

/// The active providers that have the GPU type, with their prices now.
fn serving(env: &Environment, market: &Market, gpu_type: usize) -> impl Iterator<Item = (usize, f64)> {
    let name = &env.gpu_types()[gpu_type];
    let providers = env.catalog().providers.iter().zip(market.providers()).enumerate();
    providers.filter(|(_, (_, state))| state.active).filter_map(move |(p, (provider, state))| {
        provider.base_price(name).map(|price| (p, state.idle_price(price)))
    })
}

fn cheapest(env: &Environment, market: &Market, gpu_type: usize) -> f64 {
    serving(env, market, gpu_type).map(|(_, price)| price).reduce(f64::min).unwrap_or(0.0)
}
