//! What must hold of an episode whatever else is wanted: a figure that is at most so much, or at least.
//!
//! Every figure that can be constrained is a ratio of sums over requests, so that the constraint says that a sum is not
//! above zero: of latencies minus the bound, or of the bound's share of what was requested minus what was served. Such a sum is
//! linear in outcomes, as a reward is. What a unit of it is worth, its price (Lagrange multiplier), is therefore a change of
//! the weights of a [`Preference`], and whoever plays for any preference plays under a constraint too. A constraint on the
//! worst tenant is one such sum, a [`Term`], for each tenant.

use std::collections::BTreeMap;

use crate::{
    environment::Environment,
    input::{Checker, InputError, token},
    metrics::Metrics,
    preference::{Outcome, Preference, Preferences},
};

/// A constraint is met where it is missed by no more than this share of its bound.
pub const TOLERANCE: f64 = 0.01;

/// Latencies up to this are accepted as a bound, in ms.
const MOST_LATENCY_MS: f64 = 1e6;

/// A figure that can be constrained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstrainedFigure {
    /// Mean latency of a served request, waiting included, in ms: at most.
    AvgLatencyMs,
    /// Requests served / requested: at least.
    FillRate,
    /// GPU-hours served / requested: at least.
    GpuHoursFill,
    /// GPU-hours served / requested of the tenant of whom the least share is served: at least.
    WorstTenantGpuHoursFill,
}

/// What was requested, served or not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requested {
    /// Requests.
    pub requests: f64,
    /// Their GPU-hours.
    pub gpu_hours: f64,
}

/// What constraints are judged by: what came of what was requested, in all and of each tenant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// What came of all requests.
    pub outcome: Outcome,
    /// All that was requested.
    pub requested: Requested,
    /// GPU-hours by tenant, in file order: served and requested.
    pub tenants: Vec<(f64, f64)>,
}

impl Sums {
    /// Those of what was played.
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let tenants = metrics.tenants.iter().map(|tally| (tally.hours_served, tally.hours_requested));
        Self {
            outcome: metrics.overall.outcome(),
            requested: metrics.overall.requested(),
            tenants: tenants.collect(),
        }
    }
}

/// A figure of a whole episode, and what it must not pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constraint {
    /// Of what.
    pub figure: ConstrainedFigure,
    /// The highest or the lowest value, whichever the figure has.
    pub bound: f64,
}

/// A sum that must not be above zero: a constraint is as many of them as there are tenants where it is on the worst of
/// them, and one otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    figure: ConstrainedFigure,
    bound: f64,
    /// Of whose requests alone.
    tenant: Option<usize>,
}

impl ConstrainedFigure {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::AvgLatencyMs, Self::FillRate, Self::GpuHoursFill, Self::WorstTenantGpuHoursFill];

    /// Its name in metrics and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AvgLatencyMs => "avg_latency_ms",
            Self::FillRate => "fill_rate",
            Self::GpuHoursFill => "gpu_hours_fill",
            Self::WorstTenantGpuHoursFill => "worst_tenant_gpu_hours_fill",
        }
    }

    /// Whether its bound is the highest value; else it is the lowest.
    #[must_use]
    pub fn is_at_most(self) -> bool {
        matches!(self, Self::AvgLatencyMs)
    }

    /// The highest bound that makes sense.
    fn highest_bound(self) -> f64 {
        match self {
            Self::AvgLatencyMs => MOST_LATENCY_MS,
            Self::FillRate | Self::GpuHoursFill | Self::WorstTenantGpuHoursFill => 1.0,
        }
    }
}

impl Constraint {
    /// Which side the figure must stay on, as it is called on the wire.
    #[must_use]
    pub fn side(&self) -> &'static str {
        if self.figure.is_at_most() { "at_most" } else { "at_least" }
    }

    /// What it comes to among so many tenants.
    pub fn terms(self, tenants: usize) -> impl Iterator<Item = Term> {
        let is_of_each = self.figure == ConstrainedFigure::WorstTenantGpuHoursFill;
        let of = move |tenant| Term { figure: self.figure, bound: self.bound, tenant };
        (0..if is_of_each { tenants } else { 1 }).map(move |tenant| of(is_of_each.then_some(tenant)))
    }

    /// By which share of the bound it is missed; below 0 where there is room left, 0 where there is nothing to judge.
    #[must_use]
    pub fn missed_by(&self, sums: &Sums) -> f64 {
        let missed = self.terms(sums.tenants.len()).map(|term| term.missed_by(sums));
        missed.reduce(f64::max).unwrap_or(0.0)
    }
}

impl Term {
    /// The sum that must not be above zero: in ms, requests or GPU-hours.
    #[must_use]
    pub fn excess(&self, sums: &Sums) -> f64 {
        let Self { figure, bound, .. } = *self;
        let Sums { outcome, requested, .. } = sums;
        match figure {
            ConstrainedFigure::AvgLatencyMs => outcome.latency_ms - bound * outcome.served,
            ConstrainedFigure::FillRate => bound * requested.requests - outcome.served,
            ConstrainedFigure::GpuHoursFill => bound * requested.gpu_hours - outcome.gpu_hours,
            ConstrainedFigure::WorstTenantGpuHoursFill => {
                let (served, requested) = self.of_tenant(sums);
                bound * requested - served
            }
        }
    }

