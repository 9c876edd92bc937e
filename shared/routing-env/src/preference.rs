//! What comes of a request as a vector, and what people want of it as weights: a reward is their product.
//!
//! This is the only place where an outcome becomes a number of points. The environment, the hand rules, the prices, the
//! learners and the physical limit all call [`Preference::reward`], so that a new weight is heeded by all of them.

use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// What comes of a request, before anybody says what it is worth. That of a request that is not served is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Requests served: 1 or 0, or a share where it is expected.
    pub served: f64,
    /// GPU-hours served.
    pub gpu_hours: f64,
    /// What was paid beyond the cheapest list price of the same hours.
    pub excess_cost: ExcessCost,
    /// Latency met, waiting included, in ms.
    pub latency_ms: f64,
}

impl Outcome {
    /// So many times this.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        let ExcessCost { usd_per_unit, units } = self.excess_cost;
        Self {
            served: self.served * factor,
            gpu_hours: self.gpu_hours * factor,
            excess_cost: ExcessCost { usd_per_unit, units: units * factor },
            latency_ms: self.latency_ms * factor,
        }
    }
}

/// An amount of money as so many USD a unit, in two factors: a weight multiplies the first one before the second one
/// does. So an offer by the hour and a bill for the whole job are weighed by one formula, each to the last bit as it
/// always was; the product of the two would be rounded differently.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExcessCost {
    usd_per_unit: f64,
    units: f64,
}

impl ExcessCost {
    /// Of a bill, in USD.
    #[must_use]
    pub fn of_bill(cost: f64, list_cost: f64) -> Self {
        Self { usd_per_unit: cost - list_cost, units: 1.0 }
    }

    /// Of an offer, in USD per GPU-hour, for so many GPU-hours.
    #[must_use]
    pub fn of_offer(price: f64, list_price: f64, hours: f64) -> Self {
        Self { usd_per_unit: price - list_price, units: hours }
    }

    /// The amount in USD.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.usd_per_unit * self.units
    }
}

/// What people want: how many points each component of an [`Outcome`] is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// Points for a request that is served.
    pub request: f64,
    /// Points for each GPU-hour that is served.
    pub gpu_hour: f64,
    /// Points lost with each USD of excess cost.
    pub cost: f64,
    /// Points lost with each ms of latency.
    pub latency: f64,
}

impl Preference {
    /// What the reward `excess-cost` means. Recorded runs and known limits rely on these figures: whoever wants others
    /// adds a preference beside this one.
    pub const EXCESS_COST: Self = Self { request: 50.0, gpu_hour: 0.0, cost: 3.0, latency: 0.02 };

    /// To want nothing: what the weights of a part of a preference are added to.
    pub const NOTHING: Self = Self { request: 0.0, gpu_hour: 0.0, cost: 0.0, latency: 0.0 };

    /// How many times as much a mean request of this environment is worth as by [`Self::EXCESS_COST`]: 1 by that one, and by
    /// all that want it as much. Whatever is tuned in points for that one, times this, is tuned for this one. A preference
    /// that values no request at all has no scale of its own, and keeps that of `EXCESS_COST`.
    #[must_use]
    pub fn scale(&self, env: &Environment) -> f64 {
        let scale = (self.request + self.gpu_hour * env.mean_gpu_hours()) / Self::EXCESS_COST.request;
        if scale > 0.0 { scale } else { 1.0 }
    }

    /// What the outcome is worth, in points: the scalar product of both.
    ///
    /// ```
    /// use routing_env::{ExcessCost, Outcome, Preference};
    ///
    /// let outcome = Outcome {
    ///     served: 1.0,
    ///     gpu_hours: 8.0,
    ///     excess_cost: ExcessCost::of_offer(2.5, 2.0, 8.0),
    ///     latency_ms: 100.0,
    /// };
    /// assert_eq!(Preference::EXCESS_COST.reward(&outcome), 36.0);
    /// assert_eq!(Preference { gpu_hour: 2.0, ..Preference::EXCESS_COST }.reward(&outcome), 52.0);
    /// ```
    #[inline]
    #[must_use]
    pub fn reward(&self, outcome: &Outcome) -> f64 {
        // Latency is counted in the milliseconds of `excess-cost`, which are more or fewer than real ones where the
        // weight is another. That is the same product; the order is that of the rule `bid-price`, whose recorded
        // values it keeps to the last bit.
        let latency_ms = outcome.latency_ms * (self.latency / Self::EXCESS_COST.latency);
        self.request * outcome.served + self.gpu_hour * outcome.gpu_hours
            - self.cost * outcome.excess_cost.usd_per_unit * outcome.excess_cost.units
            - Self::EXCESS_COST.latency * latency_ms
    }
}

/// What is wanted where tenants do not all want the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    /// Of the requests of tenants that have no preference of their own.
    pub all: Preference,
    /// Each tenant's own, in file order; where it ends, the tenants have none.
    pub tenants: Vec<Preference>,
}

impl Preferences {
    /// What is wanted of the requests of a tenant.
    #[inline]
    #[must_use]
    pub fn of(&self, tenant: usize) -> Preference {
        self.tenants.get(tenant).copied().unwrap_or(self.all)
    }
}

impl From<Preference> for Preferences {
    fn from(all: Preference) -> Self {
        Self { all, tenants: Vec::new() }
    }
}
