//! The fluid program of the rest of a step: requests in expected numbers on what is left of capacities and
//! budgets (Gallego and van Ryzin 1997).

use limit::{Demand, Prices, Use};
use routing_env::{Candidate, Environment, Market, Request};

use crate::{forecast::Beliefs, rules::excess_cost_reward};

/// Classes of each workload by size.
const SIZES: usize = 4;

/// Parts into which the rest of a provider's capacity is cut where congestion makes each dearer than the last.
const SEGMENTS: usize = 4;

/// The program without its demands. Its resources are the tenants' budgets, then the providers' hours.
pub(crate) struct Fluid<'a> {
    env: &'a Environment,
    market: &'a Market,
    beliefs: &'a Beliefs,
    limits: Vec<f64>,
    /// `[provider][segment]`: the square of the utilisation that stands for it.
    loads: Vec<Vec<f64>>,
}

impl<'a> Fluid<'a> {
    /// The program on what is left now.
    pub(crate) fn new(env: &'a Environment, market: &'a Market, beliefs: &'a Beliefs) -> Self {
        let count = segments(env);
        let mut limits = market.budgets().to_vec();
        let mut loads = Vec::with_capacity(market.providers().len());
        for provider in market.providers() {
            let width = provider.remaining / count as f64;
            let used = provider.capacity - provider.remaining;
            limits.extend((0..count).map(|_| width));
            loads.push(
                (0..count)
                    .map(|i| {
                        let [from, to] = [i, i + 1].map(|i| (used + width * i as f64) / provider.capacity);
                        (from * from + from * to + to * to) / 3.0
                    })
                    .collect(),
            );
        }
        Self { env, market, beliefs, limits, loads }
    }

    /// The prices when `seen` of the step's requests have come and these, with their waits in ms, wait.
    /// Where the solver fails they are 0: every request is then taken at its own reward.
    pub(crate) fn prices<'r>(
        &self,
        seen: usize,
        waiting: impl Iterator<Item = (&'r Request, f64)>,
        candidates: &mut Vec<Candidate>,
    ) -> Prices {
        let left = self.beliefs.still_to_come(self.env, seen);
        let mut demands = Vec::new();
        for (tenant, (counts, left)) in self.beliefs.demand.iter().zip(left).enumerate() {
            for ((workload, _), count) in self.env.mix(tenant).iter().zip(counts) {
                let [low, high] = self.env.workload_hours(*workload);
                for size in 0..SIZES {
                    let hours = low + (high - low) * (size as f64 + 0.5) / SIZES as f64;
                    let request = Request::new(self.env, tenant, *workload, hours);
                    demands.push(self.demand(count * left / SIZES as f64, &request, 0.0, candidates));
                }
            }
        }
        demands.extend(waiting.map(|(request, wait_ms)| self.demand(1.0, request, wait_ms, candidates)));
        Prices::solve(&self.limits, &demands)
            .unwrap_or_else(|_| Prices { of: vec![0.0; self.limits.len()], value: 0.0 })
    }

    fn demand(&self, count: f64, request: &Request, wait_ms: f64, candidates: &mut Vec<Candidate>) -> Demand {
        self.market.candidates(self.env, request, wait_ms, candidates);
        Demand { count, options: candidates.iter().flat_map(|c| self.options(request, c, wait_ms)).collect() }
    }

    fn options(&self, request: &Request, candidate: &Candidate, wait_ms: f64) -> Vec<Use> {
        let workloads = self.env.workloads();
        let provider = &self.market.providers()[candidate.provider];
        let utilisation = (provider.capacity - provider.remaining + request.hours) / provider.capacity;
        let base_price = candidate.price / (1.0 + workloads.surge * utilisation * utilisation);
        let loads = &self.loads[candidate.provider];
        let first = self.limits.len() - self.loads.len() * loads.len() + candidate.provider * loads.len();
        let option = |(i, load): (usize, &f64)| {
            let price = base_price * (1.0 + workloads.surge * load);
            let latency_ms = provider.latency_ms * (1.0 + workloads.congestion * load) + wait_ms;
            let candidate = Candidate { provider: candidate.provider, price, latency_ms };
            (latency_ms <= request.max_latency_ms).then(|| Use {
                value: self.beliefs.reward(self.env, request, &candidate),
                takes: vec![
                    (request.tenant, self.beliefs.success[candidate.provider] * price * request.hours),
                    (first + i, request.hours),
                ],
            })
        };
        loads.iter().enumerate().filter_map(option).collect()
    }
}

impl Beliefs {
    /// What routing a request there is expected to earn.
    pub(crate) fn reward(&self, env: &Environment, request: &Request, candidate: &Candidate) -> f64 {
        let latency_ms = candidate.latency_ms * self.latency_factor[candidate.provider];
        self.success[candidate.provider] * excess_cost_reward(env, request, candidate.price, latency_ms)
    }

    /// What it is expected to earn beyond what it takes at these prices of a [`Fluid`]. An hour costs what
    /// the provider's next segment is worth: to take it is to push others further up.
    pub(crate) fn net(
        &self,
        env: &Environment,
        prices: &Prices,
        request: &Request,
        candidate: &Candidate,
    ) -> f64 {
        let hour = prices.of[self.demand.len() + candidate.provider * segments(env)];
        let dollar = prices.of[request.tenant];
        let charge = self.success[candidate.provider] * candidate.price;
        self.reward(env, request, candidate) - request.hours * (hour + dollar * charge)
    }
}

fn segments(env: &Environment) -> usize {
    let workloads = env.workloads();
    if workloads.congestion > 0.0 || workloads.surge > 0.0 { SEGMENTS } else { 1 }
}
