//! What must hold of an episode whatever else is wanted: a figure that is at most so much, or at least.
//!
//! Every figure that can be constrained is a ratio of sums over requests, so that the constraint says that a sum is not
//! above zero: of latencies minus the bound, or of the bound's share of what was requested minus what was served. Such a sum is
//! linear in outcomes, as a reward is. What a unit of it is worth, its price (Lagrange multiplier), is therefore a change of
//! the weights of a [`Preference`], and whoever plays for any preference plays under a constraint too.

use std::collections::BTreeMap;

use crate::{
    environment::Environment,
    input::{Checker, InputError, token},
    preference::{Outcome, Preference},
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
}

/// What was requested, served or not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requested {
    /// Requests.
    pub requests: f64,
    /// Their GPU-hours.
    pub gpu_hours: f64,
}

/// A figure of a whole episode, and what it must not pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constraint {
    /// Of what.
    pub figure: ConstrainedFigure,
    /// The highest or the lowest value, whichever the figure has.
    pub bound: f64,
}

impl ConstrainedFigure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AvgLatencyMs, Self::FillRate, Self::GpuHoursFill];

    /// Its name in metrics and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AvgLatencyMs => "avg_latency_ms",
            Self::FillRate => "fill_rate",
            Self::GpuHoursFill => "gpu_hours_fill",
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
            Self::FillRate | Self::GpuHoursFill => 1.0,
        }
    }
}

impl Constraint {
    /// Which side the figure must stay on, as it is called on the wire.
    #[must_use]
    pub fn side(&self) -> &'static str {
        if self.figure.is_at_most() { "at_most" } else { "at_least" }
    }

    /// The sum that must not be above zero, where this came of what was requested: in ms, requests or GPU-hours.
    #[must_use]
    pub fn excess(&self, outcome: &Outcome, requested: Requested) -> f64 {
        let Self { figure, bound } = *self;
        match figure {
            ConstrainedFigure::AvgLatencyMs => outcome.latency_ms - bound * outcome.served,
            ConstrainedFigure::FillRate => bound * requested.requests - outcome.served,
            ConstrainedFigure::GpuHoursFill => bound * requested.gpu_hours - outcome.gpu_hours,
        }
    }

    /// What an excess is a share of: the sum that is just allowed.
    fn allowed(&self, outcome: &Outcome, requested: Requested) -> f64 {
        let of = match self.figure {
            ConstrainedFigure::AvgLatencyMs => outcome.served,
            ConstrainedFigure::FillRate => requested.requests,
            ConstrainedFigure::GpuHoursFill => requested.gpu_hours,
        };
        self.bound * of
    }

    /// By which share of the bound it is missed; below 0 where there is room left, 0 where there is nothing to judge.
    #[must_use]
    pub fn missed_by(&self, outcome: &Outcome, requested: Requested) -> f64 {
        let allowed = self.allowed(outcome, requested);
        if allowed > 0.0 { self.excess(outcome, requested) / allowed } else { 0.0 }
    }

    /// The weights of those who want this and pay so much for each unit of excess, in points: what a reward by them and
    /// `preference` differ by is `−price·excess`, but for what does not depend on anybody's decisions.
    ///
    /// ```
    /// use routing_env::{ConstrainedFigure, Constraint, Preference};
    ///
    /// let fast = Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 300.0 };
    /// let usual = Preference::EXCESS_COST;
    /// assert_eq!(fast.priced(0.25, usual), Preference { request: 125.0, latency: 0.27, ..usual });
    /// ```
    #[must_use]
    pub fn priced(&self, price: f64, preference: Preference) -> Preference {
        let Preference { request, gpu_hour, latency, .. } = preference;
        match self.figure {
            ConstrainedFigure::AvgLatencyMs => {
                Preference { request: request + price * self.bound, latency: latency + price, ..preference }
            }
            ConstrainedFigure::FillRate => Preference { request: request + price, ..preference },
            ConstrainedFigure::GpuHoursFill => Preference { gpu_hour: gpu_hour + price, ..preference },
        }
    }

    /// The price at which what a mean request is allowed is worth as much as the request: the scale that prices are on.
    #[must_use]
    pub fn unit_price(&self, preference: Preference, env: &Environment) -> f64 {
        let of_request = Preference::EXCESS_COST.request * preference.scale(env);
        match self.figure {
            ConstrainedFigure::AvgLatencyMs => of_request / self.bound,
            ConstrainedFigure::FillRate => of_request,
            ConstrainedFigure::GpuHoursFill => of_request / env.mean_gpu_hours(),
        }
    }

    /// The weights under prices of several constraints, in their order.
    #[must_use]
    pub fn all_priced(constraints: &[Self], prices: &[f64], preference: Preference) -> Preference {
        constraints.iter().zip(prices).fold(preference, |p, (constraint, price)| constraint.priced(*price, p))
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

    const REQUESTED: Requested = Requested { requests: 10.0, gpu_hours: 40.0 };

    fn outcome() -> Outcome {
        Outcome { served: 8.0, gpu_hours: 30.0, latency_ms: 2480.0, ..Outcome::default() }
    }

    #[test]
    fn what_is_missed_is_a_share_of_the_bound() {
        let missed = |figure, bound| Constraint { figure, bound }.missed_by(&outcome(), REQUESTED);
        assert!(missed(ConstrainedFigure::AvgLatencyMs, 310.0).abs() < 1e-12);
        assert!((missed(ConstrainedFigure::AvgLatencyMs, 248.0) - 0.25).abs() < 1e-12);
        assert!((missed(ConstrainedFigure::FillRate, 1.0) - 0.2).abs() < 1e-12);
        assert!((missed(ConstrainedFigure::GpuHoursFill, 0.5) + 0.5).abs() < 1e-12);
        let any = Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 1.0 };
        assert_eq!(any.missed_by(&Outcome::default(), REQUESTED), 0.0);
    }

    /// What no decision changes is left out of the weights: the share of what was requested.
    #[test]
    fn a_price_costs_so_much_for_each_unit_of_excess() {
        let usual = Preference::EXCESS_COST;
        for (figure, bound) in [
            (ConstrainedFigure::AvgLatencyMs, 300.0),
            (ConstrainedFigure::FillRate, 0.9),
            (ConstrainedFigure::GpuHoursFill, 0.9),
        ] {
            let constraint = Constraint { figure, bound };
            let excess = |outcome| constraint.excess(&outcome, REQUESTED);
            let difference = constraint.priced(0.3, usual).reward(&outcome()) - usual.reward(&outcome());
            let expected = -0.3 * (excess(outcome()) - excess(Outcome::default()));
            assert!((difference - expected).abs() < 1e-9, "{figure:?}: {difference} {expected}");
        }
    }

    #[test]
    fn at_its_unit_price_what_a_mean_request_is_allowed_is_worth_the_request() {
        let env = Environment::built_in(Preset::Contended);
        let mean = Requested { requests: 1.0, gpu_hours: env.mean_gpu_hours() };
        let served = Outcome { served: 1.0, gpu_hours: mean.gpu_hours, ..Outcome::default() };
        for (figure, bound) in
            [(ConstrainedFigure::AvgLatencyMs, 300.0), (ConstrainedFigure::GpuHoursFill, 1.0)]
        {
            let constraint = Constraint { figure, bound };
            let worth =
                constraint.unit_price(Preference::EXCESS_COST, &env) * constraint.allowed(&served, mean);
            assert!((worth - 50.0).abs() < 1e-9, "{figure:?}: {worth}");
        }
    }
}
