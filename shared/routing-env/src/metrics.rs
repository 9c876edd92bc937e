//! Metrics: sums over requests, overall, by tenant, by provider and by job size, and the averages that follow.

use crate::{
    constraints::Requested,
    environment::Environment,
    preference::{ExcessCost, Outcome},
    reward::Reward,
};

/// What happened to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolution {
    /// The tenant's index.
    pub tenant: usize,
    /// GPU-hours requested.
    pub hours: f64,
    /// Whether it was deferred first.
    pub deferred: bool,
    /// What happened.
    pub fate: Fate,
}

/// What happened to a request in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// Sent to a provider.
    Routed(Routed),
    /// Refused although a provider was feasible.
    Held,
    /// No provider was feasible.
    NoViableProvider,
    /// The policy chose a provider that was not feasible.
    InfeasibleChoice,
    /// It was routed and the job failed, the second time or with no other provider to try.
    Failed,
}

/// A routed request's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routed {
    /// The provider's index.
    pub provider: usize,
    /// Price per GPU-hour.
    pub price: f64,
    /// Price times hours.
    pub cost: f64,
    /// The cheapest list price times hours.
    pub list_cost: f64,
    /// Latency met, waiting included.
    pub latency_ms: f64,
}

impl Resolution {
    /// The figures, when it was routed.
    #[must_use]
    pub fn routed(&self) -> Option<&Routed> {
        match &self.fate {
            Fate::Routed(routed) => Some(routed),
            _ => None,
        }
    }

    /// What it came to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.routed().map_or(Outcome::default(), |routed| Outcome {
            served: 1.0,
            gpu_hours: self.hours,
            excess_cost: ExcessCost::of_bill(routed.cost, routed.list_cost),
            latency_ms: routed.latency_ms,
        })
    }
}

/// Sums over requests. All averages are `None` where nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// Requests routed.
    pub routed: u64,
    /// Requests held.
    pub held: u64,
    /// Requests deferred, whatever happened to them later.
    pub deferred: u64,
    /// GPU-hours requested.
    pub hours_requested: f64,
    /// GPU-hours routed.
    pub hours_served: f64,
    /// Paid for the routed, in USD.
    pub cost_usd: f64,
    /// What the routed hours cost at the cheapest list price.
    pub list_cost_usd: f64,
    /// Latencies of the routed.
    pub latency_ms: f64,
    /// Requests' own rewards.
    pub reward: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, resolution: &Resolution, reward: f64) {
        self.requests += 1;
        self.hours_requested += resolution.hours;
        self.deferred += u64::from(resolution.deferred);
        self.held += u64::from(resolution.fate == Fate::Held);
        self.reward += reward;
        if let Some(routed) = resolution.routed() {
            self.routed += 1;
            self.hours_served += resolution.hours;
            self.cost_usd += routed.cost;
            self.list_cost_usd += routed.list_cost;
            self.latency_ms += routed.latency_ms;
        }
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.routed += other.routed;
        self.held += other.held;
        self.deferred += other.deferred;
        self.hours_requested += other.hours_requested;
        self.hours_served += other.hours_served;
        self.cost_usd += other.cost_usd;
        self.list_cost_usd += other.list_cost_usd;
        self.latency_ms += other.latency_ms;
        self.reward += other.reward;
    }

    /// What all of them came to, summed.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            served: self.routed as f64,
            gpu_hours: self.hours_served,
            excess_cost: ExcessCost::of_bill(self.cost_usd, self.list_cost_usd),
            latency_ms: self.latency_ms,
        }
    }

    /// What all of them asked for.
    #[must_use]
    pub fn requested(&self) -> Requested {
        Requested { requests: self.requests as f64, gpu_hours: self.hours_requested }
    }

    /// Requests routed / requested.
    #[must_use]
    pub fn fill_rate(&self) -> Option<f64> {
        ratio(self.routed as f64, self.requests as f64)
    }

    /// GPU-hours served / requested.
    #[must_use]
    pub fn gpu_hours_fill(&self) -> Option<f64> {
        ratio(self.hours_served, self.hours_requested)
    }

    /// Mean cost of a routed request.
    #[must_use]
    pub fn avg_cost_usd(&self) -> Option<f64> {
        ratio(self.cost_usd, self.routed as f64)
    }

    /// Paid per GPU-hour served.
    #[must_use]
    pub fn cost_per_gpu_hour_usd(&self) -> Option<f64> {
        ratio(self.cost_usd, self.hours_served)
    }

    /// Paid / cheapest list price for the same hours.
    #[must_use]
    pub fn cost_index(&self) -> Option<f64> {
        ratio(self.cost_usd, self.list_cost_usd)
    }

    /// Mean latency of a routed request, waiting included.
    #[must_use]
    pub fn avg_latency_ms(&self) -> Option<f64> {
        ratio(self.latency_ms, self.routed as f64)
    }

    /// Mean reward per request.
    #[must_use]
    pub fn avg_reward(&self) -> Option<f64> {
        ratio(self.reward, self.requests as f64)
    }

    /// Requests deferred / requested.
    #[must_use]
    pub fn deferred_share(&self) -> Option<f64> {
        ratio(self.deferred as f64, self.requests as f64)
    }

    /// The `seed` reward over these requests.
    #[must_use]
    pub fn seed_reward(&self) -> Option<f64> {
        let cost = self.avg_cost_usd().unwrap_or(0.0);
        let latency = self.avg_latency_ms().unwrap_or(0.0);
        self.fill_rate().map(|fill| Reward::seed_formula(fill, cost, latency))
    }
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator > 0.0).then(|| numerator / denominator)
}

