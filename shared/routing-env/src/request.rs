//! Requests: generated for each step, or read from a trace.

use rand::{Rng, RngExt, seq::SliceRandom};
use rand_distr::{Distribution, Normal};
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

/// Draws an episode's requests, step by step.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    requests: Pcg64,
    arrivals: Pcg64,
    /// `[tenant]`: a request of each tenant, to be filled in.
    templates: Vec<Request>,
    /// `[tenant]`: how many requests it makes; `None` when it makes none on average.
    counts: Vec<Option<Normal<f64>>>,
}

impl Demand {
    pub(crate) fn new(env: &Environment, seed: u64) -> Self {
        let spread = 2.0 * env.workloads().demand_multiplier.sqrt();
        let tenants = 0..env.workloads().tenants.len();
        Self {
            requests: generator(seed, Stream::Requests),
            arrivals: generator(seed, Stream::Arrivals),
            templates: tenants.clone().map(|t| Request::of_tenant(env, t, 0, 0, 0.0)).collect(),
            counts: tenants.map(|t| Normal::new(env.expected_requests(t), spread).ok()).collect(),
        }
    }

    /// n = max(0, trunc(normal(mean, 2·√m))) for each tenant in file order; mean and mix are the truth's
    /// where there is one.
    pub(crate) fn draw_step(&mut self, env: &Environment, truth: Option<&Truth>, into: &mut Vec<Request>) {
        into.clear();
        for (tenant, count) in self.counts.iter().enumerate() {
            let drifted = truth.map(|truth| truth.demand(env, tenant));
            let (count, mix) = match &drifted {
                Some((count, mix)) => (count, mix.as_slice()),
                None => (count, env.mix(tenant)),
            };
            let Some(count) = count else { continue };
            let n = count.sample(&mut self.requests).max(0.0).trunc() as usize;
            for _ in 0..n {
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

/// Cumulative, in file order; the last one takes what rounding leaves.
fn draw_workload(mix: &[(usize, f64)], rng: &mut impl Rng) -> usize {
    let draw: f64 = rng.random();
    let mut cumulative = 0.0;
    for &(workload, share) in mix {
        cumulative += share;
        if draw < cumulative {
            return workload;
        }
    }
    mix[mix.len() - 1].0
}
