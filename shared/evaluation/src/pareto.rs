//! Fronts: what policies achieve under many preferences, beside what is possible.
//!
//! A policy that is asked under each preference of a grid gives as many points: the mean outcome of a request. How much of
//! what is possible they cover is told by the hypervolume (Zitzler and Thiele 1999) and the expected utility (Zintgraf et
//! al. 2015), and preference by preference by the share of the way from the baseline to the limit under the same weights.

mod coverage;
mod verdicts;

use limit::{AllocationError, Best};
use policy::Rule;
use rayon::prelude::*;
use routing_env::{Environment, Metrics, Outcome, Preference, Reward};

pub use coverage::Coverage;

use crate::{
    bounds::{Sample, best},
    episodes::{Contestant, Played, episodes, play},
    origin::{Named, Origin, short_title},
    plan::Plan,
    pooled::rewards,
    progress::Progress,
    report::JobSize,
    statistics::{BySeed, Interval, Intervals, Runs, mean},
};
use coverage::Measure;

/// Points per USD of excess cost and per ms of latency in the grid.
const COSTS: [f64; 3] = [0.5, 3.0, 8.0];
const LATENCIES: [f64; 3] = [0.002, 0.02, 0.08];

/// Which share of a mean request's worth is by the GPU-hour.
const HOURS: [f64; 3] = [0.0, 0.5, 1.0];

/// Preferences over cost, latency and hours; a mean request is worth the same to all of them.
#[must_use]
pub fn grid(env: &Environment) -> Vec<Preference> {
    let request = Preference::EXCESS_COST.request;
    let weights = HOURS.iter().flat_map(|hours| {
        COSTS.iter().flat_map(move |cost| LATENCIES.iter().map(move |latency| (*hours, *cost, *latency)))
    });
    weights
        .map(|(hours, cost, latency)| Preference {
            request: request * (1.0 - hours),
            gpu_hour: request * hours / env.mean_gpu_hours(),
            cost,
            latency,
        })
        .collect()
}

/// All fronts.
#[derive(Clone, Debug, PartialEq)]
pub struct Fronts {
    /// The hand rules' first, the baseline's before all, then the learned policies', then those of the same never trained.
    pub policies: Vec<Front>,
    /// What the points of all hand rules cover together.
    pub rules: Coverage,
    /// The limit's points, one a preference.
    pub limit: Vec<Point>,
    /// What they cover.
    pub limit_coverage: Coverage,
    /// The reference of the hypervolume: requests served, GPU-hours, −excess cost in USD and −latency in ms of a mean request.
    pub reference: [f64; 4],
    /// What the figures say, in plain sentences.
    pub verdicts: Vec<String>,
}

/// What a policy achieves under each preference, and what that covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// Its name, with what tells it from others of that name.
    pub name: String,
    /// What it is.
    pub origin: Origin,
    /// One a preference.
    pub points: Vec<Point>,
    /// What they cover.
    pub coverage: Coverage,
}

/// What came of the requests under one preference.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What was wanted.
    pub wanted: Preference,
    /// The mean outcome of a request.
    pub outcome: Outcome,
    /// Its worth, in points a request.
    pub reward: f64,
    /// Which share of the way from the baseline to the limit it goes; `None` of the limit, and where there is no such way.
    pub gap_closed: Option<Interval>,
    /// Requests routed / requested.
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested.
    pub gpu_hours_fill: Option<f64>,
    /// The same by job size, in the order of [`JobSize::ALL`]; `None` of the limit, which may split jobs.
    pub gpu_hours_fill_by_size: Option<[Option<f64>; JobSize::ALL.len()]>,
    /// Paid per GPU-hour served, in USD.
    pub cost_per_gpu_hour_usd: Option<f64>,
    /// Mean latency of a routed request, waiting included, in ms.
    pub avg_latency_ms: Option<f64>,
}

/// Why there are no fronts.
#[derive(Debug, thiserror::Error)]
pub enum FrontsError {
    /// A policy decides for those alone whom it was trained for.
    #[error("{0} cannot be asked for another preference than it was trained for")]
    Policy(String),
    /// The limit cannot be solved.
    #[error("the physical limit could not be solved: {0}")]
    Limit(AllocationError),
}

/// Plays every policy under every preference on the plan's seeds. `learned` are the plan's policies and the same never
/// trained; the rules join them. `None` when it was cancelled.
///
/// # Errors
/// As [`FrontsError`] says.
pub fn fronts(
    plan: &Plan,
    preferences: &[Preference],
    learned: &[Contestant],
    progress: &Progress,
) -> Option<Result<Fronts, FrontsError>> {
    let each = (plan.rules.len() * plan.seeds.len()) as u64 + episodes(learned, &plan.seeds);
    progress.expect(each * preferences.len() as u64);
    let names: Vec<(String, Origin)> = participants(plan, learned);
    let mut by_policy: Vec<Vec<Point>> = names.iter().map(|_| Vec::new()).collect();
    let mut limit = Vec::with_capacity(preferences.len());
    for wanted in preferences {
        match points(plan, learned, *wanted, progress)? {
            Ok((points, of_limit)) => {
                by_policy.iter_mut().zip(points).for_each(|(of, point)| of.push(point));
                limit.push(of_limit);
            }
            Err(error) => return Some(Err(error)),
        }
    }
    let measure = Measure::new(preferences, &limit, by_policy.iter().flatten());
    let front = |((name, origin), points): ((String, Origin), Vec<Point>)| {
        let coverage = measure.of(points.iter());
        Front { name, origin, points, coverage }
    };
    let policies: Vec<Front> = names.into_iter().zip(by_policy).map(front).collect();
    let of_rules =
        policies.iter().filter(|front| front.origin == Origin::Rule).flat_map(|front| &front.points);
    let rules = measure.of(of_rules);
    let (limit_coverage, reference) = (measure.of(limit.iter()), measure.reference);
    let verdicts = verdicts::verdicts(plan, &policies, rules);
    Some(Ok(Fronts { policies, rules, limit, limit_coverage, reference, verdicts }))
}

