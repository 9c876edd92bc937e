//! The figures of all requests of all seeds together, as docs/results.md tells them.

use limit::Limit;
use policy::Rule;
use routing_env::{Environment, Metrics};

use crate::{
    episodes::{Achieved, Contestant, Played, never_trained_twin},
    statistics::{BySeed, Interval, Intervals, Runs},
    tables::{Table, percent, signed},
};

/// One row a contestant: figures of all requests of all seeds, the gain over the baseline and over the same algorithm
/// never trained, and which share of the limit's gain over the baseline it is. `limits` are each seed's physical limit, all of
/// its steps solved. `None` when no contestant is the baseline.
#[must_use]
pub fn table(
    env: &Environment,
    contestants: &[Contestant],
    played: &[Played],
    limits: &[Limit],
) -> Option<Table> {
    let baseline = contestants.iter().position(|contestant| contestant.name == Rule::BASELINE.name())?;
    let baseline = rewards(&played[baseline]).by_seed();
    let intervals = Intervals::new(baseline.len());
    let best: BySeed = limits.iter().map(Limit::avg_reward).collect();
    let gap = Runs::from(best).minus(&baseline);
    let row = |i: usize| {
        let (contestant, achieved) = (&contestants[i], &played[i]);
        let mut all = Metrics::new(env);
        achieved.iter().flatten().for_each(|episode| all.merge(&episode.metrics));
        let gains = rewards(achieved).minus(&baseline);
        // zero is the least: a share of a gap that is not there is no data
        let closed = intervals.ratio(&gains, &gap.by_seed(), 0.0);
        let untrained = never_trained_twin(contestants, i).map(|twin| rewards(&played[twin]).by_seed());
        let added = untrained.and_then(|before| intervals.of_mean(&rewards(achieved).minus(&before)));
        cells(&contestant.name, &all, [intervals.of_mean(&gains), added], closed)
    };
    let mut rows: Vec<Vec<Option<String>>> = (0..contestants.len()).map(row).collect();
    let mut of_limit = vec![None; HEADER.len()];
    of_limit[0] = Some("limit, reward".to_owned());
    of_limit[9] = intervals.of_mean(&gap).map(|gain| signed(gain, " "));
    of_limit[11] = Some("100 %".to_owned());
    rows.push(of_limit);
    Some(Table { header: HEADER.map(str::to_owned).into(), rows })
}

/// One row a contestant: by how much it earns more than the one of this name, on the same seeds. `None` when nobody has the
/// name.
#[must_use]
pub fn differences(contestants: &[Contestant], played: &[Played], against: &str) -> Option<Table> {
    let other = contestants.iter().position(|contestant| contestant.name == against)?;
    let other = rewards(&played[other]).by_seed();
    let intervals = Intervals::new(other.len());
    let row = |(contestant, achieved): (&Contestant, &Played)| {
        let gain = intervals.of_mean(&rewards(achieved).minus(&other));
        vec![Some(contestant.name.clone()), gain.map(|gain| signed(gain, " "))]
    };
    let header = vec!["policy".to_owned(), format!("R − R of {against} [95 %]")];
    Some(Table { header, rows: contestants.iter().zip(played).map(row).collect() })
}

const HEADER: [&str; 12] = [
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
    "training adds [95 %]",
    "gap closed [95 %]",
];

fn cells(
    name: &str,
    all: &Metrics,
    gains: [Option<Interval>; 2],
    closed: Option<Interval>,
) -> Vec<Option<String>> {
    let overall = &all.overall;
    let figure = |value: Option<f64>, decimals: usize| value.map(|value| format!("{value:.decimals$}"));
    let sizes = all.sizes.iter().map(|size| figure(size.fill_rate(), 3).unwrap_or_else(|| "-".into()));
    let mut cells = vec![
        Some(name.to_owned()),
        figure(overall.fill_rate(), 4),
        Some(sizes.collect::<Vec<_>>().join(", ")),
        figure(overall.gpu_hours_fill(), 4),
        figure(all.worst_tenant_gpu_hours_fill(), 4),
        figure(overall.cost_per_gpu_hour_usd(), 4),
        figure(overall.cost_index(), 4),
        figure(overall.avg_latency_ms(), 1),
        figure(overall.deferred_share(), 3),
    ];
    cells.extend(gains.map(|gain| gain.map(|gain| signed(gain, " "))));
    cells.push(closed.map(percent));
    cells
}

/// The mean reward of each episode.
pub(crate) fn rewards(played: &Played) -> Runs {
    let of_training = |episodes: &Vec<Achieved>| -> BySeed {
        episodes.iter().map(|episode| episode.metrics.overall.avg_reward()).collect()
    };
    Runs::new(played.iter().map(of_training).collect())
}
