//! Fronts: what policies achieve under many preferences, beside what is possible.
//!
//! A policy that is asked under each preference of a grid gives as many points: the mean outcome of a request. How much of
//! what is possible they cover is told by the hypervolume (Zitzler and Thiele 1999) and the expected utility (Zintgraf et
//! al. 2015), and preference by preference by the share of the way from the baseline to the limit under the same weights.

use limit::{AllocationError, Best};
use policy::{Rule, SwarmError};
use rayon::prelude::*;
use routing_env::{Environment, Metrics, Outcome, Preference, Reward, Tally};

use crate::{
    bounds::{Sample, best},
    episodes::{Contestant, Played, play},
    pooled::rewards,
    progress::Progress,
    statistics::{BySeed, Interval, Intervals, Runs},
};

/// Points per USD of excess cost and per ms of latency in the grid.
const COSTS: [f64; 3] = [0.5, 3.0, 8.0];
const LATENCIES: [f64; 3] = [0.002, 0.02, 0.08];

/// Which share of a mean request's worth is by the GPU-hour.
const HOURS: [f64; 3] = [0.0, 0.5, 1.0];

/// How much beyond the worst point the reference of the hypervolume lies, as a share of the distance between the worst and
/// the best.
const REFERENCE_MARGIN: f64 = 0.01;

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

/// Who takes part, under whatever preference.
pub struct Candidate<'a> {
    /// Its name.
    pub name: String,
    /// Whether it is a hand rule that knows no more than others.
    pub is_rule: bool,
    /// The policy for those who want this.
    pub policy: PolicyFor<'a>,
}

/// A policy for those who want this; an error where it cannot decide for them.
pub type PolicyFor<'a> = Box<dyn Fn(Preference) -> Result<Contestant, SwarmError> + Sync + 'a>;

impl<'a> Candidate<'a> {
    /// A hand rule.
    #[must_use]
    pub fn of_rule(rule: Rule, env: &'a Environment) -> Self {
        Self {
            name: rule.name().into(),
            is_rule: !Rule::REFERENCES.contains(&rule),
            policy: Box::new(move |wanted| Ok(Contestant::of_rule_for(rule, env, wanted))),
        }
    }
}

/// What came of a policy under one preference.
#[derive(Clone, Debug)]
pub struct Point {
    /// The mean outcome of a request.
    pub outcome: Outcome,
    /// Its worth, in points a request.
    pub reward: f64,
    /// Which share of the way from the baseline to the limit it goes; `None` where there is no such way.
    pub gap_closed: Option<Interval>,
    /// The figures of all requests; `None` of the limit.
    pub metrics: Option<Metrics>,
}

/// Points, and what they cover.
#[derive(Clone, Debug)]
pub struct Front {
    /// Whose.
    pub name: String,
    /// A policy's and the limit's: one a preference.
    pub points: Vec<Point>,
    /// Hypervolume / that of the limit's front.
    pub hypervolume: f64,
    /// The mean over the preferences of what the best of its points is worth.
    pub expected_utility: f64,
}

/// All fronts.
#[derive(Clone, Debug)]
pub struct Fronts {
    /// What was wanted.
    pub preferences: Vec<Preference>,
    /// The candidates', in their order.
    pub policies: Vec<Front>,
    /// That of the points of all hand rules together.
    pub rules: Front,
    /// The limit's.
    pub limit: Front,
    /// The reference of the hypervolume: requests served, GPU-hours, −excess cost in USD and −latency in ms of a mean request.
    pub reference: [f64; 4],
}

