//! What the agents of a team tell each other of a step: what it began with, and what it came to.

use routing_env::{
    Candidate, Environment, Fate, Market, Observation, Request, Resolution, Reward, Routed, StepOutcome,
};

use crate::policy::Shared;

/// A step as all agents see it.
#[derive(Default)]
pub(crate) struct Step {
    start: Option<Start>,
    /// What was lost, once the step has ended.
    pub(crate) losses: Option<Losses>,
}

/// The step before its first request.
#[derive(Clone)]
pub(crate) struct Start {
    reward: Reward,
    /// `[tenant]`: what its requests of a whole step are expected to cost in USD.
    dollars: Vec<f64>,
    /// `[tenant]`: how many they are.
    requests: Vec<f64>,
    /// `[tenant][workload]`: the offer that earns most for a job of mean size, and what its hour costs by the list.
    best: Vec<Vec<Option<(Candidate, f64)>>>,
}

/// What requests earned less than the best offer at the step's start promised, which is mostly below 0. That offer is what
/// a request would get if it came alone, so a loss is what the others did to it, and no luck of which requests came.
pub(crate) struct Losses {
    /// `[request]`
    pub(crate) of: Vec<f64>,
    /// `[request]`: the sum over it and all later ones of its tenant.
    pub(crate) from: Vec<f64>,
}

impl Shared for Step {
    fn begin_step(&mut self) {
        *self = Self::default();
    }
}

impl Step {
    /// The step's start, which is found when its first request is seen.
    pub(crate) fn start(&mut self, observation: &Observation<'_>, reward: Reward) -> &Start {
        self.start.get_or_insert_with(|| Start::new(observation.env, observation.market, reward))
    }

    /// Reckons up what was lost.
    pub(crate) fn end(&mut self, outcome: &StepOutcome<'_>) {
        let Some(start) = &self.start else { return };
        let loss = |(request, resolution): (&Request, &Resolution)| {
            outcome.reward.of_request(resolution) - start.promised(request)
        };
        let of: Vec<f64> = outcome.requests.iter().zip(outcome.resolutions).map(loss).collect();
        let mut by_tenant = vec![0.0; start.requests.len()];
        let mut from = of.clone();
        for (from, request) in from.iter_mut().zip(outcome.requests).rev() {
            by_tenant[request.tenant] += *from;
            *from = by_tenant[request.tenant];
        }
        self.losses = Some(Losses { of, from });
    }
}

impl Start {
    pub(crate) fn new(env: &Environment, market: &Market, reward: Reward) -> Self {
        let tenants = env.workloads().tenants.len();
        let workloads = env.workloads().workload_profiles.0.len();
        let mut start = Self {
            reward,
            dollars: vec![0.0; tenants],
            requests: (0..tenants).map(|tenant| env.expected_requests(tenant)).collect(),
            best: vec![vec![None; workloads]; tenants],
        };
        let mut candidates = Vec::new();
        for tenant in 0..tenants {
            for &(workload, share) in env.mix(tenant) {
                let mean = env.workload_hours(workload).iter().sum::<f64>() / 2.0;
                let asked = start.requests[tenant] * share * mean;
                let request = Request::new(env, tenant, workload, mean);
                market.candidates(env, &request, 0.0, &mut candidates);
                start.dollars[tenant] += asked * mean_price(market, &candidates);
                start.best[tenant][workload] = best(env, &request, &candidates, reward);
            }
        }
        start
    }

    /// What the tenant's requests of the whole step are expected to cost, in USD.
    pub(crate) fn dollars(&self, tenant: usize) -> f64 {
        self.dollars[tenant]
    }

    /// What one of them is.
    pub(crate) fn mean_dollars(&self, tenant: usize) -> f64 {
        self.dollars[tenant] / self.requests[tenant].max(1e-9)
    }

    /// What the request was promised; 0 where nobody could have served it.
    pub(crate) fn promised(&self, request: &Request) -> f64 {
        let best = self.best[request.tenant][request.workload].as_ref();
        best.map_or(0.0, |(to, list_price)| earned(request, to, *list_price, 0.0, self.reward))
    }
}

/// What a candidate promises, if nothing goes wrong there.
pub(crate) fn promise(
    env: &Environment,
    request: &Request,
    to: &Candidate,
    wait_ms: f64,
    reward: Reward,
) -> f64 {
    let list_price = env.list_price(request.gpu_type).unwrap_or(to.price);
    earned(request, to, list_price, wait_ms, reward)
}

fn earned(request: &Request, to: &Candidate, list_price: f64, wait_ms: f64, reward: Reward) -> f64 {
    let Candidate { provider, price, latency_ms } = *to;
    reward.of_request(&Resolution {
        tenant: request.tenant,
        hours: request.hours,
        deferred: false,
        fate: Fate::Routed(Routed {
            provider,
            price,
            cost: price * request.hours,
            list_cost: list_price * request.hours,
            latency_ms: latency_ms + wait_ms,
        }),
    })
}

/// The price of an hour where each takes its share by capacity.
fn mean_price(market: &Market, candidates: &[Candidate]) -> f64 {
    let capacity = |candidate: &Candidate| market.providers()[candidate.provider].capacity;
    let all: f64 = candidates.iter().map(capacity).sum();
    if all > 0.0 { candidates.iter().map(|c| c.price * capacity(c) / all).sum() } else { 0.0 }
}

fn best(
    env: &Environment,
    request: &Request,
    candidates: &[Candidate],
    reward: Reward,
) -> Option<(Candidate, f64)> {
    let promises = candidates.iter().map(|to| (to, promise(env, request, to, 0.0, reward)));
    let (best, _) = promises.reduce(|best, other| if other.1 > best.1 { other } else { best })?;
    Some((*best, env.list_price(request.gpu_type).unwrap_or(best.price)))
}