/// Everybody's name and origin: the rules, then the learned policies.
fn participants(plan: &Plan, learned: &[Contestant]) -> Vec<(String, Origin)> {
    let rules = plan.rules.iter().map(|rule| (rule.name().to_owned(), origin_of(*rule)));
    let all: Vec<Named<'_>> =
        learned.iter().map(|contestant| (contestant.name.as_str(), &contestant.origin)).collect();
    let learned = all.iter().map(|named| (short_title(*named, &all), named.1.clone()));
    rules.chain(learned).collect()
}

fn origin_of(rule: Rule) -> Origin {
    if Rule::REFERENCES.contains(&rule) { Origin::Reference } else { Origin::Rule }
}

/// Everybody's points under one preference, and the limit's.
fn points(
    plan: &Plan,
    learned: &[Contestant],
    wanted: Preference,
    progress: &Progress,
) -> Option<Result<(Vec<Point>, Point), FrontsError>> {
    let (env, seeds) = (plan.environment.as_ref(), &plan.seeds);
    let rules = plan.rules.par_iter().map(|rule| Ok(Contestant::of_rule_for(*rule, env, wanted)));
    let learned = learned.par_iter().map(|contestant| {
        contestant.preferring(wanted, env).ok_or_else(|| FrontsError::Policy(contestant.name.clone()))
    });
    let contestants = match rules.chain(learned).collect::<Result<Vec<Contestant>, FrontsError>>() {
        Ok(contestants) => contestants,
        Err(error) => return Some(Err(error)),
    };
    let played = play(env, Reward::Preference(wanted), &contestants, seeds, None, progress)?;
    let limits = match best(env, wanted, &Sample::all(env), seeds, progress)? {
        Ok(limits) => limits,
        Err(error) => return Some(Err(FrontsError::Limit(error))),
    };
    let intervals = Intervals::new(seeds.len());
    let baseline = rewards(&played[0]).by_seed();
    let possible: BySeed = limits.iter().map(|limit| Some(limit.reward / limit.requests as f64)).collect();
    let gap = Runs::from(possible).minus(&baseline).by_seed();
    let of_played = |played: &Played| Point {
        gap_closed: intervals.ratio(&rewards(played).minus(&baseline), &gap, 0.0),
        ..Point::of_metrics(wanted, &sums(env, played))
    };
    let mut limit = Best::default();
    limits.iter().for_each(|of_seed| limit.merge(of_seed));
    let hours_requested = sums(env, &played[0]).overall.hours_requested;
    let limit = Point::of_limit(wanted, &limit, hours_requested);
    Some(Ok((played.iter().map(of_played).collect(), limit)))
}

/// The figures of all requests of all trainings and seeds.
fn sums(env: &Environment, played: &Played) -> Metrics {
    let mut sums = Metrics::new(env);
    played.iter().flatten().for_each(|episode| sums.merge(&episode.metrics));
    sums
}

impl Front {
    /// The least share of the way to the limit that it goes under any preference.
    #[must_use]
    pub fn least_gap_closed(&self) -> Option<f64> {
        self.gaps_closed().into_iter().reduce(f64::min)
    }

    /// The mean of these shares.
    #[must_use]
    pub fn mean_gap_closed(&self) -> Option<f64> {
        mean(&self.gaps_closed())
    }

    fn gaps_closed(&self) -> Vec<f64> {
        self.points.iter().filter_map(|point| Some(point.gap_closed?.mean)).collect()
    }
}

impl Point {
    /// An outcome of which nothing else is known.
    fn new(wanted: Preference, outcome: Outcome) -> Self {
        Self {
            wanted,
            outcome,
            reward: wanted.reward(&outcome),
            gap_closed: None,
            fill_rate: None,
            gpu_hours_fill: None,
            gpu_hours_fill_by_size: None,
            cost_per_gpu_hour_usd: None,
            avg_latency_ms: None,
        }
    }

    fn of_metrics(wanted: Preference, metrics: &Metrics) -> Self {
        let overall = &metrics.overall;
        Self {
            fill_rate: overall.fill_rate(),
            gpu_hours_fill: overall.gpu_hours_fill(),
            gpu_hours_fill_by_size: Some(std::array::from_fn(|size| metrics.sizes[size].gpu_hours_fill())),
            cost_per_gpu_hour_usd: overall.cost_per_gpu_hour_usd(),
            avg_latency_ms: overall.avg_latency_ms(),
            ..Self::new(wanted, overall.outcome().times(1.0 / overall.requests.max(1) as f64))
        }
    }

    /// Of the same requests, of so many GPU-hours.
    fn of_limit(wanted: Preference, limit: &Best, hours_requested: f64) -> Self {
        let Best { requests, outcome, cost_usd, .. } = limit;
        let ratio = |of: f64, all: f64| (all > 0.0).then(|| of / all);
        Self {
            fill_rate: ratio(outcome.served, *requests as f64),
            gpu_hours_fill: ratio(outcome.gpu_hours, hours_requested),
            cost_per_gpu_hour_usd: ratio(*cost_usd, outcome.gpu_hours),
            avg_latency_ms: ratio(outcome.latency_ms, outcome.served),
            ..Self::new(wanted, outcome.times(1.0 / (*requests).max(1) as f64))
        }
    }
}

#[cfg(test)]
mod tests;