/// Why there are no fronts.
#[derive(Debug, thiserror::Error)]
pub enum FrontsError {
    /// A policy cannot decide under one of the preferences.
    #[error(transparent)]
    Policy(#[from] SwarmError),
    /// The limit cannot be solved.
    #[error(transparent)]
    Limit(#[from] AllocationError),
}

/// Plays every candidate under every preference on these seeds. The first one is the baseline. `None` when it was cancelled.
///
/// # Errors
/// As [`FrontsError`] says.
pub fn fronts(
    env: &Environment,
    candidates: &[Candidate<'_>],
    preferences: &[Preference],
    seeds: &[u64],
    progress: &Progress,
) -> Option<Result<Fronts, FrontsError>> {
    let mut by_candidate: Vec<Vec<Point>> = candidates.iter().map(|_| Vec::new()).collect();
    let mut of_limit = Vec::with_capacity(preferences.len());
    for wanted in preferences {
        match points(env, candidates, *wanted, seeds, progress)? {
            Ok((points, limit)) => {
                by_candidate.iter_mut().zip(points).for_each(|(of, point)| of.push(point));
                of_limit.push(limit);
            }
            Err(error) => return Some(Err(error)),
        }
    }
    let of_rules = candidates.iter().zip(&by_candidate).filter(|(candidate, _)| candidate.is_rule);
    // of points of many, no share of a way is anybody's
    let of_rules: Vec<Point> = of_rules
        .flat_map(|(_, points)| points)
        .map(|point| Point { gap_closed: None, ..point.clone() })
        .collect();
    let reference = reference(by_candidate.iter().flatten().chain(&of_limit));
    let whole = hypervolume(&of_limit, reference);
    let front = |name: &str, points: Vec<Point>| Front {
        name: name.to_owned(),
        hypervolume: hypervolume(&points, reference) / whole,
        expected_utility: expected_utility(preferences, &points),
        points,
    };
    let policies = candidates.iter().zip(by_candidate);
    Some(Ok(Fronts {
        preferences: preferences.to_vec(),
        policies: policies.map(|(candidate, points)| front(&candidate.name, points)).collect(),
        rules: front("all hand rules together", of_rules),
        limit: front("limit", of_limit),
        reference,
    }))
}

/// The candidates' points under one preference, and the limit's.
fn points(
    env: &Environment,
    candidates: &[Candidate<'_>],
    wanted: Preference,
    seeds: &[u64],
    progress: &Progress,
) -> Option<Result<(Vec<Point>, Point), FrontsError>> {
    let contestants = candidates.par_iter().map(|candidate| (candidate.policy)(wanted));
    let contestants = match contestants.collect::<Result<Vec<Contestant>, SwarmError>>() {
        Ok(contestants) => contestants,
        Err(error) => return Some(Err(error.into())),
    };
    let played = play(env, Reward::Preference(wanted), &contestants, seeds, None, progress)?;
    let limits = match best(env, wanted, &Sample::all(env), seeds, progress)? {
        Ok(limits) => limits,
        Err(error) => return Some(Err(error.into())),
    };
    let intervals = Intervals::new(seeds.len());
    let baseline = rewards(&played[0]).by_seed();
    let possible: BySeed = limits.iter().map(|limit| Some(limit.reward / limit.requests as f64)).collect();
    let gap = Runs::from(possible).minus(&baseline).by_seed();
    let of_played = |played: &Played| {
        let mut metrics = Metrics::new(env);
        played.iter().flatten().for_each(|episode| metrics.merge(&episode.metrics));
        let Tally { requests, .. } = metrics.overall;
        let gap_closed = intervals.ratio(&rewards(played).minus(&baseline), &gap, 0.0);
        Point { gap_closed, ..Point::new(wanted, metrics.overall.outcome(), requests, Some(metrics)) }
    };
    let mut limit = Best::default();
    limits.iter().for_each(|of_seed| limit.merge(of_seed));
    let limit = Point::new(wanted, limit.outcome, limit.requests, None);
    Some(Ok((played.iter().map(of_played).collect(), limit)))
}

impl Point {
    /// Of so many requests, of which all together this came.
    fn new(wanted: Preference, sum: Outcome, requests: u64, metrics: Option<Metrics>) -> Self {
        let outcome = sum.times(1.0 / requests.max(1) as f64);
        Self { outcome, reward: wanted.reward(&outcome), gap_closed: None, metrics }
    }
}

/// What is wanted of a mean request, each so that more is better.
fn coordinates(outcome: &Outcome) -> [f64; 4] {
    [outcome.served, outcome.gpu_hours, -outcome.excess_cost.usd(), -outcome.latency_ms]
}

/// A point that all of these are better than in everything.
fn reference<'a>(points: impl Iterator<Item = &'a Point>) -> [f64; 4] {
    let (mut worst, mut best) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4]);
    for point in points {
        for (i, coordinate) in coordinates(&point.outcome).into_iter().enumerate() {
            worst[i] = worst[i].min(coordinate);
            best[i] = best[i].max(coordinate);
        }
    }
    std::array::from_fn(|i| worst[i] - REFERENCE_MARGIN * (best[i] - worst[i]).max(f64::MIN_POSITIVE))
}

/// The volume of what is worse in everything than one of the points, and better than the reference.
fn hypervolume(points: &[Point], reference: [f64; 4]) -> f64 {
    let beyond = |point: &Point| {
        let coordinates = coordinates(&point.outcome);
        (0..4).map(|i| (coordinates[i] - reference[i]).max(0.0)).collect::<Vec<f64>>()
    };
    volume(&points.iter().map(beyond).collect::<Vec<_>>())
}

/// The volume of the union of boxes from the origin to each of the points: slices along the last coordinate (While et al.
/// 2006), which is quick enough for as few points as a grid has.
fn volume(points: &[Vec<f64>]) -> f64 {
    let last = points.first().map_or(0, Vec::len);
    if last <= 1 {
        return points.iter().flatten().copied().fold(0.0, f64::max);
    }
    let mut by_height: Vec<&Vec<f64>> = points.iter().collect();
    by_height.sort_by(|a, b| b[last - 1].total_cmp(&a[last - 1]));
    let mut slice: Vec<Vec<f64>> = Vec::new();
    let mut sum = 0.0;
    for (i, point) in by_height.iter().enumerate() {
        let base = point[..last - 1].to_vec();
        if !slice.iter().any(|other| other.iter().zip(&base).all(|(other, own)| other >= own)) {
            slice.push(base);
        }
        let below = by_height.get(i + 1).map_or(0.0, |next| next[last - 1]);
        let thickness = point[last - 1] - below;
        if thickness > 0.0 {
            sum += thickness * volume(&slice);
        }
    }
    sum
}

fn expected_utility(preferences: &[Preference], points: &[Point]) -> f64 {
    let best = |wanted: &Preference| {
        points.iter().map(|point| wanted.reward(&point.outcome)).fold(f64::NEG_INFINITY, f64::max)
    };
    preferences.iter().map(best).sum::<f64>() / preferences.len() as f64
}

#[cfg(test)]
mod tests {
    use routing_env::{ExcessCost, Preset};

