//! The providers' and tenants' state within a step, and which providers are feasible for a request.

use serde::{Deserialize, Serialize};

use crate::{
    environment::Environment,
    events::Event,
    physics::{self, Physics},
    preference::{ExcessCost, Outcome},
    request::Request,
};

/// What many events together may make of a provider at most: factors multiply, and the product stays a figure that can be
/// reckoned with. No two events come near it.
const MOST_CAPACITY: f64 = 1e15;
const PRICE_MULTIPLIERS: [f64; 2] = [1e-9, 1e9];

/// A provider as it is in this step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderState {
    /// False in an outage.
    pub active: bool,
    /// Effective latency without congestion, in ms.
    pub latency_ms: f64,
    /// Product of the price events.
    pub price_multiplier: f64,
    /// Effective capacity of the step, in GPU-hours.
    pub capacity: f64,
    /// What is left of it.
    pub remaining: f64,
    /// Effective reputation, 0 to 100.
    pub reputation: f64,
}

impl ProviderState {
    /// The share of the capacity that is used when this request's hours are taken too.
    #[must_use]
    pub fn utilisation_with(&self, hours: f64) -> f64 {
        (self.capacity - self.remaining + hours) / self.capacity
    }

    /// The price per GPU-hour that a listed price comes to in this step when the provider is idle.
    #[must_use]
    pub fn idle_price(&self, listed: f64) -> f64 {
        listed * self.price_multiplier
    }
}

/// A feasible provider, with what this request would meet there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The provider's index.
    pub provider: usize,
    /// Price per GPU-hour, surge included.
    pub price: f64,
    /// Latency in ms, congestion and the request's waiting included.
    pub latency_ms: f64,
}

impl Candidate {
    /// What comes of the request there, if the job succeeds.
    #[must_use]
    pub fn outcome(&self, env: &Environment, request: &Request) -> Outcome {
        let list_price = env.list_price(request.gpu_type).unwrap_or(self.price);
        Outcome {
            served: 1.0,
            gpu_hours: request.hours,
            excess_cost: ExcessCost::of_offer(self.price, list_price, request.hours),
            latency_ms: self.latency_ms,
        }
    }
}

/// Why a provider cannot take a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Infeasible {
    /// It does not serve the tenant's region.
    Region,
    /// It does not have the GPU type.
    GpuType,
    /// It takes nothing now.
    Outage,
    /// Too little is left of its capacity.
    Capacity {
        /// GPU-hours left.
        remaining: f64,
    },
    /// Its reputation is too low.
    Reputation {
        /// What it is.
        reputation: f64,
    },
    /// It is too slow.
    Latency {
        /// What the request would meet, in ms, its waiting included.
        latency_ms: f64,
    },
    /// It is too dear for what is left of the tenant's budget.
    Budget {
        /// What the request would pay per GPU-hour.
        price: f64,
        /// What the tenant can pay per GPU-hour.
        affordable: f64,
    },
}

/// All providers and budgets in a step.
#[derive(Clone, Debug)]
pub struct Market {
    providers: Vec<ProviderState>,
    budgets: Vec<f64>,
    physics: Physics,
}

impl Market {
    pub(crate) fn new(env: &Environment) -> Self {
        Self {
            providers: (0..env.catalog().providers.len()).map(|p| env.base_state(p)).collect(),
            budgets: (0..env.workloads().tenants.len()).map(|t| env.budget(t)).collect(),
            physics: env.physics(),
        }
    }

    /// A market in this state: a provider's in catalog order, a tenant's remaining budget (USD) in file order.
    ///
    /// # Panics
    /// When there is not one state for each provider and one budget for each tenant: a mistake of the
    /// caller's code.
    #[must_use]
    pub fn of(env: &Environment, providers: Vec<ProviderState>, budgets: Vec<f64>) -> Self {
        assert_eq!(providers.len(), env.catalog().providers.len(), "one state for each provider");
        assert_eq!(budgets.len(), env.workloads().tenants.len(), "one budget for each tenant");
        Self { providers, budgets, ..Self::new(env) }
    }