    /// What an excess is a share of: the sum that is just allowed.
    fn allowed(&self, sums: &Sums) -> f64 {
        let of = match self.figure {
            ConstrainedFigure::AvgLatencyMs => sums.outcome.served,
            ConstrainedFigure::FillRate => sums.requested.requests,
            ConstrainedFigure::GpuHoursFill => sums.requested.gpu_hours,
            ConstrainedFigure::WorstTenantGpuHoursFill => self.of_tenant(sums).1,
        };
        self.bound * of
    }

    fn of_tenant(&self, sums: &Sums) -> (f64, f64) {
        self.tenant.and_then(|tenant| sums.tenants.get(tenant)).copied().unwrap_or_default()
    }

    /// By which share of the bound it is missed, as [`Constraint::missed_by`].
    #[must_use]
    pub fn missed_by(&self, sums: &Sums) -> f64 {
        let allowed = self.allowed(sums);
        if allowed > 0.0 { self.excess(sums) / allowed } else { 0.0 }
    }

    /// Changes weights into those of who pays so much for each unit of excess, in points: what a reward by both differs by
    /// is `−price·excess`, but for what does not depend on anybody's decisions.
    fn charge(&self, price: f64, wanted: &mut Preferences) {
        let Preferences { all, tenants } = wanted;
        if let Some(tenant) = self.tenant {
            if tenants.len() <= tenant {
                tenants.resize(tenant + 1, *all);
            }
            tenants[tenant].gpu_hour += price;
            return;
        }
        for weights in std::iter::once(all).chain(tenants) {
            match self.figure {
                ConstrainedFigure::AvgLatencyMs => {
                    weights.request += price * self.bound;
                    weights.latency += price;
                }
                ConstrainedFigure::FillRate => weights.request += price,
                ConstrainedFigure::GpuHoursFill | ConstrainedFigure::WorstTenantGpuHoursFill => {
                    weights.gpu_hour += price;
                }
            }
        }
    }

    /// The price at which what a mean request is allowed is worth as much as the request: the scale that prices are on.
    #[must_use]
    pub fn unit_price(&self, preference: Preference, env: &Environment) -> f64 {
        let of_request = Preference::EXCESS_COST.request * preference.scale(env);
        match self.figure {
            ConstrainedFigure::AvgLatencyMs => of_request / self.bound,
            ConstrainedFigure::FillRate => of_request,
            ConstrainedFigure::GpuHoursFill | ConstrainedFigure::WorstTenantGpuHoursFill => {
                of_request / env.mean_gpu_hours()
            }
        }
    }

    /// Those of all constraints, in their order.
    #[must_use]
    pub fn of_all(constraints: &[Constraint], tenants: usize) -> Vec<Self> {
        constraints.iter().flat_map(|constraint| constraint.terms(tenants)).collect()
    }

    /// The price of each constraint, where these are of [`Term::of_all`]: that of its dearest term.
    #[must_use]
    pub fn dearest(constraints: &[Constraint], tenants: usize, prices: &[f64]) -> Vec<f64> {
        let mut prices = prices.iter().copied();
        let dearest = |constraint: &Constraint| {
            prices.by_ref().take(constraint.terms(tenants).count()).fold(0.0, f64::max)
        };
        constraints.iter().map(dearest).collect()
    }

    /// The weights under the prices of terms, in their order.
    ///
    /// ```
    /// use routing_env::{ConstrainedFigure, Constraint, Preference, Term};
    ///
    /// let fast = Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 300.0 };
    /// let terms: Vec<Term> = fast.terms(4).collect();
    /// let usual = Preference::EXCESS_COST;
    /// let priced = Term::all_priced(&terms, &[0.25], usual);
    /// assert_eq!(priced, Preference { request: 125.0, latency: 0.27, ..usual }.into());
    /// ```
    #[must_use]
    pub fn all_priced(terms: &[Self], prices: &[f64], preference: Preference) -> Preferences {
        let mut wanted = Preferences::from(preference);
        terms.iter().zip(prices).for_each(|(term, price)| term.charge(*price, &mut wanted));
        wanted
    }
}

