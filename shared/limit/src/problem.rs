//! One step as an allocation problem: requests in classes, and what each class could be offered.

use routing_env::{Environment, Episode, Market, Request, RewardKind};
use sha2::{Digest as _, Sha256};

/// At or below this price per GPU-hour a provider is affordable whatever is left of the budget.
const ALWAYS_AFFORDABLE_USD_PER_HOUR: f64 = 0.1;

/// Above this price per GPU-hour a provider is never affordable.
const NEVER_AFFORDABLE_USD_PER_HOUR: f64 = 10.0;

/// One step of an episode: all its requests, and the providers and budgets that they meet.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProblem {
    pub(crate) requests: u64,
    pub(crate) congestion: f64,
    pub(crate) surge: f64,
    pub(crate) budgets: Vec<f64>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) classes: Vec<Class>,
}

/// What a provider is at the start of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Provider {
    pub(crate) capacity: f64,
    pub(crate) latency_ms: f64,
}

/// Requests that differ in their hours only.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Class {
    pub(crate) tenant: usize,
    pub(crate) list_price: f64,
    /// The providers that could serve them; never empty.
    pub(crate) offers: Vec<Offer>,
    /// GPU-hours of each request, in ascending order.
    pub(crate) hours: Vec<f64>,
}

/// A provider that could serve a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) provider: usize,
    /// USD per GPU-hour before surge.
    pub(crate) price: f64,
    /// Whether it counts against the budget.
    pub(crate) budgeted: bool,
    /// Up to this utilisation latency and price are acceptable; 1 where they always are.
    pub(crate) max_utilisation: f64,
}

impl StepProblem {
    /// The problem of a step. The market must be as it is before the step's first request.
    #[must_use]
    pub fn new(env: &Environment, market: &Market, requests: &[Request]) -> Self {
        let workloads = env.workloads();
        let mut problem = Self {
            requests: requests.len() as u64,
            congestion: workloads.congestion,
            surge: workloads.surge,
            budgets: market.budgets().to_vec(),
            providers: market
                .providers()
                .iter()
                .map(|p| Provider { capacity: p.capacity, latency_ms: p.latency_ms })
                .collect(),
            classes: Vec::new(),
        };
        let mut candidates = Vec::new();
        for request in requests {
            // What is not feasible for the first request of the step is not feasible for any.
            market.candidates(env, request, 0.0, &mut candidates);
            let list_price = env.list_price(request.gpu_type).filter(|_| !candidates.is_empty());
            let Some(list_price) = list_price else { continue };
            let gpu_type = &env.gpu_types()[request.gpu_type];
            let offers = candidates.iter().filter_map(|candidate| {
                let base = env.catalog().providers[candidate.provider].base_price(gpu_type)?;
                let price = base * market.providers()[candidate.provider].price_multiplier;
                Some(problem.offer(candidate.provider, price, request.max_latency_ms))
            });
            let offers: Vec<Offer> = offers.collect();
            let class = problem.classes.iter_mut().find(|class| {
                class.tenant == request.tenant && class.list_price == list_price && class.offers == offers
            });
            match class {
                Some(class) => class.hours.push(request.hours),
                None => problem.classes.push(Class {
                    tenant: request.tenant,
                    list_price,
                    offers,
                    hours: vec![request.hours],
                }),
            }
        }
        // The order of arrival shall not matter, not even to the last digit of a sum.
        problem.classes.sort_by_cached_key(|class| class.figures().map(f64::to_bits).collect::<Vec<u64>>());
        problem.classes.iter_mut().for_each(|class| class.hours.sort_by(f64::total_cmp));
        problem
    }

    /// The problems of a whole episode, in order. What a policy does in a step does not reach into the
    /// next, so no policy is needed.
    pub fn of_episode(env: &Environment, seed: u64) -> impl Iterator<Item = Self> {
        let mut episode = Episode::new(env, seed, RewardKind::ExcessCost);
        std::iter::from_fn(move || {
            episode.begin_step().then(|| Self::new(env, episode.market(), episode.outcome().requests))
        })
    }

    /// SHA-256 of all that the limit depends on: equal keys, equal limits, so it can name a cached one.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"ai-mesh physical limit 1\n");
        let mut list = |values: &mut dyn Iterator<Item = f64>| {
            let values: Vec<f64> = values.collect();
            hash.update((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| hash.update(value.to_bits().to_le_bytes()));
        };
        list(&mut [self.requests as f64, self.congestion, self.surge].into_iter());
        list(&mut self.budgets.iter().copied());
        list(&mut self.providers.iter().flat_map(|p| [p.capacity, p.latency_ms]));
        for class in &self.classes {
            list(&mut class.figures());
            list(&mut class.hours.iter().copied());
        }
        hash.finalize().into()
    }

    fn offer(&self, provider: usize, price: f64, max_latency_ms: f64) -> Offer {
        // How far a figure may grow by 1 + strength · u².
        let up_to = |factor: f64, strength: f64| {
            if strength > 0.0 { ((factor - 1.0).max(0.0) / strength).sqrt() } else { 1.0 }
        };
        let latency_ms = self.providers[provider].latency_ms;
        Offer {
            provider,
            price,
            budgeted: price > ALWAYS_AFFORDABLE_USD_PER_HOUR,
            max_utilisation: up_to(max_latency_ms / latency_ms, self.congestion)
                .min(up_to(NEVER_AFFORDABLE_USD_PER_HOUR / price, self.surge))
                .min(1.0),
        }
    }
}

impl Class {
    /// All but the hours.
    fn figures(&self) -> impl Iterator<Item = f64> {
        let offers = self.offers.iter().flat_map(|offer| {
            let budgeted = f64::from(u8::from(offer.budgeted));
            [offer.provider as f64, offer.price, budgeted, offer.max_utilisation]
        });
        [self.tenant as f64, self.list_price].into_iter().chain(offers)
    }
}
