//! The score that [`super::Cem`] searches the weights of.
//!
//! A candidate's score is the reward that it promises to those who ask minus what it takes from others, in points of
//! reward. What it takes is linear in features of the candidate, none of which names a provider or a tenant, so that the
//! same weights say something in every catalog; they are in points of `excess-cost`, and are scaled to what is wanted. A request goes where the score is highest, is held where that is below 0, and is
//! set aside where that is below a threshold that is linear as well.

use routing_env::{Candidate, Choice, MAX_WAITING, Observation, Preferences};

use super::pressure::Pressure;

/// Weights of a candidate's features; those of the threshold follow.
const CHARGES: usize = 24;

/// How many weights there are.
pub(super) const WEIGHTS: usize = NAMES.len();

/// What each weight is of. "hours" are the request's GPU-hours, "cost" is what it would pay here in USD; the steps of
/// a pressure rise from 0 to 1 between the two figures.
pub(super) const NAMES: [&str; 30] = [
    "request",
    "phase",
    "hours",
    "hours, phase",
    "hours, reputation",
    "hours, share taken",
    "hours, demand .3-.7",
    "hours, demand .7-1",
    "hours, demand 1-1.4",
    "hours, demand 1.4-2",
    "hours, demand 2-3",
    "hours, critical demand .2-.6",
    "hours, critical demand .6-1",
    "hours, critical demand 1-1.6",
    "cost",
    "cost, budget .3-.7",
    "cost, budget .7-1",
    "cost, budget 1-1.4",
    "cost, budget 1.4-2",
    "cost, budget 2-3",
    "hours, demand .7-1.4, phase",
    "cost, budget .7-1.4, phase",
    "latency",
    "hours, few candidates",
    "defer",
    "defer: hours",
    "defer: hours, to come",
    "defer: hours, places",
    "defer: hours, budget .7-1.4",
    "defer: hours, demand .7-1.4",
];

/// What a weight is points for.
pub(super) enum Unit {
    /// A request, or a share of something.
    Request,
    /// A GPU-hour.
    Hours,
    /// A USD.
    Cost,
}

/// What the weight of this name is points for.
pub(super) fn unit(name: &str) -> Unit {
    let of = name.strip_prefix("defer: ").unwrap_or(name);
    match of.split(',').next() {
        Some("hours") => Unit::Hours,
        Some("cost") => Unit::Cost,
        _ => Unit::Request,
    }
}

/// The spread to begin with. A GPU-hour earns about 15 points where jobs have 3 hours, and a weight of 1 is one point
/// for each GPU-hour; the constant of the threshold has to reach as far as a whole job.
pub(super) fn first_spread(weight: usize) -> f64 {
    if weight == CHARGES { 2.5 } else { 0.75 }
}

/// How far x is between the two.
fn rise(x: f64, from: f64, to: f64) -> f64 {
    ((x - from) / (to - from)).clamp(0.0, 1.0)
}

fn dot(features: &[f64], weights: &[f64]) -> f64 {
    features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum()
}

/// A candidate's score with these weights, and the demand on its provider.
pub(super) fn score(
    observation: &Observation<'_>,
    candidate: &Candidate,
    pressure: &Pressure,
    phase: f64,
    (weights, wanted): (&[f64], &Preferences),
) -> (f64, f64) {
    let Observation { env, market, request, candidates, .. } = *observation;
    let reward = wanted.of(request.tenant).reward(&candidate.outcome(env, request));
    if observation.waited_ms.is_some() {
        return (reward, 0.0); // nothing is to come that it could take anything from
    }
    let provider = &market.providers()[candidate.provider];
    let demand = pressure.on_provider(market, candidate.provider, phase);
    let critical = pressure.critical(market, candidate.provider, phase);
    let budget = pressure.on_budget(market, request.tenant, phase);
    let (hours, cost) = (request.hours, request.hours * candidate.price);
    let features: [f64; CHARGES] = [
        1.0,
        phase,
        hours,
        hours * phase,
        hours * provider.reputation / 100.0,
        hours * (1.0 - provider.remaining / provider.capacity),
        hours * rise(demand, 0.3, 0.7),
        hours * rise(demand, 0.7, 1.0),
        hours * rise(demand, 1.0, 1.4),
        hours * rise(demand, 1.4, 2.0),
        hours * rise(demand, 2.0, 3.0),
        hours * rise(critical, 0.2, 0.6),
        hours * rise(critical, 0.6, 1.0),
        hours * rise(critical, 1.0, 1.6),
        cost,
        cost * rise(budget, 0.3, 0.7),
        cost * rise(budget, 0.7, 1.0),
        cost * rise(budget, 1.0, 1.4),
        cost * rise(budget, 1.4, 2.0),
        cost * rise(budget, 2.0, 3.0),
        hours * rise(demand, 0.7, 1.4) * phase,
        cost * rise(budget, 0.7, 1.4) * phase,
        candidate.latency_ms / 100.0,
        hours / candidates.len() as f64,
    ];
    (reward - wanted.all.scale(env) * dot(&features, weights), demand)
}

/// What these weights choose, and the score of the best candidate. `waiting` requests have been set aside.
pub(super) fn choose(
    observation: &Observation<'_>,
    pressure: &Pressure,
    phase: f64,
    waiting: usize,
    (weights, wanted): (&[f64], &Preferences),
) -> (Choice, f64) {
    let Observation { env, market, request, candidates, .. } = *observation;
    let mut best = (candidates[0].provider, f64::NEG_INFINITY, 0.0);
    for candidate in candidates {
        let (score, demand) = score(observation, candidate, pressure, phase, (weights, wanted));
        if score > best.1 {
            best = (candidate.provider, score, demand);
        }
    }
    let (provider, score, demand) = best;
    if observation.may_defer {
        let hours = request.hours;
        let budget = pressure.on_budget(market, request.tenant, phase);
        let features: [f64; WEIGHTS - CHARGES] = [
            1.0,
            hours,
            hours * (1.0 - phase),
            hours * (1.0 - waiting as f64 / MAX_WAITING as f64),
            hours * rise(budget, 0.7, 1.4),
            hours * rise(demand, 0.7, 1.4),
        ];
        if score < wanted.all.scale(env) * dot(&features, &weights[CHARGES..]) {
            return (Choice::Defer, score);
        }
    }
    if observation.may_hold && score < 0.0 { (Choice::Hold, score) } else { (Choice::Route(provider), score) }
}
