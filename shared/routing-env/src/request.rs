//! Requests: generated for each step, or read from a trace.

use rand::{Rng, RngExt, seq::SliceRandom};
use rand_distr::{Distribution, Normal, Poisson};
use rand_pcg::Pcg64;

use crate::{
    environment::Environment,
    streams::{Stream, generator},
    truth::Truth,
    workloads::ArrivalOrder,
};

/// One request for GPU time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// The tenant's index.
    pub tenant: usize,
    /// The workload profile's index.
    pub workload: usize,
    /// The GPU type's index.
    pub gpu_type: usize,
    /// GPU-hours.
    pub hours: f64,
    /// The highest latency that it accepts, in ms.
    pub max_latency_ms: f64,
    /// The lowest reputation that it accepts.
    pub min_reputation: f64,
    pub(crate) region: usize,
}

impl Request {
    /// A request as the tenant makes them for a workload, with these GPU-hours.
    #[must_use]
    pub fn new(env: &Environment, tenant: usize, workload: usize, hours: f64) -> Self {
        Self::of_tenant(env, tenant, workload, env.profile(workload).gpu_type, hours)
    }

    /// A tenant's request: latency, reputation and region are the tenant's own. All but the hours are indexes
    /// into the environment.
    #[must_use]
    pub fn of_tenant(env: &Environment, tenant: usize, workload: usize, gpu_type: usize, hours: f64) -> Self {
        let t = &env.workloads().tenants[tenant];
        #[allow(clippy::expect_used)] // `Environment::new` indexes every tenant's region
        let region = env.region_index(&t.region).expect("indexed region");
        Self {
            tenant,
            workload,
            gpu_type,
            hours,
            max_latency_ms: t.max_latency_ms,
            min_reputation: t.min_reputation,
            region,
        }
    }
}

/// From so many requests a step on average (before the demand multiplier) their number is drawn as the reference does;
/// below, where that law would mostly be cut at 0, by the law of rare events. There the spreads of both are the same.
pub(crate) const FEW_REQUESTS: f64 = 4.0;

/// How many requests a tenant makes in a step.
///
/// The reference's law is `max(0, trunc(normal(mean, 2·√m)))`, with m the demand multiplier. Its spread does not depend
/// on the mean, so that it is true to its name only far above 0: it loses half a request to truncation (40 gives 39.5),
/// and near 0 most of what is left is what cutting at 0 adds (0 would give 0.56). So tenants with few requests make
/// `poisson(mean)` of them: the mean is what it says, its spread √mean is never the greater one, and 0 is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Count {
    None,
    Few(Poisson<f64>),
    Many(Normal<f64>),
}

impl Count {
    /// `usual` is the tenant's `avg_requests_per_step`, `mean` what `multiplier` makes of it.
    pub(crate) fn new(usual: f64, mean: f64, multiplier: f64) -> Self {
        if usual < FEW_REQUESTS {
            Poisson::new(mean).map_or(Self::None, Self::Few) // no Poisson law has the mean 0
        } else {
            Normal::new(mean, 2.0 * multiplier.sqrt()).map_or(Self::None, Self::Many)
        }
    }

    fn draw(&self, rng: &mut impl Rng) -> usize {
        match self {
            Self::None => 0,
            Self::Few(law) => law.sample(rng) as usize,
            Self::Many(law) => law.sample(rng).max(0.0).trunc() as usize,
        }
    }
}

/// Draws an episode's requests, step by step.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    requests: Pcg64,
    arrivals: Pcg64,
    /// `[tenant]`: a request of each tenant, to be filled in.
    templates: Vec<Request>,
    /// `[tenant]`: how many requests it makes.
    counts: Vec<Count>,
}

impl Demand {
    pub(crate) fn new(env: &Environment, seed: u64) -> Self {
        let multiplier = env.workloads().demand_multiplier;
        let count = |t: usize| {
            let usual = env.workloads().tenants[t].avg_requests_per_step;
            Count::new(usual, env.expected_at_all_sites(t), multiplier)
        };
        let tenants = 0..env.workloads().tenants.len();
        Self {
            requests: generator(seed, Stream::Requests),
            arrivals: generator(seed, Stream::Arrivals),
            templates: tenants.clone().map(|t| Request::of_tenant(env, t, 0, 0, 0.0)).collect(),
            counts: tenants.map(count).collect(),
        }
    }