    /// Whole capacities and budgets again, under the events that are active in this step.
    pub(crate) fn begin_step<'e>(&mut self, env: &Environment, active: impl Iterator<Item = &'e Event>) {
        for (p, state) in self.providers.iter_mut().enumerate() {
            *state = env.base_state(p);
        }
        for event in active {
            event.apply(&mut self.providers[event.provider]);
        }
        for state in &mut self.providers {
            state.latency_ms = state.latency_ms.max(1.0);
            state.capacity = state.capacity.clamp(0.0, MOST_CAPACITY);
            state.price_multiplier = state.price_multiplier.clamp(PRICE_MULTIPLIERS[0], PRICE_MULTIPLIERS[1]);
            state.remaining = state.capacity;
            state.reputation = state.reputation.clamp(0.0, 100.0);
        }
        for (t, budget) in self.budgets.iter_mut().enumerate() {
            *budget = env.budget(t);
        }
    }

    /// The providers' state, in catalog order.
    #[must_use]
    pub fn providers(&self) -> &[ProviderState] {
        &self.providers
    }

    /// What is left of each tenant's budget, in USD, in file order.
    #[must_use]
    pub fn budgets(&self) -> &[f64] {
        &self.budgets
    }

    /// The feasible providers in catalog order: active, serving the region, having the GPU type, within
    /// latency, reputation and budget, with capacity left. Price and latency are those that this
    /// request itself would meet, its own hours counted in the utilisation.
    pub fn candidates(&self, env: &Environment, request: &Request, wait_ms: f64, into: &mut Vec<Candidate>) {
        into.clear();
        let affordable = self.affordable(request);
        for &(provider, base_price) in env.eligible(request.region, request.gpu_type) {
            let state = &self.providers[provider];
            if !state.active || state.remaining < request.hours || state.reputation < request.min_reputation {
                continue;
            }
            let (price, latency_ms) = self.met(state, base_price, request, wait_ms);
            if latency_ms <= request.max_latency_ms && price <= affordable {
                into.push(Candidate { provider, price, latency_ms });
            }
        }
    }

    /// What the request would meet at this provider, or the first reason why it cannot go there, in the order
    /// of [`Infeasible`]. [`Market::candidates`] lists exactly the providers that this finds feasible.
    ///
    /// # Errors
    /// The provider is not feasible.
    pub fn assess(
        &self,
        env: &Environment,
        request: &Request,
        wait_ms: f64,
        provider: usize,
    ) -> Result<Candidate, Infeasible> {
        let listed = &env.catalog().providers[provider];
        if !listed.serves(&env.regions()[request.region]) {
            return Err(Infeasible::Region);
        }
        let base_price = listed.base_price(&env.gpu_types()[request.gpu_type]).ok_or(Infeasible::GpuType)?;
        let state = &self.providers[provider];
        if !state.active {
            return Err(Infeasible::Outage);
        }
        if state.remaining < request.hours {
            return Err(Infeasible::Capacity { remaining: state.remaining });
        }
        if state.reputation < request.min_reputation {
            return Err(Infeasible::Reputation { reputation: state.reputation });
        }
        let (price, latency_ms) = self.met(state, base_price, request, wait_ms);
        if latency_ms > request.max_latency_ms {
            return Err(Infeasible::Latency { latency_ms });
        }
        let affordable = self.affordable(request);
        if price > affordable {
            return Err(Infeasible::Budget { price, affordable });
        }
        Ok(Candidate { provider, price, latency_ms })
    }

    /// Takes the hours without the charge.
    pub(crate) fn occupy(&mut self, request: &Request, provider: usize) {
        self.providers[provider].remaining -= request.hours;
    }

    /// Puts a provider's state right, for who knows it.
    pub fn set_provider(&mut self, provider: usize, state: ProviderState) {
        self.providers[provider] = state;
    }

    /// Puts what is left of a tenant's budget right, in USD, for who knows it.
    pub fn set_budget(&mut self, tenant: usize, usd: f64) {
        self.budgets[tenant] = usd;
    }

    /// Gives a tenant's budget back what was taken for a job, and takes what it cost in the end, both in USD.
    pub fn correct_cost(&mut self, tenant: usize, returned: f64, charged: f64) {
        self.budgets[tenant] = self.budgets[tenant] + returned - charged;
    }

    /// Gives a provider back the GPU-hours that were taken for a job, and takes what it used in the end.
    pub fn correct_hours(&mut self, provider: usize, returned: f64, used: f64) {
        let state = &mut self.providers[provider];
        state.remaining = (state.remaining + returned - used).clamp(0.0, state.capacity);
    }

    /// Takes a request's hours from its provider and its cost from its tenant's budget.
    pub fn take(&mut self, request: &Request, candidate: Candidate) {
        self.occupy(request, candidate.provider);
        self.budgets[request.tenant] -= candidate.price * request.hours;
    }

    /// The highest price per GPU-hour that is left of the tenant's budget for this request.
    fn affordable(&self, request: &Request) -> f64 {
        physics::affordable_price(self.budgets[request.tenant], request.hours)
    }

    /// Price per GPU-hour and latency in ms that the request itself would meet.
    fn met(&self, state: &ProviderState, base_price: f64, request: &Request, wait_ms: f64) -> (f64, f64) {
        let load = physics::load(state.utilisation_with(request.hours));
        let latency_ms = self.physics.latency_ms(state.latency_ms, load) + wait_ms;
        (self.physics.price(state.idle_price(base_price), load), latency_ms)
    }
}
