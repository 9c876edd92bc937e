//! The work of one evaluation: play the episodes, solve the limits that nobody knows yet, tell the result.

use limit::{AllocationError, Limit};
use rayon::prelude::*;
use routing_env::{Preference, Sums};

use crate::{
    analysis::analyse,
    bounds::{Digest, Sample, is_possible, keys, solve},
    constrained_limit::{self, ConstrainedLimit},
    episodes::{Contestant, Played, episodes, play},
    pareto::{Fronts, FrontsError, fronts},
    plan::{Kind, Plan},
    progress::Progress,
    report::Report,
    values::Values,
};

/// What was found.
pub enum Found {
    /// Under one preference: who is better.
    Comparison(Box<Compared>),
    /// Under many: what each policy achieves.
    Fronts(Fronts),
}

/// What was found under one preference.
pub struct Compared {
    /// The result.
    pub report: Report,
    /// What every policy achieved on every seed: what the result is computed from.
    pub values: Values,
    /// The limits that were solved for it, each with its key.
    pub solved: Vec<(Digest, Limit)>,
    /// Steps whose limit was known before.
    pub known_steps: u64,
    /// Why the limit could not be solved; the result is then without it.
    pub unsolved: Option<AllocationError>,
}

/// Does the work. `learned` are the plan's policies and the same never trained; the rules join them. `keys` are [`limit_keys`],
/// `known` the limits of those names. `None` when it was cancelled.
///
/// # Errors
/// As [`fronts`] has.
pub fn evaluate(
    plan: &Plan,
    learned: Vec<Contestant>,
    keys: &[Digest],
    known: Vec<Option<Limit>>,
    progress: &Progress,
) -> Option<Result<Found, FrontsError>> {
    match &plan.kind {
        Kind::Comparison(preference) => {
            let compared = compare(plan, *preference, learned, keys, known, progress)?;
            Some(Ok(Found::Comparison(Box::new(compared))))
        }
        Kind::Fronts(preferences) => Some(fronts(plan, preferences, &learned, progress)?.map(Found::Fronts)),
    }
}

/// The names of the limits that [`evaluate`] needs, by seed; none where there is no limit, and under many preferences. `None`
/// when it was cancelled.
#[must_use]
pub fn limit_keys(plan: &Plan, progress: &Progress) -> Option<Vec<Digest>> {
    match (&plan.kind, &plan.sample) {
        (Kind::Comparison(preference), Some(sample)) => {
            keys(&plan.environment, *preference, sample, &plan.seeds, progress)
        }
        _ => Some(Vec::new()),
    }
}

fn compare(
    plan: &Plan,
    preference: Preference,
    learned: Vec<Contestant>,
    keys: &[Digest],
    known: Vec<Option<Limit>>,
    progress: &Progress,
) -> Option<Compared> {
    let environment = &plan.environment;
    let sample = plan.sample.as_ref();
    let rules = plan.rules.par_iter().map(|rule| Contestant::of_rule_for(*rule, environment, preference));
    let constrained = |contestant: Contestant| contestant.under(&plan.constraints, environment, preference);
    let contestants: Vec<Contestant> = learned.into_par_iter().chain(rules).map(constrained).collect();
    progress.expect(episodes(&contestants, &plan.seeds));
    let achieved = play(environment, plan.reward(), &contestants, &plan.seeds, sample, progress)?;
    let Some(sample) = sample else {
        let report = analyse(plan, &contestants, &achieved, None, &[]);
        let values = Values::of(plan, &achieved, None);
        return Some(Compared { report, values, solved: Vec::new(), known_steps: 0, unsolved: None });
    };
    let known = possible(sample, known, &achieved);
    let known_steps = known.iter().flatten().map(|limit| limit.steps).sum();
    progress.solved(known_steps);
    let (mut limits, solved, mut unsolved) = match complete(plan, preference, sample, keys, known, progress)?
    {
        Ok((limits, solved)) => (Some(limits), solved, None),
        Err(error) => (None, Vec::new(), Some(error)),
    };
    let constrained = under_constraints(plan, preference, &achieved, progress)?.unwrap_or_else(|error| {
        (limits, unsolved) = (None, Some(error));
        Vec::new()
    });
    for (limit, constrained) in limits.iter_mut().flatten().zip(&constrained) {
        limit.reward = constrained.reward;
    }
    let report = analyse(plan, &contestants, &achieved, limits.as_deref(), &constrained);
    let values = Values::of(plan, &achieved, limits.as_deref());
    Some(Compared { report, values, solved, known_steps, unsolved })
}

/// What is possible under the constraints by seed; nothing where there are none.
fn under_constraints(
    plan: &Plan,
    preference: Preference,
    achieved: &[Played],
    progress: &Progress,
) -> Option<Result<Vec<ConstrainedLimit>, AllocationError>> {
    if plan.constraints.is_empty() {
        return Some(Ok(Vec::new()));
    }
    // the same is requested of everybody
    let anybody = achieved.iter().flatten().next().into_iter().flatten();
    let sums = anybody.map(|episode| Sums::of(&episode.metrics));
    let seeds: Vec<(u64, Sums)> = plan.seeds.iter().copied().zip(sums).collect();
    constrained_limit::solve(&plan.environment, preference, &plan.constraints, &seeds, progress)
}

/// Those of the known limits, by seed, that can be the limits of what was played.
fn possible(sample: &Sample, known: Vec<Option<Limit>>, achieved: &[Played]) -> Vec<Option<Limit>> {
    let of_seed = |seed: usize| achieved.iter().flatten().map(move |by_seed| &by_seed[seed].on_limit_steps);
    let known = known.into_iter().enumerate();
    known.map(|(seed, limit)| limit.filter(|limit| is_possible(limit, sample, of_seed(seed)))).collect()
}

type Completed = (Vec<Limit>, Vec<(Digest, Limit)>);

/// All limits by seed, and those that had to be solved for it.
fn complete(
    plan: &Plan,
    preference: Preference,
    sample: &Sample,
    keys: &[Digest],
    mut limits: Vec<Option<Limit>>,
    progress: &Progress,
) -> Option<Result<Completed, AllocationError>> {
    let unknown: Vec<usize> = (0..limits.len()).filter(|i| limits[*i].is_none()).collect();
    let seeds: Vec<u64> = unknown.iter().map(|i| plan.seeds[*i]).collect();
    let solved = match solve(&plan.environment, preference, sample, &seeds, progress)? {
        Ok(solved) => solved,
        Err(error) => return Some(Err(error)),
    };
    for (i, limit) in unknown.iter().zip(&solved) {
        limits[*i] = Some(*limit);
    }
    let solved = unknown.iter().map(|i| keys[*i]).zip(solved).collect();
    Some(Ok((limits.into_iter().flatten().collect(), solved)))
}