/// The constraints that are asked for, in the order of the figures.
pub(crate) fn constraints(
    check: &Checker<'_>,
    at_most: &BTreeMap<String, f64>,
    at_least: &BTreeMap<String, f64>,
) -> Result<Vec<Constraint>, InputError> {
    let mut found = Vec::new();
    for (side, asked) in [("at_most", at_most), ("at_least", at_least)] {
        let known = || {
            ConstrainedFigure::ALL
                .into_iter()
                .filter(move |figure| figure.is_at_most() == (side == "at_most"))
        };
        for (name, bound) in asked {
            let pointer = format!("/{side}/{}", token(name));
            let figure = known().find(|figure| figure.name() == name).ok_or_else(|| {
                let names = known().map(|figure| figure.name()).collect::<Vec<_>>().join(" or ");
                check.error(pointer.clone(), format!("no constraint is on `{name}` {side}: expected {names}"))
            })?;
            check.positive(*bound, figure.highest_bound(), &pointer)?;
            found.push(Constraint { figure, bound: *bound });
        }
    }
    found.sort_by_key(|constraint| constraint.figure as usize);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::Preset;

    fn sums() -> Sums {
        Sums {
            outcome: Outcome { served: 8.0, gpu_hours: 30.0, latency_ms: 2480.0, ..Outcome::default() },
            requested: Requested { requests: 10.0, gpu_hours: 40.0 },
            tenants: vec![(24.0, 30.0), (6.0, 10.0), (0.0, 0.0)],
        }
    }

    /// Where nothing is served of the same.
    fn idle() -> Sums {
        let tenants = sums().tenants.into_iter().map(|(_, requested)| (0.0, requested)).collect();
        Sums { outcome: Outcome::default(), tenants, ..sums() }
    }

    #[test]
    fn what_is_missed_is_a_share_of_the_bound() {
        let missed = |figure, bound| Constraint { figure, bound }.missed_by(&sums());
        assert!(missed(ConstrainedFigure::AvgLatencyMs, 310.0).abs() < 1e-12);
        assert!((missed(ConstrainedFigure::AvgLatencyMs, 248.0) - 0.25).abs() < 1e-12);
        assert!((missed(ConstrainedFigure::FillRate, 1.0) - 0.2).abs() < 1e-12);
        assert!((missed(ConstrainedFigure::GpuHoursFill, 0.5) + 0.5).abs() < 1e-12);
        let any = Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 1.0 };
        assert_eq!(any.missed_by(&Sums::default()), 0.0);
    }

    /// Of the second tenant six of ten hours are served; who has asked for nothing misses nothing.
    #[test]
    fn the_worst_tenant_is_the_one_of_whom_the_least_share_is_served() {
        let missed = |bound| {
            Constraint { figure: ConstrainedFigure::WorstTenantGpuHoursFill, bound }.missed_by(&sums())
        };
        assert!((missed(0.8) - 0.25).abs() < 1e-12, "{}", missed(0.8));
        assert!(missed(0.6).abs() < 1e-12, "{}", missed(0.6));
        // there is room at those who ask for something, and none at who asks for nothing
        assert_eq!(missed(0.3), 0.0);
    }

    /// What no decision changes is left out of the weights: the share of what was requested.
    #[test]
    fn a_price_costs_so_much_for_each_unit_of_excess() {
        let usual = Preference::EXCESS_COST;
        for (figure, bound) in [
            (ConstrainedFigure::AvgLatencyMs, 300.0),
            (ConstrainedFigure::FillRate, 0.9),
            (ConstrainedFigure::GpuHoursFill, 0.9),
            (ConstrainedFigure::WorstTenantGpuHoursFill, 0.9),
        ] {
            let terms: Vec<Term> = Constraint { figure, bound }.terms(3).collect();
            let prices: Vec<f64> = (0..terms.len()).map(|i| 0.3 + i as f64).collect();
            let excess = |sums: &Sums| -> f64 {
                terms.iter().zip(&prices).map(|(term, price)| price * term.excess(sums)).sum()
            };
            let priced = Term::all_priced(&terms, &prices, usual);
            // a reward is linear: the sum over all requests is that of their sums, and of each tenant's hours
            let of_tenants: f64 = sums()
                .tenants
                .iter()
                .enumerate()
                .map(|(t, (served, _))| (priced.of(t).gpu_hour - priced.all.gpu_hour) * served)
                .sum();
            let reward = priced.all.reward(&sums().outcome) + of_tenants;
            let difference = reward - usual.reward(&sums().outcome);
            let expected = excess(&idle()) - excess(&sums());
            assert!((difference - expected).abs() < 1e-9, "{figure:?}: {difference} {expected}");
        }
    }

    #[test]
    fn at_its_unit_price_what_a_mean_request_is_allowed_is_worth_the_request() {
        let env = Environment::built_in(Preset::Contended);
        let hours = env.mean_gpu_hours();
        let sums = Sums {
            outcome: Outcome { served: 1.0, gpu_hours: hours, ..Outcome::default() },
            requested: Requested { requests: 1.0, gpu_hours: hours },
            tenants: vec![(hours, hours)],
        };
        for (figure, bound) in [
            (ConstrainedFigure::AvgLatencyMs, 300.0),
            (ConstrainedFigure::GpuHoursFill, 1.0),
            (ConstrainedFigure::WorstTenantGpuHoursFill, 1.0),
        ] {
            let term = Constraint { figure, bound }.terms(1).next().unwrap();
            let worth = term.unit_price(Preference::EXCESS_COST, &env) * term.allowed(&sums);
            assert!((worth - 50.0).abs() < 1e-9, "{figure:?}: {worth}");
        }
    }
}
