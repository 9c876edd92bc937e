//! One step as an allocation problem: requests in classes, and what each class could be offered.

use routing_env::{
    Environment, Episode, Market, Physics, Preference, Preferences, Request, Reward, Truth, physics,
};
use sha2::{Digest as _, Sha256};

/// One step of an episode: all its requests, and the providers and budgets that they meet.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProblem {
    pub(crate) requests: u64,
    pub(crate) physics: Physics,
    pub(crate) wanted: Preferences,
    pub(crate) budgets: Vec<f64>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) classes: Vec<Class>,
}

/// What a provider is at the start of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Provider {
    pub(crate) capacity: f64,
    /// As advertised.
    pub(crate) latency_ms: f64,
    /// The probability that a job succeeds, and the mean true latency / the advertised one: 1 where nothing is hidden.
    pub(crate) success: f64,
    pub(crate) latency_factor: f64,
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
        let mut problem = Self {
            requests: requests.len() as u64,
            physics: env.physics(),
            wanted: Preference::EXCESS_COST.into(),
            budgets: market.budgets().to_vec(),
            providers: market
                .providers()
                .iter()
                .map(|p| Provider {
                    capacity: p.capacity,
                    latency_ms: p.latency_ms,
                    success: 1.0,
                    latency_factor: 1.0,
                })
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
                let price = market.providers()[candidate.provider].idle_price(base);
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
        let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
        std::iter::from_fn(move || episode.begin_step().then(|| Self::of_step(env, &episode)))
    }

    /// The problem of the step that an episode has begun, as one sees it who knows what is hidden from policies.
    #[must_use]
    pub fn of_step(env: &Environment, episode: &Episode<'_>) -> Self {
        let problem = Self::new(env, episode.market(), episode.outcome().requests);
        match episode.truth() {
            Some(truth) => problem.with_truth(truth),
            None => problem,
        }
    }

    /// The same step, where jobs fail and take as long as the truth says. What comes of the single job nobody knows
    /// before: all figures of the limit are expectations.
    #[must_use]
    pub fn with_truth(mut self, truth: &Truth) -> Self {
        for (p, provider) in self.providers.iter_mut().enumerate() {
            provider.success = 1.0 - truth.failure_probability(p);
            provider.latency_factor = truth.latency_factor(p);
        }
        self
    }

    /// The same step where people want something else than [`Preference::EXCESS_COST`].
    #[must_use]
    pub fn with_preference(self, wanted: impl Into<Preferences>) -> Self {
        Self { wanted: wanted.into(), ..self }
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
        let Preferences { all, tenants } = &self.wanted;
        if *all != Preference::EXCESS_COST || !tenants.is_empty() {
            // without it the key is the one that limits were kept under when there was no other preference; no list
            // that comes first has four figures a preference, so that the two cannot be taken for each other
            let weights = |wanted: &Preference| {
                let Preference { request, gpu_hour, cost, latency } = *wanted;
                [request, gpu_hour, cost, latency]
            };
            list(&mut std::iter::once(all).chain(tenants).flat_map(weights));
        }
        list(&mut [self.requests as f64, self.physics.congestion(), self.physics.surge()].into_iter());
        if self.is_hidden() {
            // a list of this length comes nowhere else: it has two figures a provider and one more
            let truths = self.providers.iter().flat_map(|p| [p.success, p.latency_factor]);
            list(&mut truths.chain([1.0]));
        }
        list(&mut self.budgets.iter().copied());
        list(&mut self.providers.iter().flat_map(|p| [p.capacity, p.latency_ms]));
        for class in &self.classes {
            list(&mut class.figures());
            list(&mut class.hours.iter().copied());
        }
        hash.finalize().into()
    }

    /// True when something is so that policies are not told.
    fn is_hidden(&self) -> bool {
        self.providers.iter().any(|p| (p.success, p.latency_factor) != (1.0, 1.0))
    }

    fn offer(&self, provider: usize, price: f64, max_latency_ms: f64) -> Offer {
        let latency_ms = self.providers[provider].latency_ms;
        Offer {
            provider,
            price,
            budgeted: physics::needs_budget(price),
            max_utilisation: self.physics.max_utilisation(latency_ms, max_latency_ms, price),
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
