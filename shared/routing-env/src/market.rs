//! The providers' and tenants' state within a step, and which providers are feasible for a request.

use crate::{environment::Environment, events::Event, request::Request};

/// A provider as it is in this step.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// All providers and budgets in a step.
#[derive(Clone, Debug)]
pub struct Market {
    providers: Vec<ProviderState>,
    budgets: Vec<f64>,
    congestion: f64,
    surge: f64,
}

impl Market {
    pub(crate) fn new(env: &Environment) -> Self {
        Self {
            providers: (0..env.catalog().providers.len()).map(|p| env.base_state(p)).collect(),
            budgets: (0..env.workloads().tenants.len()).map(|t| env.budget(t)).collect(),
            congestion: env.workloads().congestion,
            surge: env.workloads().surge,
        }
    }

    /// Whole capacities and budgets again, under the events of this step.
    pub(crate) fn begin_step(&mut self, env: &Environment, events: &[Event], step: u32) {
        for (p, state) in self.providers.iter_mut().enumerate() {
            *state = env.base_state(p);
        }
        for event in events.iter().filter(|e| e.is_active(step)) {
            event.apply(&mut self.providers[event.provider]);
        }
        for state in &mut self.providers {
            state.latency_ms = state.latency_ms.max(1.0);
            state.capacity = state.capacity.max(0.0);
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
        let affordable = (self.budgets[request.tenant] / request.hours).clamp(0.1, 10.0);
        for &(provider, base_price) in env.eligible(request.region, request.gpu_type) {
            let state = &self.providers[provider];
            if !state.active || state.remaining < request.hours || state.reputation < request.min_reputation {
                continue;
            }
            let utilisation = (state.capacity - state.remaining + request.hours) / state.capacity;
            let load = utilisation * utilisation;
            let latency_ms = state.latency_ms * (1.0 + self.congestion * load) + wait_ms;
            let price = base_price * state.price_multiplier * (1.0 + self.surge * load);
            if latency_ms <= request.max_latency_ms && price <= affordable {
                into.push(Candidate { provider, price, latency_ms });
            }
        }
    }

    /// Takes the hours without the charge.
    pub(crate) fn occupy(&mut self, request: &Request, provider: usize) {
        self.providers[provider].remaining -= request.hours;
    }

    pub(crate) fn take(&mut self, request: &Request, candidate: Candidate) {
        self.occupy(request, candidate.provider);
        self.budgets[request.tenant] -= candidate.price * request.hours;
    }
}
