//! The figures of all requests of all seeds together, as docs/results.md tells them.

use limit::Limit;
use policy::Rule;
use routing_env::{Environment, Metrics};

use crate::{
    episodes::{Achieved, Contestant},
    statistics::{Bootstrap, Interval, paired},
    tables::{Table, signed},
};

/// A reward by seed; `None` where a seed has no request.
type BySeed = Vec<Option<f64>>;

/// What nobody can do better, where it is known; else who is told what is hidden.
pub enum Bound<'a> {
    /// The physical limit of each seed, all of its steps solved.
    Limit(&'a [Limit]),
    /// The contestant that stands for it.
    Contestant(usize),
}

/// One row a contestant: figures of all requests of all seeds, the gain over the baseline, and which share it is of the
/// bound's gain. `None` when no contestant is the baseline.
#[must_use]
pub fn table(
    env: &Environment,
    contestants: &[Contestant],
    achieved: &[Vec<Achieved>],
    bound: &Bound<'_>,
) -> Option<Table> {
    let baseline = contestants.iter().position(|contestant| contestant.name == Rule::BASELINE.name())?;
    let bootstrap = Bootstrap::new(achieved[baseline].len());
    let baseline = rewards(&achieved[baseline]);
    let best: BySeed = match bound {
        Bound::Limit(limits) => limits.iter().map(Limit::avg_reward).collect(),
        Bound::Contestant(i) => rewards(&achieved[*i]),
    };
    let row = |(contestant, achieved): (&Contestant, &Vec<Achieved>)| {
        let mut all = Metrics::new(env);
        achieved.iter().for_each(|episode| all.merge(&episode.metrics));
        let gains = paired(&rewards(achieved), &baseline);
        // zero is the least: a share of a gap that is not there is no data
        let closed = bootstrap.ratio(&gains, &paired(&best, &baseline), 0.0);
        cells(&contestant.name, &all, bootstrap.estimate(&gains), closed)
    };
    let mut rows: Vec<Vec<Option<String>>> = contestants.iter().zip(achieved).map(row).collect();
    if let Bound::Limit(_) = bound {
        let mut cells = vec![None; HEADER.len()];
        cells[0] = Some("limit, reward".to_owned());
        cells[9] = bootstrap.estimate(&paired(&best, &baseline)).map(|gain| signed(gain, " "));
        cells[10] = Some("100 %".to_owned());
        rows.push(cells);
    }
    Some(Table { header: HEADER.map(str::to_owned).into(), rows })
}

const HEADER: [&str; 11] = [
    "policy",
    "fill",
    "of jobs < 3 h, 3–6 h, ≥ 6 h",
    "GPU-h",
    "worst tenant",
    "$/GPU-h",
    "cost index",
    "ms",
    "deferred",
    "ΔR [95 %]",
    "gap closed",
];

fn cells(name: &str, all: &Metrics, gain: Option<Interval>, closed: Option<Interval>) -> Vec<Option<String>> {
    let overall = &all.overall;
    let figure = |value: Option<f64>, decimals: usize| value.map(|value| format!("{value:.decimals$}"));
    let sizes = all.sizes.iter().map(|size| figure(size.fill_rate(), 3).unwrap_or_else(|| "-".into()));
    vec![
        Some(name.to_owned()),
        figure(overall.fill_rate(), 4),
        Some(sizes.collect::<Vec<_>>().join(", ")),
        figure(overall.gpu_hours_fill(), 4),
        figure(all.worst_tenant_gpu_hours_fill(), 4),
        figure(overall.cost_per_gpu_hour_usd(), 4),
        figure(overall.cost_index(), 4),
        figure(overall.avg_latency_ms(), 1),
        figure(overall.deferred_share(), 3),
        gain.map(|gain| signed(gain, " ")),
        closed.map(|closed| format!("{:.1} %", 100.0 * closed.mean)),
    ]
}

fn rewards(achieved: &[Achieved]) -> BySeed {
    achieved.iter().map(|episode| episode.metrics.overall.avg_reward()).collect()
}