    /// The same demand, with other draws.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        Self {
            requests: generator(seed, Stream::Requests),
            arrivals: generator(seed, Stream::Arrivals),
            ..self.clone()
        }
    }

    /// [`Count`] requests of each tenant in file order, at all sites; mean and mix are the truth's where there is one.
    pub(crate) fn draw_step(&mut self, env: &Environment, truth: Option<&Truth>, into: &mut Vec<Request>) {
        into.clear();
        for (tenant, count) in self.counts.iter().enumerate() {
            let drifted = truth.map(|truth| truth.demand(env, tenant));
            let (count, mix) = match &drifted {
                Some((count, mix)) => (count, mix.as_slice()),
                None => (count, env.mix(tenant)),
            };
            for _ in 0..count.draw(&mut self.requests) {
                let workload = draw_workload(mix, &mut self.requests);
                let profile = env.profile(workload);
                let [low, high] = profile.hours;
                let hours = low + (high - low) * self.requests.random::<f64>();
                into.push(Request { workload, gpu_type: profile.gpu_type, hours, ..self.templates[tenant] });
            }
        }
        if env.workloads().arrival_order == ArrivalOrder::Shuffled {
            into.shuffle(&mut self.arrivals);
        }
    }
}

/// Cumulative, in file order; the last one that has a share takes what rounding leaves.
fn draw_workload(mix: &[(usize, f64)], rng: &mut impl Rng) -> usize {
    let draw: f64 = rng.random();
    let (mut cumulative, mut drawn) = (0.0, mix[0].0);
    for &(workload, share) in mix.iter().filter(|(_, share)| *share > 0.0) {
        cumulative += share;
        drawn = workload;
        if draw < cumulative {
            break;
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Mean of so many draws.
    fn mean(usual: f64, multiplier: f64) -> f64 {
        let (count, mut rng) = (Count::new(usual, usual * multiplier, multiplier), Pcg64::seed_from_u64(5));
        (0..200_000).map(|_| count.draw(&mut rng)).sum::<usize>() as f64 / 200_000.0
    }

    #[test]
    fn a_mean_of_0_makes_no_request_whatever_it_is_multiplied_by() {
        for multiplier in [1e-9, 1.0, 8.0, 12.0, 10_000.0] {
            assert_eq!(mean(0.0, multiplier), 0.0);
        }
    }

    #[test]
    fn few_requests_are_as_many_on_average_as_the_mean_says() {
        for (usual, multiplier) in [(0.02, 1.0), (0.02, 8.0), (1.0, 1.0), (3.9, 12.0)] {
            let expected: f64 = usual * multiplier;
            // five standard errors of the mean of a Poisson law
            let error = 5.0 * (expected / 200_000.0).sqrt();
            let found = mean(usual, multiplier);
            assert!((found - expected).abs() < error, "{usual} · {multiplier}: {found}");
        }
    }

    /// Σ Φ((mean − k) / σ) over k ≥ 1, by `scipy.stats.norm.sf(numpy.arange(1, 99), mean, sigma).sum()`.
    #[test]
    fn many_requests_follow_the_references_law() {
        for (usual, multiplier, expected) in [(40.0, 1.0, 39.5), (6.0, 1.0, 5.501_6), (12.0, 8.0, 95.5)] {
            let found = mean(usual, multiplier);
            assert!((found - expected).abs() < 0.07, "{usual} · {multiplier}: {found}");
        }
    }

    #[test]
    fn a_workload_without_a_share_is_never_drawn() {
        let mut rng = Pcg64::seed_from_u64(5);
        // rounding leaves 1 % to the last one that has a share
        let mix = [(3, 0.0), (4, 0.49), (5, 0.5), (6, 0.0)];
        let drawn: std::collections::BTreeSet<_> =
            (0..100_000).map(|_| draw_workload(&mix, &mut rng)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [4, 5]);
    }
}
