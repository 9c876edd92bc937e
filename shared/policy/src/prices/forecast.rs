//! What a step still has to bring, and what providers really are, as far as somebody knows.

use routing_env::{ArrivalOrder, Environment, Truth};
use statrs::distribution::{ContinuousCDF as _, Normal};

/// What the simulation is taken to be: the catalog's word, the truth, or what was learned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Beliefs {
    /// Requests of a whole step, `[tenant][position in its mix]`.
    pub(crate) demand: Vec<Vec<f64>>,
    /// How far the number of a step's requests is off: its standard deviation / its mean; above 0.
    pub(crate) spread: f64,
    /// True latency / advertised latency, by provider.
    pub(crate) latency_factor: Vec<f64>,
    /// The probability that a routed job succeeds, by provider.
    pub(crate) success: Vec<f64>,
}

/// Jobs of one tenant and workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Jobs {
    pub(crate) tenant: usize,
    pub(crate) gpu_type: usize,
    pub(crate) count: f64,
    /// Their GPU-hours are uniform between the two.
    pub(crate) hours: [f64; 2],
}

impl Jobs {
    /// How many of them have fewer hours than this, and those hours in all.
    pub(crate) fn below(&self, hours: f64) -> (f64, f64) {
        let [low, high] = self.hours;
        let upto = hours.clamp(low, high);
        let share = if high > low { (upto - low) / (high - low) } else { f64::from(u8::from(hours > high)) };
        (self.count * share, self.count * share * (low + upto) / 2.0)
    }

    /// How many of them have as many hours or more, and those hours in all.
    pub(crate) fn above(&self, hours: f64) -> (f64, f64) {
        let (count, sum) = self.below(hours);
        (self.count - count, self.count * (self.hours[0] + self.hours[1]) / 2.0 - sum)
    }
}

impl Beliefs {
    /// The catalog's word.
    pub(crate) fn of_catalog(env: &Environment) -> Self {
        let providers = env.catalog().providers.len();
        let demand = (0..env.workloads().tenants.len()).map(|tenant| {
            let requests = env.expected_requests(tenant);
            env.mix(tenant).iter().map(|(_, share)| requests * share).collect()
        });
        Self {
            demand: demand.collect(),
            spread: catalog_spread(env),
            latency_factor: vec![1.0; providers],
            success: vec![1.0; providers],
        }
    }

    /// The truth of this step.
    pub(crate) fn of_truth(env: &Environment, truth: &Truth) -> Self {
        let providers = 0..env.catalog().providers.len();
        Self {
            demand: truth.expected_requests().to_vec(),
            spread: catalog_spread(env),
            latency_factor: providers.clone().map(|p| truth.latency_factor(p)).collect(),
            success: providers.map(|p| 1.0 - truth.failure_probability(p)).collect(),
        }
    }

    /// The share of a step's expected requests that `seen` of them are; more than 1 where they are more.
    pub(crate) fn phase(&self, seen: usize) -> f64 {
        seen as f64 / self.demand.iter().flatten().sum::<f64>()
    }

    /// The jobs that are still to come when `seen` requests of the step have come.
    pub(crate) fn jobs_to_come<'a>(
        &'a self,
        env: &'a Environment,
        seen: usize,
    ) -> impl Iterator<Item = Jobs> + 'a {
        let left = self.still_to_come(env, seen);
        self.demand.iter().zip(left).enumerate().flat_map(move |(tenant, (counts, left))| {
            env.mix(tenant).iter().zip(counts).map(move |((workload, _), count)| Jobs {
                tenant,
                gpu_type: env.workload_gpu_type(*workload),
                count: count * left,
                hours: env.workload_hours(*workload),
            })
        })
    }

    /// The share of each tenant's requests that is still to come when `seen` have come.
    pub(crate) fn still_to_come(&self, env: &Environment, seen: usize) -> Vec<f64> {
        let expected = self.demand.iter().map(|mix| mix.iter().sum::<f64>());
        let left = |seen: f64, expected: f64| (1.0 - seen / expected).clamp(0.0, 1.0);
        match env.workloads().arrival_order {
            ArrivalOrder::Shuffled => {
                let share = left(seen as f64, expected.sum());
                vec![share; self.demand.len()]
            }
            ArrivalOrder::Tenant => {
                let mut seen = seen as f64;
                let share = |expected: f64| {
                    let share = left(seen, expected);
                    seen = (seen - expected).max(0.0);
                    share
                };
                expected.map(share).collect()
            }
        }
    }

    /// As [`Self::still_to_come`], if the step has as many requests as it has with this probability at most: a
    /// quantile of their number, which is taken to be normal, given that `seen` have come.
    pub(crate) fn still_to_come_at(
        &self,
        env: &Environment,
        seen: usize,
        probability: f64,
        spread_factor: f64,
    ) -> Vec<f64> {
        let spread = self.spread * spread_factor;
        if env.workloads().arrival_order == ArrivalOrder::Tenant {
            let level = 1.0 + spread * quantile_above(f64::NEG_INFINITY, probability);
            return self.still_to_come(env, seen).iter().map(|share| share * level.max(0.0)).collect();
        }
        let expected = self.demand.iter().flatten().sum::<f64>();
        let seen = seen as f64 / expected;
        let level = 1.0 + spread * quantile_above((seen - 1.0) / spread, probability);
        vec![(level - seen).max(0.0); self.demand.len()]
    }
}

/// The spread by the catalog's law: each tenant's number has the standard deviation 2·√m.
fn catalog_spread(env: &Environment) -> f64 {
    let tenants = env.workloads().tenants.len();
    let expected: f64 = env.expected_requests_of_all();
    let deviation = 2.0 * (env.workloads().demand_multiplier * tenants as f64).sqrt();
    if expected > 0.0 { (deviation / expected).max(1e-3) } else { 1.0 }
}

/// The quantile of a standard normal variable that is known to be at least `least`.
fn quantile_above(least: f64, probability: f64) -> f64 {
    let normal = Normal::standard();
    let above = normal.sf(least);
    if above < 1e-9 {
        return least - (1.0 - probability).ln() / least; // far out the tail is exponential
    }
    -normal.inverse_cdf((1.0 - probability) * above)
}