    use super::*;

    #[test]
    fn the_volume_of_boxes_that_overlap_is_counted_once() {
        assert_eq!(volume(&[vec![2.0, 3.0]]), 6.0);
        // 2·3 + 4·1 − 2·1
        assert_eq!(volume(&[vec![2.0, 3.0], vec![4.0, 1.0]]), 8.0);
        assert_eq!(volume(&[vec![2.0, 3.0], vec![4.0, 1.0], vec![1.0, 1.0]]), 8.0);
        // by inclusion and exclusion: 1·1·3·2 + 2·2·1·1 + 3·1·1·1 − 1 − 1 − 1 + 1
        let boxes = [vec![1.0, 1.0, 3.0, 2.0], vec![2.0, 2.0, 1.0, 1.0], vec![3.0, 1.0, 1.0, 1.0]];
        assert_eq!(volume(&boxes), 6.0 + 4.0 + 3.0 - 1.0 - 1.0 - 2.0 + 1.0);
    }

    #[test]
    fn a_mean_request_is_worth_the_same_to_everybody_in_the_grid() {
        let env = Environment::built_in(Preset::Contended);
        let grid = grid(&env);
        assert_eq!(grid.len(), 27);
        assert!(grid.iter().all(|wanted| (wanted.scale(&env) - 1.0).abs() < 1e-12));
        let mean = Outcome {
            served: 1.0,
            gpu_hours: env.mean_gpu_hours(),
            excess_cost: ExcessCost::of_bill(0.0, 0.0),
            latency_ms: 0.0,
        };
        assert!(grid.iter().all(|wanted| (wanted.reward(&mean) - 50.0).abs() < 1e-9));
    }

    #[test]
    fn whoever_heeds_what_is_wanted_covers_more_of_what_is_possible_than_who_does_not() {
        let env = Environment::built_in(Preset::Contended).with_steps(8);
        let seeds = [1 << 32, (1 << 32) + 1];
        let candidates = [Rule::WeightedScore, Rule::BidPrice].map(|rule| Candidate::of_rule(rule, &env));
        let preferences = grid(&env).into_iter().step_by(4).collect::<Vec<_>>();
        let progress = Progress::default();
        let found = fronts(&env, &candidates, &preferences, &seeds, &progress).unwrap().unwrap();
        let [baseline, heeding] = &found.policies[..] else { panic!() };
        assert!(baseline.points.iter().all(|point| point.gap_closed.unwrap().mean == 0.0));
        assert!(heeding.points.iter().all(|point| point.gap_closed.unwrap().mean > 0.4), "{heeding:?}");
        assert!(heeding.hypervolume > baseline.hypervolume && heeding.hypervolume < 1.0);
        assert!(found.rules.hypervolume >= heeding.hypervolume);
        assert!(found.limit.expected_utility > heeding.expected_utility);
        assert_eq!(found.limit.hypervolume, 1.0);
    }
}
