//! The market's physics: how use makes a provider slower and dearer, what a budget affords, what waiting costs.
//!
//! The simulator, the fluid program behind bid prices and the physical limit all ask here, so that none of them plans
//! for another market than the one that is played.

use crate::workloads::Workloads;

/// At or below this price per GPU-hour a provider is affordable whatever is left of the budget, in USD.
const ALWAYS_AFFORDABLE_USD_PER_HOUR: f64 = 0.1;

/// Above this price per GPU-hour a provider is never affordable, in USD.
const NEVER_AFFORDABLE_USD_PER_HOUR: f64 = 10.0;

/// How strongly use makes providers slower and dearer. Both grow with the load, which is the square of the utilisation:
/// nearly nothing on an idle provider, all of it on a full one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physics {
    congestion: f64,
    surge: f64,
}

impl Physics {
    pub(crate) fn of(workloads: &Workloads) -> Self {
        Self { congestion: workloads.congestion, surge: workloads.surge }
    }

    /// By what share latency grows up to full utilisation.
    #[must_use]
    pub fn congestion(&self) -> f64 {
        self.congestion
    }

    /// By what share the price grows up to full utilisation.
    #[must_use]
    pub fn surge(&self) -> f64 {
        self.surge
    }

    /// Whether it makes a difference how much a provider is used.
    #[must_use]
    pub fn depends_on_load(&self) -> bool {
        self.congestion > 0.0 || self.surge > 0.0
    }

    /// A provider's latency in ms at a load, from the one that it has when it is idle.
    #[inline]
    #[must_use]
    pub fn latency_ms(&self, idle_ms: f64, load: f64) -> f64 {
        idle_ms * (1.0 + self.congestion * load)
    }

    /// A provider's price per GPU-hour at a load, from the one that it has when it is idle.
    #[inline]
    #[must_use]
    pub fn price(&self, idle_price: f64, load: f64) -> f64 {
        idle_price * (1.0 + self.surge * load)
    }

    /// The price that it has when it is idle, from the one at a utilisation: undoes [`Physics::price`].
    #[must_use]
    pub fn idle_price(&self, price: f64, utilisation: f64) -> f64 {
        price / (1.0 + self.surge * utilisation * utilisation)
    }

    /// By how many ms a provider's latency grows up to full utilisation.
    #[must_use]
    pub fn latency_growth_ms(&self, idle_ms: f64) -> f64 {
        self.congestion * idle_ms
    }

    /// By how much a provider's price grows up to full utilisation.
    #[must_use]
    pub fn price_growth(&self, idle_price: f64) -> f64 {
        self.surge * idle_price
    }

    /// Up to which utilisation a provider is neither too slow for a request nor too dear for any budget; 1 where it
    /// always is.
    #[must_use]
    pub fn max_utilisation(&self, idle_ms: f64, max_latency_ms: f64, idle_price: f64) -> f64 {
        // how far a figure may grow by 1 + strength · u²
        let up_to = |factor: f64, strength: f64| {
            if strength > 0.0 { ((factor - 1.0).max(0.0) / strength).sqrt() } else { 1.0 }
        };
        up_to(max_latency_ms / idle_ms, self.congestion)
            .min(up_to(NEVER_AFFORDABLE_USD_PER_HOUR / idle_price, self.surge))
            .min(1.0)
    }
}

/// The load at a utilisation.
#[inline]
#[must_use]
pub fn load(utilisation: f64) -> f64 {
    utilisation * utilisation
}

/// The mean load between two utilisations.
#[must_use]
pub fn mean_load([from, to]: [f64; 2]) -> f64 {
    (from * from + from * to + to * to) / 3.0
}

/// Where the tangents to the load's integral at two utilisations meet. The tangent at t has the slope [`load`] of t and
/// lies below the integral u³/3, which is convex.
#[must_use]
pub fn tangents_meet_at([t, next]: [f64; 2]) -> f64 {
    2.0 / 3.0 * (next.powi(3) - t.powi(3)) / (next.powi(2) - t.powi(2))
}

/// The highest price per GPU-hour, in USD, that so much of a budget leaves for a job of so many GPU-hours.
#[inline]
#[must_use]
pub fn affordable_price(budget: f64, hours: f64) -> f64 {
    (budget / hours).clamp(ALWAYS_AFFORDABLE_USD_PER_HOUR, NEVER_AFFORDABLE_USD_PER_HOUR)
}

/// Whether it depends on the budget that a price per GPU-hour is affordable.
#[must_use]
pub fn needs_budget(price: f64) -> bool {
    price > ALWAYS_AFFORDABLE_USD_PER_HOUR
}

/// What it costs a request to wait for the end of the step, in ms, when this share of the step's requests is
/// still to come.
#[must_use]
pub fn wait_ms(still_to_come: f64) -> f64 {
    10.0 + 100.0 * still_to_come
}
