//! What a step is before its first request: what requests were promised, and what they are expected to cost.

use routing_env::{
    Candidate, Environment, Fate, Knowledge, Market, Observation, Request, Resolution, Reward, Routed,
};

/// The step before its first request.
#[derive(Clone)]
pub(crate) struct Start {
    reward: Reward,
    pub(crate) is_demand_hidden: bool,
    /// Of all tenants, as the catalog tells.
    pub(crate) told_requests: f64,
    /// Of all tenants.
    all_requests: f64,
    providers: usize,
    /// `[tenant]`: what its requests of a whole step are expected to cost in USD.
    dollars: Vec<f64>,
    /// `[tenant]`: how many they are.
    requests: Vec<f64>,
    /// `[tenant][workload]`: the offer that earns most for a job of mean size, and what its hour costs by the list.
    best: Vec<Vec<Option<(Candidate, f64)>>>,
}

impl Start {
    pub(crate) fn new(env: &Environment, market: &Market, reward: Reward, level: f64) -> Self {
        let tenants = env.workloads().tenants.len();
        let workloads = env.workloads().workload_profiles.0.len();
        let told_requests: f64 = env.expected_requests_of_all();
        let mut start = Self {
            reward,
            is_demand_hidden: env.workloads().knowledge == Knowledge::Hidden,
            told_requests,
            all_requests: level * told_requests,
            providers: market.providers().len(),
            dollars: vec![0.0; tenants],
            requests: (0..tenants).map(|tenant| level * env.expected_requests(tenant)).collect(),
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

    pub(crate) fn tenants(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn providers(&self) -> usize {
        self.providers
    }

    /// How much of the step has gone by, from 0 to 1: where demand is hidden, by the level of what came lately.
    pub(crate) fn phase(&self, observation: &Observation<'_>) -> f64 {
        if self.is_demand_hidden && observation.waited_ms.is_none() {
            (observation.index as f64 / self.all_requests).min(1.0)
        } else {
            observation.phase
        }
    }

    /// The offer that a request got, or one like it would have, at the step's start.
    pub(crate) fn best(&self, request: &Request) -> Option<Candidate> {
        self.best[request.tenant][request.workload].map(|(offer, _)| offer)
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