/// Job sizes by GPU-hours: below 3, 3 to below 6, 6 and more.
#[must_use]
pub fn size_class(hours: f64) -> usize {
    usize::from(hours >= 3.0) + usize::from(hours >= 6.0)
}

/// All tallies of a run or of a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// All requests.
    pub overall: Tally,
    /// By tenant, in file order.
    pub tenants: Vec<Tally>,
    /// Routed requests by provider, in catalog order.
    pub providers: Vec<Tally>,
    /// By job size, see [`size_class`].
    pub sizes: [Tally; 3],
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        Self {
            overall: Tally::default(),
            tenants: vec![Tally::default(); env.workloads().tenants.len()],
            providers: vec![Tally::default(); env.catalog().providers.len()],
            sizes: [Tally::default(); 3],
        }
    }

    /// Counts a request.
    pub fn add(&mut self, resolution: &Resolution, reward: f64) {
        self.overall.add(resolution, reward);
        self.tenants[resolution.tenant].add(resolution, reward);
        self.sizes[size_class(resolution.hours)].add(resolution, reward);
        if let Some(routed) = resolution.routed() {
            self.providers[routed.provider].add(resolution, reward);
        }
    }

    /// Adds another's sums; both must be of the same environment.
    pub fn merge(&mut self, other: &Self) {
        self.overall.merge(&other.overall);
        let pairs = self.tenants.iter_mut().zip(&other.tenants);
        for (mine, theirs) in pairs
            .chain(self.providers.iter_mut().zip(&other.providers))
            .chain(self.sizes.iter_mut().zip(&other.sizes))
        {
            mine.merge(theirs);
        }
    }

    /// The worst tenant's GPU-hours fill.
    #[must_use]
    pub fn worst_tenant_gpu_hours_fill(&self) -> Option<f64> {
        self.tenants.iter().filter_map(Tally::gpu_hours_fill).reduce(f64::min)
    }

    /// Share of the routed requests that each provider got; empty when none was routed.
    #[must_use]
    pub fn provider_shares(&self) -> Vec<f64> {
        let routed = self.overall.routed as f64;
        if routed == 0.0 {
            return Vec::new();
        }
        self.providers.iter().map(|p| p.routed as f64 / routed).collect()
    }
}
