//! What every policy achieved on every seed: with it, anybody can compute a report's figures again.

use limit::Limit;
use routing_env::Tally;

use crate::{
    episodes::{Achieved, Played},
    figures::Figure,
    plan::Plan,
    report::JobSize,
    statistics::BySeed,
};

/// What every policy achieved on every seed, and what was possible there.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The seeds, in the order of the values.
    pub seeds: Vec<u64>,
    /// Policy by policy and training by training, in the report's order.
    pub policies: Vec<PolicyValues>,
    /// The physical limit's, where there is one.
    pub limit: Option<Vec<Metric>>,
}

/// One training of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyValues {
    /// Which of the report's policies.
    pub policy: usize,
    /// Which of its trainings.
    pub training: usize,
    /// Its metrics.
    pub metrics: Vec<Metric>,
}

/// A metric by seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, as in the result's CSV.
    pub name: String,
    /// By seed; `None` where there is no data.
    pub by_seed: BySeed,
}

impl Values {
    /// What was achieved, `achieved[contestant][training][seed]`, where `limits[seed]` was possible.
    #[must_use]
    pub fn of(plan: &Plan, achieved: &[Played], limits: Option<&[Limit]>) -> Self {
        let has_limit = limits.is_some();
        let of_training = |(training, episodes): (usize, &Vec<Achieved>), policy| PolicyValues {
            policy,
            training,
            metrics: metrics(plan, episodes, has_limit),
        };
        let policies = achieved.iter().enumerate().flat_map(|(policy, played)| {
            played.iter().enumerate().map(move |training| of_training(training, policy))
        });
        Self { seeds: plan.seeds.clone(), policies: policies.collect(), limit: limits.map(of_limits) }
    }
}

type OfEpisode<'a> = Box<dyn Fn(&Achieved) -> Option<f64> + 'a>;

fn metrics(plan: &Plan, episodes: &[Achieved], has_limit: bool) -> Vec<Metric> {
    let mut all: Vec<(String, OfEpisode<'_>)> = Vec::new();
    for figure in Figure::ALL {
        all.push((figure.name().into(), Box::new(move |achieved| figure.of(&achieved.metrics))));
    }
    if has_limit {
        all.push(("reward_on_limit_steps".into(), Box::new(|achieved| achieved.on_limit_steps.avg_reward())));
    }
    for (i, tenant) in plan.environment.workloads().tenants.iter().enumerate() {
        for (metric, of) in OF_TENANT {
            let name = format!("by_tenant.{}.{metric}", tenant.id);
            all.push((name, Box::new(move |achieved| of(&achieved.metrics.tenants[i]))));
        }
    }
    for (i, size) in JobSize::ALL.into_iter().enumerate() {
        let name = format!("by_size.{}.gpu_hours_fill", size.name());
        all.push((name, Box::new(move |achieved| achieved.metrics.sizes[i].gpu_hours_fill())));
    }
    for (i, constraint) in plan.constraints.iter().enumerate() {
        let name = format!("price.{}", constraint.figure.name());
        all.push((name, Box::new(move |achieved| achieved.prices.get(i).copied())));
    }
    let parts = episodes.first().map_or(0, |achieved| achieved.parts.len());
    for part in 0..parts {
        let name = format!("reward_over_time.{}", part + 1);
        all.push((name, Box::new(move |achieved| achieved.parts[part].avg_reward())));
    }
    let metric =
        |(name, of): (String, OfEpisode<'_>)| Metric { name, by_seed: episodes.iter().map(of).collect() };
    all.into_iter().map(metric).collect()
}

/// A metric's name, and its value in sums.
type Named<T> = (&'static str, fn(&T) -> Option<f64>);

const OF_TENANT: [Named<Tally>; 4] = [
    ("fill_rate", Tally::fill_rate),
    ("gpu_hours_fill", Tally::gpu_hours_fill),
    ("cost_per_gpu_hour_usd", Tally::cost_per_gpu_hour_usd),
    ("avg_latency_ms", Tally::avg_latency_ms),
];

fn of_limits(limits: &[Limit]) -> Vec<Metric> {
    let metric =
        |(name, of): Named<Limit>| Metric { name: name.into(), by_seed: limits.iter().map(of).collect() };
    let all: [Named<Limit>; 4] = [
        ("fill_rate", Limit::fill_rate),
        ("avg_cost_usd", Limit::avg_cost_usd),
        ("avg_latency_ms", Limit::avg_latency_ms),
        ("reward", Limit::avg_reward),
    ];
    all.into_iter().map(metric).collect()
}
